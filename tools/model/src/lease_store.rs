//! Lease records, in an isolate's memory before the data centre's cache, as the shell keeps them.

use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::config::lease_policy::LeasePolicy;
use matrix_media_edge::lease::memory::LeaseMemory;
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, Leases, parse_record, write_record};

use crate::store::{Condition, Entry, Store};

pub struct LeaseStore<'a> {
    pub memory: &'a mut LeaseMemory,
    pub pop: &'a mut Store,
    pub policy: LeasePolicy,
    pub now_ms: u64,
    /// The edge's own clock, which may be wrong.
    pub now_unix_secs: u64,
}

impl LeaseStore<'_> {
    pub fn look_up(&mut self, keys: Option<&LeaseKeys>) -> Leases {
        let Some(keys) = keys else { return Leases::default() };
        let credential = keys.credential.as_ref().and_then(|key| self.find(key));
        Leases { credential, media: self.find(&keys.media) }
    }

    pub fn apply(&mut self, keys: Option<&LeaseKeys>, change: LeaseChange) {
        let Some(keys) = keys else { return };
        if let Some((granted, asked_unix_secs)) = keys.granted_by(change) {
            for key in granted {
                self.write(key, asked_unix_secs);
            }
        }
        for key in keys.revoked_by(change) {
            self.remove(&key);
        }
    }

    fn find(&mut self, key: &CacheKey) -> Option<u64> {
        let living = self.memory.living(key, self.policy, self.now_unix_secs);
        if living.is_some() {
            return living;
        }
        let confirmed = parse_record(&self.pop.find_text(key, self.now_ms)?, key)?;
        self.memory.record_grant(key, confirmed).then_some(confirmed)
    }

    fn write(&mut self, key: &CacheKey, confirmed_unix_secs: u64) {
        if !self.memory.record_grant(key, confirmed_unix_secs) {
            return;
        }
        let ends_ms = self.now_ms + self.policy.retention_secs() * 1000;
        let record = Entry::text(write_record(key, confirmed_unix_secs), ends_ms);
        self.pop.store(key, record, Condition::None);
    }

    fn remove(&mut self, key: &CacheKey) {
        self.memory.record_refusal(key, self.now_unix_secs);
        self.pop.remove(key);
    }
}
