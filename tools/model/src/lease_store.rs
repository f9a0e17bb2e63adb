//! Lease records, in an isolate's memory before the data centre's cache, as the shell keeps them.

use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::config::lease_policy::{LeasePolicy, RecordOf};
use matrix_media_edge::lease::memory::LeaseMemory;
use matrix_media_edge::lease::standing::MediaWatch;
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, Leases, parse_record, write_record};

use crate::store::{Condition, Entry, Store};

pub struct LeaseStore<'a> {
    pub memory: &'a mut LeaseMemory,
    pub pop: &'a mut Store,
    pub policy: LeasePolicy,
    /// What the list of purges tells about the media.
    pub watch: MediaWatch,
    pub now_ms: u64,
    /// The edge's own clock, which may be wrong.
    pub now_unix_secs: u64,
}

impl LeaseStore<'_> {
    /// In an outage the list is not told of refusals, so that memory answers for less.
    pub fn look_up(&mut self, keys: Option<&LeaseKeys>, is_outage: bool) -> Leases {
        let Some(keys) = keys else { return Leases::default() };
        let watch = if is_outage { MediaWatch::default() } else { self.watch };
        let recalled = self.memory.recall(keys, self.policy, watch, self.now_unix_secs);
        let media = if recalled.needs_media() { self.find(&keys.media) } else { recalled.media };
        let credential = recalled.credential.or_else(|| self.find(keys.credential.as_ref()?));
        Leases { credential, media, by_list: recalled.by_list, watch: self.watch }
    }

    /// The leases with the grant that brought the stored body.
    pub fn with_body(
        &mut self,
        leases: Leases,
        keys: Option<&LeaseKeys>,
        body: Option<u64>,
    ) -> Leases {
        self.memory.with_body(leases, keys, body)
    }

    pub fn apply(&mut self, keys: Option<&LeaseKeys>, change: LeaseChange) {
        let Some(keys) = keys else { return };
        if let Some((granted, asked_unix_secs)) = keys.granted_by(change) {
            for (record, key) in granted {
                self.write(record, key, asked_unix_secs);
            }
        }
        for key in keys.revoked_by(change) {
            self.remove(&key);
        }
    }

    fn find(&mut self, key: &CacheKey) -> Option<u64> {
        let confirmed = parse_record(&self.pop.find_text(key, self.now_ms)?, key)?;
        self.memory.record_grant(key, confirmed).then_some(confirmed)
    }

    fn write(&mut self, record: RecordOf, key: &CacheKey, confirmed_unix_secs: u64) {
        if !self.memory.record_grant(key, confirmed_unix_secs) {
            return;
        }
        let ends_ms = self.now_ms + self.policy.retention_secs(record) * 1000;
        let record = Entry::text(write_record(key, confirmed_unix_secs), ends_ms);
        self.pop.store(key, record, Condition::None);
    }

    fn remove(&mut self, key: &CacheKey) {
        self.memory.record_refusal(key, self.now_unix_secs);
        self.pop.remove(key);
    }
}
