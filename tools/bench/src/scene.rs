//! One contender at one distance, as a workload sees it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use test_support::http::Request;
use test_support::time::now;

use crate::client::{Client, Transfer};
use crate::contenders::{Contender, Id};
use crate::process_stats::Processes;
use crate::sample::{Figure, Figures};
use crate::world::World;

/// What a workload sees of a contender.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) world: &'a World,
    pub(crate) contender: &'a Contender,
    pub(crate) round_trip_ms: u64,
    /// How long requests are made.
    pub(crate) seconds: u64,
}

impl Scene<'_> {
    pub(crate) fn address(&self) -> &str {
        self.contender.address(self.round_trip_ms)
    }

    /// A request of the reader, or of another homeserver where those ask.
    pub(crate) fn request(&self, method: &str, target: &str) -> Request {
        Request::new(method, target)
            .header("Host", self.address())
            .header("Authorization", self.world.authorization(method, target))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address()).expect("the contender can't be reached")
    }

    /// A client that is connected to the contender, and the contender to Synapse.
    pub(crate) fn warm_client(&self) -> Client {
        static ASKED: AtomicU64 = AtomicU64::new(0);
        let number = ASKED.fetch_add(1, Ordering::Relaxed);
        let mut client = self.client();
        // Nobody can have cached this.
        let target = format!("/_matrix/client/versions?{number}");
        client.get(&self.request("GET", &target)).expect("it breaks off");
        client
    }

    /// Asks three times, with a pause in which it can be stored.
    pub(crate) fn warm(&self, target: &str) {
        if self.contender.id == Id::Synapse {
            return;
        }
        for _ in 0..3 {
            let Transfer { status, .. } =
                self.client().get(&self.request("GET", target)).expect("it breaks off");
            assert_eq!(status, 200, "{} {target}", self.contender.id.title());
            sleep(Duration::from_millis(50));
        }
    }

    /// Does something, and tells besides what it says itself what it cost. `act` returns how many
    /// requests it has made.
    pub(crate) fn observe(&self, act: impl FnOnce() -> (u64, Figures)) -> Figures {
        let own = &self.contender.processes;
        let origin = Processes::of(self.world.synapse.id);
        own.forget_peak();
        let before = (own.cpu_ms(), origin.cpu_ms(), self.contender.link.passed());
        let (requests, mut figures) = act();
        let requests = requests as f64;
        let passed = self.contender.link.passed();
        figures.insert(Figure::PeakResidentMib, own.peak_resident_mib());
        if self.contender.id != Id::Synapse {
            figures.insert(Figure::CpuMsPerRequest, (own.cpu_ms() - before.0) / requests);
        }
        figures.insert(Figure::OriginCpuMsPerRequest, (origin.cpu_ms() - before.1) / requests);
        // Without a distance Synapse alone is met directly, where nobody counts.
        if self.contender.id != Id::Synapse || self.round_trip_ms > 0 {
            let asked = (passed.requests - before.2.requests) as f64;
            let bytes = (passed.bytes - before.2.bytes) as f64;
            figures.insert(Figure::OriginRequestsPer1000, asked * 1000.0 / requests);
            figures.insert(Figure::OriginKilobytesPer1000, bytes / requests);
        }
        figures
    }
}

/// Runs something and tells how long it took, in milliseconds.
pub(crate) fn timed_ms(act: impl FnOnce()) -> f64 {
    let started = now();
    act();
    started.elapsed().as_secs_f64() * 1000.0
}
