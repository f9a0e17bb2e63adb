//! What each isolate knows of an outage, and the probes by which it knows. They are answered at
//! once here.

use matrix_media_edge::config::Config;
use matrix_media_edge::outage::{Advice, Evidence, Outage, Probe, probe_request};

use crate::edge::ISOLATES;
use crate::flight::Moment;
use crate::homeserver::{Homeserver, Wire};

#[derive(Debug, Default)]
pub(crate) struct Probes {
    outages: [Outage; ISOLATES],
    /// When the last probe of each failed, by the edge's clock.
    failed_ms: [Option<u64>; ISOLATES],
    /// All that were sent.
    pub(crate) sent: usize,
}

impl Probes {
    pub(crate) fn is_outage_known(
        &mut self,
        isolate: usize,
        now: Moment,
        config: &Config,
        homeserver: &mut Homeserver,
    ) -> bool {
        let is_known = self.outages[isolate].is_known(now.edge_ms);
        if is_known {
            self.probe(isolate, now, config, homeserver);
        }
        is_known
    }

    /// How an isolate hears what an answer to a reader's question tells.
    pub(crate) fn hear(
        &mut self,
        isolate: usize,
        evidence: Evidence,
        now: Moment,
        config: &Config,
        homeserver: &mut Homeserver,
    ) {
        match evidence {
            Evidence::Up => self.outages[isolate].hear(now.edge_ms),
            Evidence::Down if config.lease.stale_if_error_seconds > 0 => {
                self.probe(isolate, now, config, homeserver);
            }
            Evidence::Down | Evidence::Unclear => {}
        }
    }

    /// Whether the homeserver is down, as far as a reader whose question has failed may know.
    pub(crate) fn is_confirmed(
        &mut self,
        isolate: usize,
        now: Moment,
        config: &Config,
        homeserver: &mut Homeserver,
    ) -> bool {
        loop {
            match self.outages[isolate].advise(now.edge_ms, now.edge_ms) {
                Advice::ServeStale => return true,
                Advice::Relay => return false,
                Advice::Probe(probe) => self.send(probe, isolate, now, config, homeserver),
                Advice::Wait => panic!("a probe is answered at once"),
            }
        }
    }

    /// How long ago, by the edge's clock, the isolate's last probe failed.
    pub(crate) fn failed_before_ms(&self, isolate: usize, edge_ms: u64) -> Option<u64> {
        edge_ms.checked_sub(self.failed_ms[isolate]?)
    }

    pub(crate) const fn forget(&mut self, isolate: usize) {
        self.outages[isolate] = Outage::NONE;
    }

    fn probe(&mut self, isolate: usize, now: Moment, config: &Config, homeserver: &mut Homeserver) {
        if let Some(probe) = self.outages[isolate].begin_probe(now.edge_ms) {
            self.send(probe, isolate, now, config, homeserver);
        }
    }

    fn send(
        &mut self,
        probe: Probe,
        isolate: usize,
        now: Moment,
        config: &Config,
        homeserver: &mut Homeserver,
    ) {
        self.sent += 1;
        let request = probe_request(config);
        let wire = Wire { method: request.method, url: request.url, headers: request.set };
        let answer = homeserver.answer(&wire).read(|head| head.is_small_json());
        let outage = &mut self.outages[isolate];
        outage.end_probe(probe, &answer, now.edge_ms, 0x9E37_79B9);
        if outage.is_known(now.edge_ms) {
            self.failed_ms[isolate] = Some(now.edge_ms);
        }
    }
}
