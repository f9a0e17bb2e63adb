//! What each isolate knows of an outage, and the probes by which it knows. They are answered at
//! once here.

use http::Method;
use http::header::HeaderMap;
use matrix_media_edge::outage::Outage;

use crate::edge::ISOLATES;
use crate::flight::Moment;
use crate::homeserver::{HOMESERVER, Homeserver, Wire};

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
        homeserver: &mut Homeserver,
    ) -> bool {
        let is_known = self.outages[isolate].is_known(now.edge_ms);
        if is_known {
            self.probe(isolate, now, homeserver);
        }
        is_known
    }

    /// How an isolate hears what a reader's question has led to; no status is no answer.
    pub(crate) fn hear(
        &mut self,
        isolate: usize,
        status: Option<u16>,
        is_stale_wanted: bool,
        now: Moment,
        homeserver: &mut Homeserver,
    ) {
        if !is_failure(status) {
            self.outages[isolate] = Outage::NONE;
        } else if is_stale_wanted {
            self.probe(isolate, now, homeserver);
        }
    }

    /// How long ago, by the edge's clock, the isolate's last probe failed.
    pub(crate) fn failed_before_ms(&self, isolate: usize, edge_ms: u64) -> Option<u64> {
        edge_ms.checked_sub(self.failed_ms[isolate]?)
    }

    pub(crate) const fn forget(&mut self, isolate: usize) {
        self.outages[isolate] = Outage::NONE;
    }

    fn probe(&mut self, isolate: usize, now: Moment, homeserver: &mut Homeserver) {
        let outage = &mut self.outages[isolate];
        let Some(probe) = outage.begin_probe(now.edge_ms) else { return };
        self.sent += 1;
        let url = format!("{HOMESERVER}/_matrix/client/versions");
        let wire = Wire { method: Method::GET, url, headers: HeaderMap::new() };
        if is_failure(homeserver.answer(&wire).status()) {
            outage.fail_probe(probe, now.edge_ms, 0x9E37_79B9);
            self.failed_ms[isolate] = Some(now.edge_ms);
        } else {
            *outage = Outage::NONE;
        }
    }
}

fn is_failure(status: Option<u16>) -> bool {
    status.is_none_or(|status| status >= 500)
}
