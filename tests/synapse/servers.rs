//! The servers under test. They end when this process does.

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use serde_json::Value;
use test_support::edge::Edge;
use test_support::process::Server;

use crate::ask::MEDIA_AUTHORITY;

pub(crate) const SERVER_NAME: &str = "localhost";

const START_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Synapse {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    pub(crate) server_name: String,
    pub(crate) signing_key: PathBuf,
    /// By name: `access_token`, `password` and more.
    pub(crate) users: Value,
    log: PathBuf,
    media_store: PathBuf,
    _server: Server,
}

impl Synapse {
    /// Starts one with these users; `options` are those of `scripts/synapse`.
    pub(crate) fn start(server_name: &str, users: &[&str], options: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = format!("{}/synapse-{}-{number}", env!("CARGO_TARGET_TMPDIR"), process::id());
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/synapse"));
        command.args([&dir, "--remove", "--watch-stdin", "--server-name", server_name]);
        command.args(options);
        for user in users {
            command.args(["--user", user]);
        }
        let (server, ready) = Server::start(command, START_PATIENCE);
        let ready: Value = serde_json::from_str(&ready).expect("scripts/synapse prints JSON");
        let text =
            |name: &str| ready[name].as_str().unwrap_or_else(|| panic!("no {name}: {ready}"));
        Self {
            address: text("url").trim_start_matches("http://").to_owned(),
            server_name: server_name.to_owned(),
            signing_key: text("signing_key").into(),
            users: ready["users"].clone(),
            log: text("log").into(),
            media_store: text("media_store").into(),
            _server: server,
        }
    }

    /// A Worker of its own in front of this homeserver, with these variables added.
    pub(crate) fn edge(&self, vars: &[(&str, &str)]) -> Edge {
        self.with_vars(vars, Edge::start)
    }

    /// The same, reached by TLS at this port.
    pub(crate) fn tls_edge(&self, port: u16) -> Edge {
        self.with_vars(&[], |vars| Edge::start_tls(port, vars))
    }

    fn with_vars(
        &self,
        more: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Edge,
    ) -> Edge {
        let homeserver = format!("http://{}", self.address);
        let media = format!("https://{MEDIA_AUTHORITY}");
        let vars = [
            ("HOMESERVER_URL", homeserver.as_str()),
            ("SERVER_NAME", &self.server_name),
            ("MEDIA_URL", &media),
            ("WELL_KNOWN_URL", &homeserver),
        ];
        start(&[&vars, more].concat())
    }

    pub(crate) fn token(&self, user: &str) -> &str {
        let token = &self.users[user]["access_token"];
        token.as_str().expect("scripts/synapse prints a token for every user")
    }

    /// The statuses of the requests that Synapse has answered and whose User-Agent is `mark`.
    pub(crate) fn answers_to(&self, mark: &str) -> Vec<u16> {
        self.answers_with(&format!(r#" "{mark}" "#))
    }

    /// The statuses of the requests that Synapse has answered and logged with `text` in the line.
    pub(crate) fn answers_with(&self, text: &str) -> Vec<u16> {
        let log = fs::read_to_string(&self.log).expect("Synapse's log can't be read");
        log.lines().filter(|line| line.contains(text)).map(status).collect()
    }

    /// Where Synapse keeps the bytes of its own media.
    pub(crate) fn media_file(&self, id: &str) -> PathBuf {
        let (first, rest) = id.split_at(2);
        let (second, rest) = rest.split_at(2);
        self.media_store.join("local_content").join(first).join(second).join(rest)
    }
}

/// The status in a line such as `… 1506B 200 "GET /_matrix/… HTTP/1.1" "user agent" […]`.
fn status(line: &str) -> u16 {
    let before = line.split(" \"").next().unwrap_or_default();
    let word = before.rsplit(' ').next().unwrap_or_default();
    // An exclamation mark says that the client left early.
    word.trim_end_matches('!').parse().unwrap_or_else(|_| panic!("no status in {line}"))
}

/// Runs `action` and tells by how much the edge's workerd grew meanwhile, at the most.
pub(crate) fn growth_bytes_while<T>(edge: &Edge, action: impl FnOnce() -> T) -> (u64, T) {
    let before = edge.workerd_resident_bytes();
    let is_done = AtomicBool::new(false);
    scope(|scope| {
        let observer = scope.spawn(|| {
            let mut peak = before;
            while !is_done.load(Ordering::Relaxed) {
                peak = peak.max(edge.workerd_resident_bytes());
                sleep(Duration::from_millis(10));
            }
            peak
        });
        let result = action();
        is_done.store(true, Ordering::Relaxed);
        (observer.join().expect("the observer panicked") - before, result)
    })
}
