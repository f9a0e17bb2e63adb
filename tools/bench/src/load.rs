//! Requests as fast as they are answered, by wrk: each connection asks anew when it has its answer.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use test_support::ROOT;

use crate::sample::{Figure, Figures};

/// The same request again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) authorization: &'a str,
    /// Further fields.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) connections: u32,
    pub(crate) seconds: u64,
    /// Whether errors are what is asked for.
    pub(crate) is_refused: bool,
}

/// What `wrk.lua` prints.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) requests: u64,
    duration_us: u64,
    bytes: u64,
    p50_us: f64,
    p99_us: f64,
    refused: u64,
    broken: u64,
}

impl Load<'_> {
    /// # Panics
    /// When an answer is not what was asked for.
    pub(crate) fn run(&self) -> Told {
        let mut command = Command::new("wrk");
        command.arg("--script").arg(Path::new(ROOT).join("tools/bench/wrk.lua"));
        command.args(["--threads", "1", "--timeout", "30s"]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--duration", &format!("{}s", self.seconds)]);
        command.args(["--header", &format!("Authorization: {}", self.authorization)]);
        for (name, value) in self.headers {
            command.args(["--header", &format!("{name}: {value}")]);
        }
        command.args([self.url, "--", self.method]);
        let output = command.output().expect("wrk is missing: run `scripts/setup bench`");
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find_map(|line| line.strip_prefix("RESULT "));
        let told = line.and_then(|line| serde_json::from_str::<Told>(line).ok());
        let told = told.unwrap_or_else(|| panic!("wrk says: {said}"));
        let refused = if self.is_refused { told.requests } else { 0 };
        assert_eq!((told.refused, told.broken), (refused, 0), "{} {}", self.method, self.url);
        assert!(told.requests > 0, "{} {}: no answer in time", self.method, self.url);
        told
    }
}

impl Told {
    pub(crate) fn figures(&self) -> Figures {
        let seconds = self.duration_us as f64 / 1e6;
        Figures::from([
            (Figure::RequestsPerSecond, self.requests as f64 / seconds),
            (Figure::MegabytesPerSecond, self.bytes as f64 / 1e6 / seconds),
            (Figure::P50Ms, self.p50_us / 1000.0),
            (Figure::P99Ms, self.p99_us / 1000.0),
        ])
    }
}
