//! The built Worker in real workerd.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::ROOT;
use crate::process::{Server, descendant, resident_bytes};

/// Where our Worker lies, built.
const BUILD: &str = "build";

const START_PATIENCE: Duration = Duration::from_secs(60);

/// A Worker with an empty cache, which ends when this is dropped.
#[derive(Debug)]
pub struct Edge {
    /// Where it listens, `127.0.0.1:port`, behind a front that does some of what Cloudflare does.
    pub address: String,
    /// The same without that front: the Worker sees what was sent.
    pub direct_address: String,
    /// Where the Worker's second isolate listens, likewise; empty if there is none.
    pub neighbor_address: String,
    server: Server,
}

impl Edge {
    /// Starts the built Worker with these variables.
    ///
    /// # Panics
    /// When it isn't built, when Miniflare isn't installed, or when it doesn't start.
    pub fn start(vars: &[(&str, &str)]) -> Self {
        Self::launch(BUILD, vars, &["1"])
    }

    /// The same with the Worker in another folder of the repository.
    ///
    /// # Panics
    /// As [`Edge::start`].
    pub fn start_worker(folder: &str, vars: &[(&str, &str)]) -> Self {
        Self::launch(folder, vars, &["1"])
    }

    /// The same with two isolates, which share the cache and nothing else.
    ///
    /// # Panics
    /// As [`Edge::start`].
    pub fn start_two_isolates(vars: &[(&str, &str)]) -> Self {
        Self::launch(BUILD, vars, &["2"])
    }

    /// The same, whose front speaks TLS at this port, with a certificate that nobody trusts.
    ///
    /// # Panics
    /// As [`Edge::start`], or when the port is taken.
    pub fn start_tls(port: u16, vars: &[(&str, &str)]) -> Self {
        Self::launch(BUILD, vars, &["1", &port.to_string()])
    }

    fn launch(folder: &str, vars: &[(&str, &str)], options: &[&str]) -> Self {
        let main = format!("{folder}/index.js");
        for (path, remedy) in
            [(main.as_str(), "make build"), ("node_modules/miniflare", "make setup")]
        {
            assert!(Path::new(ROOT).join(path).exists(), "{path} is missing: run `{remedy}`");
        }
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), Value::from(*value));
        let vars = Value::Object(vars.iter().map(text).collect::<Map<_, _>>());
        let mut command = Command::new("node");
        command.current_dir(ROOT).args(["tests/support/edge.mjs", folder]);
        command.arg(vars.to_string()).args(options);
        let (server, urls) = Server::start(command, START_PATIENCE);
        let mut addresses = urls.split(' ').map(|url| {
            url.split_once("//").expect("it is a URL").1.trim_end_matches('/').to_owned()
        });
        let mut next = || addresses.next().unwrap_or_default();
        Self { address: next(), direct_address: next(), neighbor_address: next(), server }
    }

    /// The process whose descendants are all that runs it.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The memory of its workerd, which runs the Worker and keeps the cache.
    ///
    /// # Panics
    /// When workerd is gone.
    pub fn workerd_resident_bytes(&self) -> u64 {
        resident_bytes(descendant(self.server.id(), "workerd").expect("workerd is gone"))
    }
}
