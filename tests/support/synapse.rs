//! A real Synapse, by `scripts/synapse`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::Request;
use crate::process::{Server, descendants};
use crate::time::wait_for;

const START_PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to end what it does, and then be gone.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// A homeserver with an empty database, which ends when this is dropped.
#[derive(Debug)]
pub struct Synapse {
    /// `127.0.0.1:port`.
    pub address: String,
    /// What stands behind the colon of its users' IDs.
    pub server_name: String,
    /// The key that it signs with.
    pub signing_key: PathBuf,
    /// The process that was started first.
    pub id: u32,
    /// By name: `access_token`, `password` and more.
    pub users: Value,
    log: PathBuf,
    media_store: PathBuf,
    server: Server,
}

impl Synapse {
    /// Starts one with these users and a folder of its own in `folder`; `options` are those of
    /// `scripts/synapse`.
    ///
    /// # Panics
    /// When it doesn't start.
    pub fn start(folder: &str, server_name: &str, users: &[&str], options: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let dir = format!("{folder}/synapse-{}-{number}", process::id());
        let script = Path::new(crate::ROOT).join("scripts/synapse");
        let mut command = Command::new(script);
        command.args([&dir, "--remove", "--watch-stdin", "--server-name", server_name]);
        command.args(options);
        for user in users {
            command.args(["--user", user]);
        }
        let (server, ready) = Server::start(command, START_PATIENCE);
        let ready: Value = serde_json::from_str(&ready).expect("scripts/synapse prints JSON");
        let text =
            |name: &str| ready[name].as_str().unwrap_or_else(|| panic!("no {name}: {ready}"));
        let id = ready["pid"].as_u64().and_then(|id| id.try_into().ok());
        Self {
            address: text("url").trim_start_matches("http://").to_owned(),
            server_name: server_name.to_owned(),
            signing_key: text("signing_key").into(),
            id: id.unwrap_or_else(|| panic!("no pid: {ready}")),
            users: ready["users"].clone(),
            log: text("log").into(),
            media_store: text("media_store").into(),
            server,
        }
    }

    /// A user's access token.
    ///
    /// # Panics
    /// When there is no such user.
    pub fn token(&self, user: &str) -> &str {
        let token = &self.users[user]["access_token"];
        token.as_str().expect("scripts/synapse prints a token for every user")
    }

    /// Kills it, and waits until it is there again, as `--revive` makes it.
    ///
    /// # Panics
    /// When it doesn't come back.
    pub fn crash(&self) {
        self.end_by(Signal::KILL);
    }

    /// Ends it in good order, and waits likewise: it is gone for as long as `--revive` says.
    ///
    /// # Panics
    /// As [`Synapse::crash`].
    pub fn restart(&self) {
        self.end_by(Signal::TERM);
    }

    /// Restarts it, and keeps a copy of its database in place of an earlier one.
    ///
    /// # Panics
    /// As [`Synapse::crash`], or when it is there again before the copy is.
    pub fn back_up(&self) {
        self.restart_around(copy_database);
    }

    /// Restarts it with the database that was copied last.
    ///
    /// # Panics
    /// As [`Synapse::back_up`].
    pub fn restore(&self) {
        self.restart_around(|database, copy| copy_database(copy, database));
    }

    /// Ends it, has `action` put its database or a copy in place of the other, and waits until it is
    /// there again.
    fn restart_around(&self, action: impl FnOnce(&Path, &Path)) {
        let ended = self.send(Signal::TERM);
        wait_for("Synapse has ended", END_PATIENCE, || {
            (self.process() != Some(ended)).then_some(())
        });
        let folder = self.log.parent().expect("it is in a folder");
        action(&folder.join("homeserver.db"), &folder.join("copy.db"));
        assert_eq!(self.process(), None, "Synapse is there too early: `--revive` is too short");
        self.wait_until_revived(ended);
    }

    fn end_by(&self, signal: Signal) {
        let ended = self.send(signal);
        self.wait_until_revived(ended);
    }

    /// Sends a signal to the process of Synapse itself. Returns its ID.
    fn send(&self, signal: Signal) -> u32 {
        let ended = self.process().expect("Synapse runs");
        let id = ended.try_into().ok().and_then(Pid::from_raw).expect("it is an ID");
        kill_process(id, signal).expect("Synapse is ours to end");
        ended
    }

    fn process(&self) -> Option<u32> {
        descendants(self.server.id()).first().copied()
    }

    fn wait_until_revived(&self, ended: u32) {
        wait_for("Synapse is there again", END_PATIENCE + START_PATIENCE, || {
            let is_new = self.process().is_some_and(|id| id != ended);
            let versions = || Request::new("GET", "/_matrix/client/versions").header("Host", "x");
            let is_there = is_new && versions().try_send(&self.address).is_ok();
            is_there.then_some(())
        });
    }

    /// The statuses of the requests that it has answered and whose User-Agent is `mark`.
    pub fn answers_to(&self, mark: &str) -> Vec<u16> {
        self.answers_with(&format!(r#" "{mark}" "#))
    }

    /// Returns the statuses of the answers to POST requests whose User-Agent is `mark`.
    pub fn answers_to_posts(&self, mark: &str) -> Vec<u16> {
        let agent = format!(r#" "{mark}" "#);
        self.answers_where(|line| line.contains(&agent) && line.contains(r#" "POST "#))
    }

    /// The statuses of the requests that it has answered and logged with `text` in the line.
    ///
    /// # Panics
    /// When its log can't be read.
    pub fn answers_with(&self, text: &str) -> Vec<u16> {
        self.answers_where(|line| line.contains(text))
    }

    fn answers_where(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<u16> {
        let log = fs::read_to_string(&self.log).expect("Synapse's log can't be read");
        log.lines().filter(|line| is_wanted(line)).map(status).collect()
    }

    /// Where it keeps the bytes of its own media.
    pub fn media_file(&self, id: &str) -> PathBuf {
        let (first, rest) = id.split_at(2);
        let (second, rest) = rest.split_at(2);
        self.media_store.join("local_content").join(first).join(second).join(rest)
    }
}

/// Copies an SQLite database in place of another. Changes that are not in its file yet are in a file
/// beside it.
fn copy_database(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let [from, to] =
            [from, to].map(|path| PathBuf::from(format!("{}{suffix}", path.display())));
        let _ = fs::remove_file(&to);
        if from.exists() {
            fs::copy(&from, &to).expect("the database can't be copied");
        }
    }
}

/// The status in a line such as `… 1506B 200 "GET /_matrix/… HTTP/1.1" "user agent" […]`.
fn status(line: &str) -> u16 {
    let before = line.split(" \"").next().unwrap_or_default();
    let word = before.rsplit(' ').next().unwrap_or_default();
    // An exclamation mark says that the client left early.
    word.trim_end_matches('!').parse().unwrap_or_else(|_| panic!("no status in {line}"))
}
