//! The followed list: what the homeserver has quarantined is polled each minute and listed in the
//! bucket, where the data centres read it.

use std::rc::Rc;

use http::StatusCode;
use matrix_media_edge::admin::quarantine::{Position, Step};
use matrix_media_edge::cache::purge_list::KnownPurges;
use matrix_media_edge::config::Config;

use crate::edge::START_UNIX_SECS;
use crate::homeserver::quarantine_changes;
use crate::workload::Workload;

const POLL_MS: u64 = 60_000;

/// The list in the bucket, and who follows it.
pub(crate) struct FollowedList {
    config: Rc<Config>,
    /// What the bucket has, as the poller knows it.
    written: KnownPurges,
    position: Position,
    next_poll_ms: u64,
}

impl FollowedList {
    /// Returns a list that is followed from now on; `None` where no grant stands by it.
    pub(crate) fn new(config: &Rc<Config>) -> Option<Self> {
        (config.lease.media_lease_secs > 0).then(|| Self {
            config: Rc::clone(config),
            written: KnownPurges::default(),
            position: Position::START,
            next_poll_ms: 0,
        })
    }

    /// Returns the list as an isolate knows it that reads the bucket now.
    pub(crate) fn read(&self, now_unix_secs: u64, config: &Config) -> KnownPurges {
        let mut known = self.written.clone();
        known.on_bucket(Ok(None), now_unix_secs, config);
        known
    }

    /// Polls as often as was due until this time.
    pub(crate) fn advance(&mut self, workload: &Workload, now_ms: u64) {
        while self.next_poll_ms <= now_ms {
            self.poll(workload, self.next_poll_ms);
            self.next_poll_ms += POLL_MS;
        }
    }

    fn poll(&mut self, workload: &Workload, at_ms: u64) {
        let now_unix_secs = START_UNIX_SECS + at_ms / 1000;
        let token = self.config.synapse_admin_token.as_ref().expect("an admin's token");
        let mut known = self.read(now_unix_secs, &self.config);
        loop {
            let asked = self.position.request(&self.config, token);
            let page = quarantine_changes(workload, &asked.url, at_ms);
            match self.position.clone().on_answer(StatusCode::OK, Some(&page)) {
                Step::Next(quarantined, position) => {
                    let prefixes: Vec<_> =
                        quarantined.iter().flat_map(|scope| scope.prefixes(&self.config)).collect();
                    if !prefixes.is_empty() {
                        known.add_refused(&prefixes, now_unix_secs, &self.config);
                    }
                    self.position = position;
                }
                Step::Complete { position, is_begun_anew } => {
                    // The question was on its way for up to a second.
                    let before = known.stamp().filter(|_| !is_begun_anew);
                    known.complete(before, now_unix_secs - 1);
                    self.position = position;
                    break;
                }
                Step::Failed => unreachable!("a page of the homeserver's"),
            }
        }
        self.written = known;
    }
}
