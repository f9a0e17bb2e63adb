//! Where and with what it was measured.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use test_support::ROOT;
use test_support::http::Request;
use test_support::nginx::PROGRAM as NGINX;

use crate::contenders::{OURS, WORKERD};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// How many processes wanted to run in the last minute before the start.
    pub(crate) load_before: String,
    /// By program.
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) deployed_gzip_bytes: usize,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
}

impl About {
    pub(crate) fn this(synapse: &str, rounds: usize, seconds: u64) -> Self {
        let versions = [
            ("Synapse", synapse_version(synapse)),
            ("nginx", output(NGINX, &["-v"])),
            ("workerd", output(&format!("{ROOT}/{WORKERD}"), &["--version"])),
            ("Miniflare", package_version("miniflare")),
            ("wrk", output("wrk", &["-v"])),
        ];
        Self {
            date: output("date", &["--utc", "+%F"]),
            commit: output("git", &["-C", ROOT, "describe", "--always", "--dirty"]),
            processor: proc_value("cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(&proc_value("meminfo", "MemTotal")),
            kernel: output("uname", &["-sr"]),
            load_before: load_average(),
            versions: versions.map(|(name, version)| (name.to_owned(), version)).to_vec(),
            deployed_gzip_bytes: ["index.js", "index_bg.wasm"]
                .map(|module| gzip_bytes(&Path::new(ROOT).join(OURS).join(module)))
                .iter()
                .sum(),
            rounds,
            seconds,
        }
    }
}

/// The first line that a program prints.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned()
}

fn synapse_version(address: &str) -> String {
    let answer = Request::new("GET", "/_matrix/client/versions").header("Host", address);
    answer.send(address).header("server").unwrap_or_default().to_owned()
}

fn package_version(name: &str) -> String {
    let path = Path::new(ROOT).join("node_modules").join(name).join("package.json");
    let text = fs::read_to_string(path).expect("the npm packages are missing: run `make setup`");
    let package = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
    package["version"].as_str().unwrap_or_default().to_owned()
}

fn proc_value(file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{file}")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn memory_gib(kib: &str) -> u64 {
    kib.trim_end_matches(" kB").parse::<u64>().unwrap_or_default() >> 20
}

/// As `make size` counts.
fn gzip_bytes(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut command = Command::new("gzip");
    command.arg("-9c").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut gzip = command.spawn().expect("gzip can't be started");
    let mut input = gzip.stdin.take().expect("it is piped");
    let feeder = std::thread::spawn(move || input.write_all(&bytes));
    let output = gzip.wait_with_output().expect("gzip breaks off");
    feeder.join().expect("the feeder panicked").expect("gzip takes no more");
    output.stdout.len()
}
