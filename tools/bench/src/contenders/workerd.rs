//! A Worker in `workerd serve`: no Miniflare, no proxy of `wrangler dev`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use test_support::ROOT;
use test_support::process::{Server, ending_with_input};

use crate::cache_service::CacheService;

/// Where our Worker lies, built.
pub(crate) const OURS: &str = "build";

/// Where it lies with the names of its functions, as `scripts/build --names` leaves it.
pub(crate) const OURS_NAMED: &str = "target/named";

pub(crate) const PROGRAM: &str = "node_modules/@cloudflare/workerd-linux-64/bin/workerd";

/// How it says at which port it listens.
const LISTENS: &str = r#"{"event":"listen","socket":"http","port":"#;

const START_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Workerd {
    pub(crate) address: String,
    server: Server,
}

impl Workerd {
    /// Starts the Worker in the folder `worker` of the repository, with these variables and an
    /// empty cache, and perhaps with V8's inspector at a port. Its configuration is written into
    /// `folder`.
    pub(crate) fn start(
        folder: &str,
        worker: &str,
        vars: &[(&str, &str)],
        inspector_port: Option<u16>,
    ) -> Self {
        let worker = Path::new(ROOT).join(worker);
        fs::create_dir_all(folder).expect("the folder can't be made");
        let configuration = Path::new(folder).join("workerd.capnp");
        let text = configure(&modules(&worker), vars, &CacheService::start().address);
        fs::write(&configuration, text).expect("it can't be written");

        let program = Path::new(ROOT).join(PROGRAM);
        assert!(program.exists(), "{PROGRAM} is missing: run `make setup`");
        let mut command = ending_with_input(program);
        command.args(["serve", "--control-fd=1", "--import-path"]).arg(worker);
        command.args(inspector_port.map(|port| format!("--inspector-addr=127.0.0.1:{port}")));
        command.arg(configuration);
        let (server, said) = Server::start_saying(LISTENS, command, START_PATIENCE);
        Self { address: format!("127.0.0.1:{}", said.trim_end_matches('}')), server }
    }

    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }
}

/// The names of a Worker's modules, the main one first.
fn modules(worker: &Path) -> Vec<String> {
    assert!(worker.join("index.js").exists(), "{} isn't built", worker.display());
    let mut modules = vec!["index.js".to_owned()];
    let wasm = "index_bg.wasm";
    if worker.join(wasm).exists() {
        modules.push(wasm.to_owned());
    }
    modules
}

/// Returns a value in `wrangler.toml`, so that a contender runs as what is deployed.
fn deployed(name: &str) -> String {
    let path = Path::new(ROOT).join("wrangler.toml");
    let text = fs::read_to_string(path).expect("wrangler.toml is missing");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    value.unwrap_or_else(|| panic!("wrangler.toml has no {name}")).to_owned()
}

fn configure(modules: &[String], vars: &[(&str, &str)], cache: &str) -> String {
    let module = |name: &String| {
        let kind = if name.ends_with(".wasm") { "wasm" } else { "esModule" };
        format!("(name = {name:?}, {kind} = embed \"/{name}\")")
    };
    let modules = modules.iter().map(module).collect::<Vec<_>>().join(",\n    ");
    let bindings = vars.iter().map(|(name, value)| format!("(name = {name:?}, text = {value:?})"));
    let bindings = bindings.collect::<Vec<_>>().join(",\n    ");
    let (date, flags) = (deployed("compatibility_date"), deployed("compatibility_flags"));
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "internet", network = (allow = ["public", "private", "local"])),
    (name = "cache", external = (address = "{cache}", http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "worker")],
);

const worker :Workerd.Worker = (
  modules = [
    {modules}
  ],
  bindings = [
    {bindings}
  ],
  compatibilityDate = {date},
  compatibilityFlags = {flags},
  cacheApiOutbound = "cache",
);
"#
    )
}
