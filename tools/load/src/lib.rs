//! Many readers at once, while tokens are revoked, media is quarantined, the origin dies and comes
//! back, isolates are replaced, and a third of all readers leave: every answer is held against what
//! was true at that time, and isolates against the memory that the platform gives them.
//!
//! `truth` knows what is true and since when, and `trouble` changes it. The `homeserver` is a
//! stand-in that answers by it (`origin`), or a real Synapse that is told (`synapse`). `readers` ask
//! the `isolates` of two Workers, one strict and one with leases, and `judge` says of each answer
//! whether it may be. `memory` looks at what isolates hold, beside a plain JavaScript Worker as a
//! control, and `limit` is the kernel's own.

mod ask;
mod client;
mod homeserver;
mod isolates;
mod judge;
mod limit;
mod memory;
mod origin;
mod readers;
mod report;
mod synapse;
mod trouble;
mod truth;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use test_support::time::now;

use crate::homeserver::{Homeserver, fill};
use crate::isolates::{Target, replace_at_random, start_control};
use crate::limit::Limit;
use crate::origin::Origin;
use crate::readers::{Asked, Reader};
pub use crate::report::Report;
use crate::synapse::Real;
use crate::truth::Truth;

/// For how long the Worker with leases takes a yes as still given.
pub(crate) const LEASE: Duration = Duration::from_secs(5);

/// The Workers, the control last.
pub(crate) const NAMES: [&str; 3] = ["strict", "leased", "control"];

/// How much is asked, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whether the origin is a real Synapse, and no stand-in.
    pub is_real: bool,
    /// Whether the kernel holds Workers to a hard limit of memory.
    pub is_limited: bool,
    /// How many ask at once.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
    /// How often the origin is in trouble: by turns it crashes, and is gone.
    pub troubles: u32,
    /// For how long it is gone.
    pub outage: Duration,
    /// For how long background work may go on after an answer, before it is cut off.
    pub background: Duration,
    /// How often an isolate is replaced: at random, but on the average once in this time.
    pub replacement: Duration,
    /// How often isolates are looked at.
    pub look: Duration,
}

/// Carries a plan out.
///
/// # Errors
/// Why there can be no hard limit, where the plan has one.
///
/// # Panics
/// When Synapse or the Workers don't start.
pub fn run(plan: Plan) -> Result<Report, String> {
    let names = if plan.is_limited { &NAMES[..] } else { &[] };
    let limits = names.iter().map(|name| Limit::create(Path::new(limit::ROOT), name));
    let limits: Vec<Limit> = limits.collect::<Result<_, _>>()?;
    let truth = Arc::new(Truth::new());
    let homeserver: Box<dyn Homeserver> = if plan.is_real {
        Box::new(Real::start(plan.outage))
    } else {
        Box::new(Origin::start(&truth, plan.outage))
    };
    let homeserver = &*homeserver;
    fill(&truth, homeserver);
    let url = homeserver.url();
    let target = |name, lease| Target::start(name, &url, lease, plan);
    let targets = [target(NAMES[0], Duration::ZERO), target(NAMES[1], LEASE)];
    let control = start_control(&url);
    let watched = [&targets[0].staying, &targets[1].staying, &control];
    for (limit, edge) in limits.iter().zip(watched) {
        limit.hold(edge.workerd_id())?;
    }
    let is_over = AtomicBool::new(false);
    let reader = |number: usize| {
        let target = targets.get(number % NAMES.len());
        let asked = target.map_or(Asked::Control(&control), Asked::Target);
        Reader::new(number, plan.connections, &truth, homeserver, asked)
    };
    let (tallies, looks, retired) = thread::scope(|scope| {
        let readers: Vec<_> = (0..plan.connections)
            .map(|number| (reader(number), &is_over))
            .map(|(reader, is_over)| scope.spawn(move || reader.read_until(is_over)))
            .collect();
        let looks = scope.spawn(|| memory::watch(&watched, plan.look, &is_over));
        let retired = scope.spawn(|| replace_at_random(&targets, plan.replacement, &is_over));
        {
            let _end = End(&is_over);
            trouble::make(&truth, homeserver, plan, now());
        }
        let tallies: Vec<_> =
            readers.into_iter().map(|reader| reader.join().expect("a reader fell over")).collect();
        let looks = looks.join().expect("the watch fell over");
        (tallies, looks, retired.join().expect("an isolate could not be replaced"))
    });
    let has_panicked = targets.iter().any(Target::has_panicked);
    Ok(Report::new(plan, tallies)
        .with_memory(looks, retired, limits.iter().map(Limit::kills).sum())
        .with_homeserver(homeserver.asked(), truth.now().changes())
        .with_panic(has_panicked))
}

/// Says that it is over when this is dropped, so that nobody reads on where the trouble fell over.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
