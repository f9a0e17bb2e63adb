//! Workers under load: each has an isolate that stays, and one beside it that is replaced now and
//! then, as the platform does with all of them. Both share the cache of their data centre.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use model::random::Random;
use test_support::edge::{Edge, Held, Layout};
use test_support::profile::Profile;
use test_support::time::now;

use crate::Plan;
use crate::judge::Judge;
use crate::memory::MAX_HEAP_MIB;
use crate::truth::SERVER_NAME;

/// How many isolates of a Worker are asked at a time.
pub(crate) const ISOLATES: usize = 2;

/// How often it is looked whether all is over.
const STEP: Duration = Duration::from_millis(100);

/// A plain JavaScript Worker that only caches: what any Worker takes here.
const CONTROL: &str = "tools/bench/workers/caching";

/// An isolate, as its readers know it.
pub(crate) struct Isolate {
    pub(crate) address: String,
    pub(crate) judge: Judge,
    /// Whether another has taken its place.
    is_retired: AtomicBool,
}

impl Isolate {
    fn new(edge: &Edge, lease: Duration) -> Arc<Self> {
        let judge = Judge::new(lease);
        let address = edge.direct_address.clone();
        Arc::new(Self { address, judge, is_retired: AtomicBool::new(false) })
    }

    /// Whether a transfer broke since the isolate was replaced. A reader who waits in vain has not
    /// been told so, whatever the reason.
    pub(crate) fn has_broken(&self, error: &io::Error) -> bool {
        self.is_retired.load(Ordering::SeqCst) && error.kind() != io::ErrorKind::WouldBlock
    }
}

/// A Worker under load.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    lease: Duration,
    layout: Layout,
    vars: Vec<(&'static str, String)>,
    /// Runs the isolate that stays, which alone is looked into all the time.
    pub(crate) staying: Edge,
    stays: Arc<Isolate>,
    replaced: Mutex<(Edge, Arc<Isolate>)>,
}

/// What an isolate was like when it was replaced.
pub(crate) struct Retired {
    /// What it held; an error where that can't be told.
    pub(crate) held: Result<Held, String>,
    pub(crate) has_panicked: bool,
}

impl Target {
    pub(crate) fn start(name: &'static str, origin: &str, lease: Duration, plan: Plan) -> Self {
        let vars = vec![
            ("HOMESERVER_URL", origin.to_owned()),
            ("SERVER_NAME", SERVER_NAME.to_owned()),
            ("MEDIA_URL", "https://media.example.com".to_owned()),
            ("WELL_KNOWN_URL", origin.to_owned()),
            ("LOG_REQUESTS", "none".to_owned()),
            ("LEASE_SECONDS", lease.as_secs().to_string()),
        ];
        let cuts_background_ms = u32::try_from(plan.background.as_millis()).ok();
        let layout = Layout { cuts_background_ms, ..layout() };
        let staying = Edge::start_as(layout, &borrowed(&vars));
        let other = staying.start_beside(layout, &borrowed(&vars));
        let [stays, beside] = [&staying, &other].map(|edge| Isolate::new(edge, lease));
        Self { name, lease, layout, vars, staying, stays, replaced: Mutex::new((other, beside)) }
    }

    /// Any of its isolates, and the number of its place.
    pub(crate) fn pick(&self, random: &mut Random) -> (usize, Arc<Isolate>) {
        match random.below(ISOLATES) {
            0 => (0, Arc::clone(&self.stays)),
            place => (place, Arc::clone(&self.replaced().1)),
        }
    }

    /// Has a new isolate take the place of one, which breaks all that this one has under way.
    fn replace(&self) -> Retired {
        let edge = self.staying.start_beside(self.layout, &borrowed(&self.vars));
        let isolate = Isolate::new(&edge, self.lease);
        let held = self.replaced().0.try_held();
        let (edge, isolate) = std::mem::replace(&mut *self.replaced(), (edge, isolate));
        isolate.is_retired.store(true, Ordering::SeqCst);
        Retired { held, has_panicked: edge.log().contains("panicked") }
    }

    /// Whether any of its isolates that are there now panicked.
    pub(crate) fn has_panicked(&self) -> bool {
        [&self.staying, &self.replaced().0].iter().any(|edge| edge.log().contains("panicked"))
    }

    /// A reader that fell over has said so already.
    fn replaced(&self) -> MutexGuard<'_, (Edge, Arc<Isolate>)> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the plain JavaScript Worker.
pub(crate) fn start_control(origin: &str) -> Edge {
    Edge::start_worker_as(CONTROL, layout(), &[("ORIGIN", origin)])
}

/// Replaces isolates at random until it is over, once in `life` on the average.
pub(crate) fn replace_at_random(
    targets: &[Target],
    life: Duration,
    is_over: &AtomicBool,
) -> Vec<Retired> {
    let mut random = Random::new(1);
    let mut retired = Vec::new();
    while wait(random.below(usize::try_from(2 * life.as_millis()).unwrap_or(usize::MAX)), is_over) {
        retired.push(targets[random.below(targets.len())].replace());
    }
    retired
}

/// Waits for so many milliseconds. Returns `false` if the load ends before that.
fn wait(millis: usize, is_over: &AtomicBool) -> bool {
    let end = now() + Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    while now() < end && !is_over.load(Ordering::Relaxed) {
        sleep(STEP);
    }
    !is_over.load(Ordering::Relaxed)
}

/// The cache is a stand-in outside of workerd, so that it survives the isolates, and is no part of
/// what they take.
fn layout() -> Layout {
    Layout {
        is_inspected: true,
        max_heap_mib: Some(MAX_HEAP_MIB),
        profile: Some(Profile::Cloudflare),
        ..Layout::default()
    }
}

fn borrowed<'a>(vars: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    vars.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_transfer_is_excused_only_of_an_isolate_that_was_replaced() {
        let isolate = |is_retired| Isolate {
            address: String::new(),
            judge: Judge::new(Duration::ZERO),
            is_retired: AtomicBool::new(is_retired),
        };
        let broken = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(isolate(true).has_broken(&broken));
        assert!(!isolate(false).has_broken(&broken));
        // That is what a read of a socket ends with whose time is over.
        assert!(!isolate(true).has_broken(&io::Error::from(io::ErrorKind::WouldBlock)));
    }
}
