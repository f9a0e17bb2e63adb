//! Lease records, in an isolate's memory before the data centre's cache, as the shell keeps them.

use std::collections::BTreeMap;

use matrix_media_edge::cache_key::CacheKey;
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, Leases, parse_record, write_record};
use matrix_media_edge::lease_policy::LeasePolicy;

use crate::store::{Condition, Entry, Store};

/// What one isolate remembers to have heard.
pub(crate) type Memory = BTreeMap<CacheKey, Heard>;

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
        match change {
            LeaseChange::Keep => {}
            LeaseChange::Grant { asked_unix_secs } => {
                self.write(Some(&keys.media), asked_unix_secs);
                self.write(keys.credential.as_ref(), asked_unix_secs);
            }
            LeaseChange::GrantCredential { asked_unix_secs } => {
                self.write(keys.credential.as_ref(), asked_unix_secs);
            }
            LeaseChange::EndCredential => self.remove(keys.credential.as_ref()),
            LeaseChange::EndMedia => self.remove(Some(&keys.media)),
            LeaseChange::End => {
                self.remove(Some(&keys.media));
                self.remove(keys.credential.as_ref());
            }
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
            self.memory.insert(key.clone(), Heard::Yes(confirmed_unix_secs));
        }
        counts
    }

    fn write(&mut self, key: Option<&CacheKey>, confirmed_unix_secs: u64) {
        let Some(key) = key else { return };
        if !self.hear_yes(key, confirmed_unix_secs) {
            return;
        }
        let ends_ms = self.now_ms + self.policy.retention_seconds() * 1000;
        let record = Entry::text(write_record(key, confirmed_unix_secs), ends_ms);
        self.pop.store(key, record, Condition::None);
    }

    fn remove(&mut self, key: Option<&CacheKey>) {
        let Some(key) = key else { return };
        self.memory.insert(key.clone(), Heard::No(self.now_unix_secs));
        self.pop.remove(key);
    }
}
