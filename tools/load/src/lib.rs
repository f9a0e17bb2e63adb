//! Many readers at once, while tokens are revoked, media is quarantined, and the origin dies and
//! comes back: every answer is held against what was true at that time.
//!
//! `truth` knows what is true and since when, and `trouble` changes it. The `homeserver` is a
//! stand-in that answers by it (`origin`), or a real Synapse that is told (`synapse`). `readers` ask
//! two Workers, one strict and one with leases, and `judge` says of each answer whether it may be.

mod ask;
mod client;
mod homeserver;
mod judge;
mod origin;
mod readers;
mod report;
mod synapse;
mod trouble;
mod truth;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use test_support::edge::{Edge, Layout};
use test_support::time::now;

use crate::homeserver::{Homeserver, fill};
use crate::judge::Judge;
use crate::origin::Origin;
use crate::readers::Reader;
pub use crate::report::Report;
use crate::synapse::Real;
use crate::truth::{SERVER_NAME, Truth};

/// For how long the Worker with leases takes a yes as still given.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// How much is asked, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whether the origin is a real Synapse, and no stand-in.
    pub is_real: bool,
    /// How many ask at once.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
    /// How often the origin is in trouble: by turns it crashes, and is gone.
    pub troubles: u32,
    /// For how long it is gone.
    pub outage: Duration,
}

/// A Worker under load.
pub(crate) struct Target {
    pub(crate) edge: Edge,
    pub(crate) judge: Judge,
}

impl Target {
    fn start(origin: &str, lease: Duration) -> Self {
        let seconds = lease.as_secs().to_string();
        let vars = [
            ("HOMESERVER_URL", origin),
            ("SERVER_NAME", SERVER_NAME),
            ("MEDIA_URL", "https://media.example.com"),
            ("WELL_KNOWN_URL", origin),
            ("LOG_REQUESTS", "none"),
            ("LEASE_SECONDS", seconds.as_str()),
        ];
        let layout = Layout { collects_garbage: true, ..Layout::default() };
        Self { edge: Edge::start_as(layout, &vars), judge: Judge::new(lease) }
    }
}

/// Carries a plan out.
///
/// # Panics
/// When Synapse or the Workers don't start.
pub fn run(plan: Plan) -> Report {
    let truth = Arc::new(Truth::new());
    let homeserver: Box<dyn Homeserver> = if plan.is_real {
        Box::new(Real::start(plan.outage))
    } else {
        Box::new(Origin::start(&truth, plan.outage))
    };
    let homeserver = &*homeserver;
    fill(&truth, homeserver);
    let url = homeserver.url();
    let targets = [Target::start(&url, Duration::ZERO), Target::start(&url, LEASE)];
    let is_over = AtomicBool::new(false);
    let reader = |number: usize| {
        let target = &targets[number % targets.len()];
        Reader::new(number, plan.connections, &truth, homeserver, target)
    };
    let (tallies, memory) = thread::scope(|scope| {
        let readers: Vec<_> = (0..plan.connections)
            .map(|number| (reader(number), &is_over))
            .map(|(reader, is_over)| scope.spawn(move || reader.read_until(is_over)))
            .collect();
        let memory = scope.spawn(|| report::watch(&targets, &is_over));
        {
            let _end = End(&is_over);
            trouble::make(&truth, homeserver, plan, now());
        }
        let tallies: Vec<_> =
            readers.into_iter().map(|reader| reader.join().expect("a reader fell over")).collect();
        (tallies, memory.join().expect("the watch fell over"))
    });
    let is_well = targets.iter().all(|target| !target.edge.log().contains("panicked"));
    let changes = truth.now().changes();
    Report::new(plan, tallies, memory, homeserver.asked(), changes, is_well)
}

/// Says that it is over when this is dropped, so that nobody reads on where the trouble fell over.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
