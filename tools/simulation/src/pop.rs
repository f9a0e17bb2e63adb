//! One data centre: its cache and its isolates, with stored responses and lease records.

use std::rc::Rc;

use matrix_media_edge::cache::entry::StoredMeta;
use matrix_media_edge::cache::key::CacheKey;
use matrix_media_edge::cache::lru::Lru;
use matrix_media_edge::cache::purge_list::{Freshness, KnownPurges};
use matrix_media_edge::cache::tier::{Tier, is_small, memory_weight};
use matrix_media_edge::config::Config;
use matrix_media_edge::config::lease_policy::{LeasePolicy, RecordOf};
use matrix_media_edge::lease::memory::LeaseMemory;
use matrix_media_edge::lease::standing::MediaWatch;
use matrix_media_edge::lease::{LeaseChange, LeaseKeys, Leases, record_weight};

use crate::model::Model;
use crate::purge_list::FollowedList;
use crate::workload::Request;

pub(crate) struct Pop {
    bodies: Lru<Rc<StoredMeta>>,
    leases: Lru<u64>,
    /// The copy of the followed list, as an isolate knows it that has read it.
    list: KnownPurges,
    isolates: Vec<Isolate>,
    isolate_life_ms: u64,
    memory_bytes: u64,
}

struct Isolate {
    bodies: Lru<Rc<StoredMeta>>,
    leases: LeaseMemory,
    purges: KnownPurges,
    /// How many have lived before it.
    generation: u64,
}

impl Isolate {
    fn new(memory_bytes: u64, generation: u64) -> Self {
        Self {
            bodies: Lru::new(memory_bytes),
            leases: LeaseMemory::new(),
            purges: KnownPurges::default(),
            generation,
        }
    }

    fn remember(&mut self, key: &CacheKey, meta: &Rc<StoredMeta>) {
        self.bodies.insert(key.clone(), Rc::clone(meta), memory_weight(meta));
    }
}

impl Pop {
    pub(crate) fn new(model: &Model, config: &Config) -> Self {
        let memory_bytes = config.memory_cache_bytes;
        Self {
            bodies: Lru::new(model.pop_cache_bytes),
            leases: Lru::new(u64::MAX),
            list: KnownPurges::default(),
            isolates: (0..model.isolates).map(|_| Isolate::new(memory_bytes, 0)).collect(),
            isolate_life_ms: model.isolate_life_secs * 1000,
            memory_bytes,
        }
    }

    /// Puts a new isolate in the place of one that has lived its time. They take turns in ending.
    pub(crate) fn renew_isolate(&mut self, request: &Request) {
        let turn_ms = self.isolate_life_ms / self.isolates.len() as u64 * request.isolate as u64;
        let generation = (request.at_ms + turn_ms) / self.isolate_life_ms;
        let isolate = &mut self.isolates[request.isolate];
        if isolate.generation != generation {
            *isolate = Isolate::new(self.memory_bytes, generation);
        }
    }

    pub(crate) fn look_up(
        &mut self,
        isolate: usize,
        key: &CacheKey,
        is_usable: impl Fn(&StoredMeta) -> bool,
    ) -> Option<(Rc<StoredMeta>, Tier)> {
        let isolate = &mut self.isolates[isolate];
        if let Some(meta) = isolate.bodies.get(key).filter(|meta| is_usable(meta)) {
            return Some((Rc::clone(meta), Tier::Memory));
        }
        let meta = Rc::clone(self.bodies.get(key).filter(|meta| is_usable(meta))?);
        if is_small(meta.length_bytes()) {
            isolate.remember(key, &meta);
        }
        Some((meta, Tier::Pop))
    }

    /// Keeps what the origin has sent.
    pub(crate) fn fill(&mut self, key: &CacheKey, meta: &Rc<StoredMeta>) {
        self.bodies.insert(key.clone(), Rc::clone(meta), meta.length_bytes());
    }

    /// Keeps what the bucket had, and what is small in memory too.
    pub(crate) fn fill_from_bucket(
        &mut self,
        isolate: usize,
        key: &CacheKey,
        meta: &Rc<StoredMeta>,
    ) {
        self.fill(key, meta);
        if is_small(meta.length_bytes()) {
            self.isolates[isolate].remember(key, meta);
        }
    }

    /// Forgets a response, as far as one isolate can.
    pub(crate) fn remove(&mut self, isolate: usize, key: &CacheKey) {
        self.isolates[isolate].bodies.remove(key);
        self.bodies.remove(key);
    }

    /// Returns the list as an isolate knows it.
    pub(crate) fn known_purges(&self, isolate: usize) -> &KnownPurges {
        &self.isolates[isolate].purges
    }

    /// Has an isolate read the copy of the list that is here, and the bucket's where that is no
    /// longer fresh. Isolates add nothing of their own, so they share what one has read: to merge
    /// the list each time would take most of the simulation's time.
    pub(crate) fn refresh_list(
        &mut self,
        isolate: usize,
        list: &FollowedList,
        now_unix_secs: u64,
        config: &Config,
    ) {
        if self.list.freshness(now_unix_secs) != Freshness::Fresh {
            self.list = list.read(now_unix_secs, config);
        }
        self.isolates[isolate].purges = self.list.clone();
    }

    pub(crate) fn look_up_leases(
        &mut self,
        isolate: usize,
        entry: &CacheKey,
        keys: Option<&LeaseKeys>,
        policy: LeasePolicy,
        body: Option<u64>,
        now_unix_secs: u64,
    ) -> Leases {
        let Some(keys) = keys else { return Leases::default() };
        let Isolate { leases: memory, purges, .. } = &mut self.isolates[isolate];
        let watch = MediaWatch::of(purges, entry);
        let recalled = memory.recall(keys, policy, watch, now_unix_secs);
        let mut look_up = |key: &CacheKey| {
            let asked = *self.leases.get(key)?;
            memory.record_grant(key, asked).then_some(asked)
        };
        let media = if recalled.needs_media() { look_up(&keys.media) } else { recalled.media };
        let credential = recalled.credential.or_else(|| look_up(keys.credential.as_ref()?));
        let leases = Leases { credential, media, by_list: recalled.by_list, watch };
        memory.with_body(leases, Some(keys), body)
    }

    pub(crate) fn apply_leases(
        &mut self,
        isolate: usize,
        keys: Option<&LeaseKeys>,
        change: LeaseChange,
        now_unix_secs: u64,
    ) {
        let Some(keys) = keys else { return };
        let granted = keys.granted_by(change).into_iter();
        let memory = &mut self.isolates[isolate].leases;
        let records = |(keys, at): (Vec<(RecordOf, _)>, u64)| {
            keys.into_iter().map(move |(_, key): (_, &CacheKey)| (key, at))
        };
        for (key, at) in granted.flat_map(records) {
            if memory.record_grant(key, at) {
                self.leases.insert(key.clone(), at, record_weight(key));
            }
        }
        for key in keys.revoked_by(change) {
            memory.record_refusal(&key, now_unix_secs);
            self.leases.remove(&key);
        }
    }
}
