//! What the edge keeps: stored responses and lease records, as the shell keeps them. All of it may
//! be gone at any time.

use std::collections::BTreeMap;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH};
use matrix_media_edge::cache_key::CacheKey;
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, Leases, parse_record, write_record};
use matrix_media_edge::lease_policy::LeasePolicy;
use matrix_media_edge::request::ReplyHead;
use matrix_media_edge::stored::{STORED_META, StoredMeta};

/// The cache of one data centre.
#[derive(Default)]
pub(crate) struct Cache {
    entries: BTreeMap<CacheKey, Entry>,
    /// Stored, but not to be found yet.
    late: Vec<(CacheKey, Entry)>,
    pub(crate) fault: Fault,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Nothing is found.
    LookUp,
    /// Nothing is stored.
    Store,
    /// A response that is stored turns up later.
    Late,
}

#[derive(Clone)]
struct Entry {
    /// The record of a stored response, or the text of a lease.
    record: String,
    body: Vec<u8>,
    ends_ms: u64,
}

impl Cache {
    /// What is stored under `key`: nothing without a record of ours that belongs there.
    pub(crate) fn look_up(&mut self, key: &CacheKey, now_ms: u64) -> Option<(StoredMeta, Vec<u8>)> {
        let entry = self.find(key, now_ms)?;
        let stored = StoredMeta::parse(&entry.record, key).map(|meta| (meta, entry.body));
        if stored.is_none() {
            self.entries.remove(key);
        }
        stored
    }

    /// The runtime stores no body that is shorter than it was to be.
    pub(crate) fn store(&mut self, key: &CacheKey, head: &ReplyHead, body: &[u8], now_ms: u64) {
        assert_eq!(head.headers[CONTENT_LENGTH], *body.len().to_string(), "a length that is told");
        let record = head.headers[STORED_META].to_str().expect("a record in ASCII").to_owned();
        let control = head.headers[CACHE_CONTROL].to_str().expect("ASCII");
        let max_age = control.split_once("max-age=").expect("an age").1.parse::<u64>();
        let ends_ms = now_ms + max_age.expect("seconds") * 1000;
        let entry = Entry { record, body: body.to_vec(), ends_ms };
        match self.fault {
            Fault::Late => self.late.push((key.clone(), entry)),
            Fault::None | Fault::LookUp | Fault::Store => self.put(key, entry),
        }
    }

    pub(crate) fn remove(&mut self, key: &CacheKey) {
        self.entries.remove(key);
    }

    /// Forgets one entry.
    pub(crate) fn evict(&mut self, which: usize) {
        let key = self.entries.keys().nth(which % self.entries.len().max(1)).cloned();
        key.map(|key| self.entries.remove(&key));
    }

    /// What was late is there now.
    pub(crate) fn settle(&mut self) {
        self.entries.extend(self.late.drain(..));
    }

    fn find(&self, key: &CacheKey, now_ms: u64) -> Option<Entry> {
        let found = self.entries.get(key).filter(|entry| now_ms < entry.ends_ms);
        found.filter(|_| self.fault != Fault::LookUp).cloned()
    }

    fn put(&mut self, key: &CacheKey, entry: Entry) {
        assert!(!key.to_string().contains("syt_"), "a key tells no token");
        if self.fault != Fault::Store {
            self.entries.insert(key.clone(), entry);
        }
    }
}

/// The leases that one isolate remembers.
#[derive(Default)]
pub(crate) struct Memory(BTreeMap<CacheKey, u64>);

/// Lease records, in an isolate's memory before the data centre's cache.
pub(crate) struct LeaseStore<'a> {
    pub(crate) memory: &'a mut Memory,
    pub(crate) cache: &'a mut Cache,
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
        let remembered = self.memory.0.get(key).copied();
        let is_of_use = |at: &u64| self.policy.is_alive(*at, self.now_unix_secs);
        if let Some(confirmed) = remembered.filter(is_of_use) {
            return Some(confirmed);
        }
        let confirmed = parse_record(&self.cache.find(key, self.now_ms)?.record, key)?;
        self.memory.0.insert(key.clone(), confirmed);
        Some(confirmed)
    }

    fn write(&mut self, key: Option<&CacheKey>, confirmed_unix_secs: u64) {
        let Some(key) = key else { return };
        self.memory.0.insert(key.clone(), confirmed_unix_secs);
        let record = write_record(key, confirmed_unix_secs);
        let ends_ms = self.now_ms + self.policy.retention_seconds() * 1000;
        self.cache.put(key, Entry { record, body: Vec::new(), ends_ms });
    }

    fn remove(&mut self, key: Option<&CacheKey>) {
        let Some(key) = key else { return };
        self.memory.0.remove(key);
        self.cache.remove(key);
    }
}
