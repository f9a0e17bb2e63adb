//! Lease records, in an isolate's memory before the data centre's cache, as the shell keeps them.

use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::cache::lru::Lru;
use matrix_media_edge::config::lease_policy::LeasePolicy;
use matrix_media_edge::lease::{
    LeaseChange, LeaseKeys, Leases, parse_record, record_weight, write_record,
};

use crate::store::{Condition, Entry, Store};

/// What one isolate remembers to have heard.
pub(crate) type Memory = Lru<Heard>;

#[derive(Clone, Copy)]
pub(crate) enum Heard {
    /// When it was asked for.
    Yes(u64),
    /// When it arrived.
    No(u64),
}

pub(crate) struct LeaseStore<'a> {
    pub(crate) memory: &'a mut Memory,
    pub(crate) pop: &'a mut Store,
    pub(crate) policy: LeasePolicy,
    pub(crate) now_ms: u64,
    /// The edge's own clock, which may be wrong.
    pub(crate) now_unix_secs: u64,
}

impl LeaseStore<'_> {
    pub(crate) fn look_up(&mut self, keys: Option<&LeaseKeys>) -> Leases {
        let Some(keys) = keys else { return Leases::default() };
        let credential = keys.credential.as_ref().and_then(|key| self.find(key));
        Leases { credential, media: self.find(&keys.media) }
    }

    pub(crate) fn apply(&mut self, keys: Option<&LeaseKeys>, change: LeaseChange) {
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
        if let Some(Heard::Yes(confirmed)) = self.memory.get(key).copied()
            && self.policy.is_alive(confirmed, self.now_unix_secs)
        {
            return Some(confirmed);
        }
        let confirmed = parse_record(&self.pop.find_text(key, self.now_ms)?, key)?;
        self.hear_yes(key, confirmed).then_some(confirmed)
    }

    /// A yes that was asked for before a no was heard is no news.
    fn hear_yes(&mut self, key: &CacheKey, confirmed_unix_secs: u64) -> bool {
        let counts = match self.memory.get(key) {
            Some(Heard::No(refused_unix_secs)) => *refused_unix_secs < confirmed_unix_secs,
            Some(Heard::Yes(_)) | None => true,
        };
        if counts {
            self.hear(key, Heard::Yes(confirmed_unix_secs));
        }
        counts
    }

    fn hear(&mut self, key: &CacheKey, word: Heard) {
        self.memory.insert(key.clone(), word, record_weight(key));
    }

    fn write(&mut self, key: &CacheKey, confirmed_unix_secs: u64) {
        if !self.hear_yes(key, confirmed_unix_secs) {
            return;
        }
        let ends_ms = self.now_ms + self.policy.retention_seconds() * 1000;
        let record = Entry::text(write_record(key, confirmed_unix_secs), ends_ms);
        self.pop.store(key, record, Condition::None);
    }

    fn remove(&mut self, key: &CacheKey) {
        self.hear(key, Heard::No(self.now_unix_secs));
        self.pop.remove(key);
    }
}
