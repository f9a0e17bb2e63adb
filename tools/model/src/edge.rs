//! The tiers in their order, as the shell has them: memory in each isolate, a cache at each data
//! centre, one bucket for all; looked up from the nearest on, filled towards the reader.

use std::rc::Rc;

use matrix_media_edge::admin::quarantine::Position;
use matrix_media_edge::cache::cache_fill::{Commit, Fills, Look, Way};
use matrix_media_edge::cache::entry::{Occupant, STORED_META, StoredMeta};
use matrix_media_edge::cache::in_flight::InFlight;
use matrix_media_edge::cache::key::{CacheKey, KeyPrefix, Subject};
use matrix_media_edge::cache::lru::Lru;
use matrix_media_edge::cache::purge_list::{
    Freshness, KnownPurges, PurgeList, PurgesCopy, Stamp, Unread,
};
use matrix_media_edge::cache::tier::{Tier, is_small, is_usable, memory_weight};
use matrix_media_edge::config::Config;
use matrix_media_edge::lease::memory::LeaseMemory;
use matrix_media_edge::lease::standing::MediaWatch;
use matrix_media_edge::origin::ranges::RangeHosts;
use matrix_media_edge::origin::revalidation::Revalidation;

use crate::lease_store::LeaseStore;
use crate::store::{Body, Condition, Entry, Fault, Store};

pub const POPS: usize = 2;

/// Two isolates at each data centre.
pub const ISOLATES: usize = 2 * POPS;

pub const fn pop_of(isolate: usize) -> usize {
    isolate / 2
}

pub struct Edge {
    isolates: [Isolate; ISOLATES],
    pops: [Store; POPS],
    bucket: Option<Store>,
}

pub struct Isolate {
    bodies: Lru<(Rc<StoredMeta>, Body)>,
    leases: LeaseMemory,
    purges: KnownPurges,
    fills: Fills,
    pub renewals: InFlight<CacheKey>,
    /// How the origin can be asked about stored media.
    pub revalidation: Revalidation,
    pub ranges: Rc<RangeHosts>,
}

/// One of the stores beyond the isolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Pop(usize),
    Bucket,
}

/// By what an operation goes.
#[derive(Clone, Copy)]
pub struct Now<'a> {
    pub config: &'a Config,
    pub ms: u64,
    /// The edge's own clock.
    pub unix_secs: u64,
}

/// A stored response.
#[derive(Clone)]
pub struct Stored {
    pub meta: Rc<StoredMeta>,
    pub body: Body,
    pub tier: Tier,
}

impl Stored {
    /// Its body ends before its end.
    pub fn is_broken(&self) -> bool {
        self.body.bytes.len() as u64 != self.meta.length_bytes()
    }
}

impl Isolate {
    fn new(config: &Config) -> Self {
        Self {
            bodies: Lru::new(config.memory_cache_bytes),
            leases: LeaseMemory::new(),
            purges: KnownPurges::default(),
            fills: Fills::new(),
            renewals: InFlight::new(),
            revalidation: Revalidation::NEW,
            ranges: Rc::default(),
        }
    }

    fn remember(&mut self, key: &CacheKey, meta: &Rc<StoredMeta>, body: &Body) {
        if !is_small(meta.length_bytes()) {
            return;
        }
        let weight = memory_weight(meta);
        self.bodies.insert(key.clone(), (Rc::clone(meta), body.clone()), weight);
    }
}

impl Edge {
    pub fn new(config: &Config, has_bucket: bool) -> Self {
        Self {
            isolates: std::array::from_fn(|_| Isolate::new(config)),
            pops: <[Store; POPS]>::default(),
            bucket: has_bucket.then(Store::default),
        }
    }

    pub fn restart(&mut self, isolate: usize, config: &Config) {
        self.isolates[isolate] = Isolate::new(config);
    }

    pub const fn isolate(&mut self, isolate: usize) -> &mut Isolate {
        &mut self.isolates[isolate]
    }

    pub const fn has_bucket(&self) -> bool {
        self.bucket.is_some()
    }

    pub fn at(&mut self, place: Place) -> Option<&mut Store> {
        match place {
            Place::Pop(pop) => Some(&mut self.pops[pop]),
            Place::Bucket => self.bucket.as_mut(),
        }
    }

    /// Whether the list of purges can't be read where it lives.
    pub fn is_deaf(&self, pop: usize) -> bool {
        let home = self.bucket.as_ref().unwrap_or(&self.pops[pop]);
        home.is_unreadable()
    }

    /// The lease records as an isolate sees them, and what it knows of the media that `key` is of.
    pub fn leases(&mut self, isolate: usize, key: &CacheKey, now: Now<'_>) -> LeaseStore<'_> {
        let purges = &self.isolates[isolate].purges;
        LeaseStore {
            watch: MediaWatch::of(purges, key),
            memory: &mut self.isolates[isolate].leases,
            pop: &mut self.pops[pop_of(isolate)],
            policy: now.config.lease,
            now_ms: now.ms,
            now_unix_secs: now.unix_secs,
        }
    }

    pub fn look_up(&mut self, isolate: usize, key: &CacheKey, now: Now<'_>) -> Option<Stored> {
        self.look_up_memory(isolate, key, now)
            .or_else(|| self.look_up_pop(isolate, key, now))
            .or_else(|| self.look_up_bucket(isolate, key, now))
    }

    fn look_up_memory(&mut self, isolate: usize, key: &CacheKey, now: Now<'_>) -> Option<Stored> {
        let Isolate { bodies, purges, .. } = &mut self.isolates[isolate];
        let (meta, body) = bodies.get(key).cloned()?;
        if is_usable(&meta, key, &purges.purges(), now.config, now.unix_secs) {
            return Some(Stored { meta, body, tier: Tier::Memory });
        }
        bodies.remove(key);
        None
    }

    fn look_up_pop(&mut self, isolate: usize, key: &CacheKey, now: Now<'_>) -> Option<Stored> {
        let pop = &mut self.pops[pop_of(isolate)];
        let entry = pop.find(key, now.ms)?;
        let is_neighbor = Occupant::of(&entry.record, key) == Occupant::Neighbor;
        let Some(stored) = self.isolates[isolate].read(entry, Tier::Pop, key, now) else {
            if !is_neighbor {
                pop.remove(key);
            }
            return None;
        };
        if is_small(stored.meta.length_bytes()) {
            if stored.is_broken() {
                pop.remove(key);
                return None;
            }
            self.isolates[isolate].remember(key, &stored.meta, &stored.body);
        }
        Some(stored)
    }

    fn look_up_bucket(&mut self, isolate: usize, key: &CacheKey, now: Now<'_>) -> Option<Stored> {
        let bucket = self.bucket.as_mut()?;
        let entry = bucket.find(key, now.ms)?;
        // A size is told with the head, and a body that breaks as it is read has the right one.
        let is_breaking = bucket.fault == Fault::Break;
        if Occupant::of(&entry.record, key) == Occupant::Neighbor {
            return None;
        }
        let stored = self.isolates[isolate].read(entry, Tier::Bucket, key, now);
        let Some(stored) = stored.filter(|stored| is_breaking || !stored.is_broken()) else {
            bucket.remove(key);
            return None;
        };
        if is_small(stored.meta.length_bytes()) {
            if stored.is_broken() {
                return None;
            }
            self.isolates[isolate].remember(key, &stored.meta, &stored.body);
            self.put(isolate, key, &stored.meta, &stored.body, now);
        }
        Some(stored)
    }

    /// What becomes of the tiers when `stored` is served.
    pub fn serve(&mut self, isolate: usize, key: &CacheKey, stored: &Stored, now: Now<'_>) {
        let length_bytes = stored.meta.length_bytes();
        if stored.tier == Tier::Bucket && !is_small(length_bytes) {
            let way = self.isolates[isolate].fills.way(key, length_bytes, true, now.ms);
            if way != Way::BucketAlone {
                self.fill_pop(isolate, key, &stored.meta, &stored.body, now);
            }
        }
    }

    /// Stores what the origin has sent.
    pub fn store(
        &mut self,
        isolate: usize,
        key: &CacheKey,
        meta: &StoredMeta,
        body: &Body,
        replaces: bool,
        now: Now<'_>,
    ) {
        if replaces {
            self.isolates[isolate].bodies.remove(key);
        }
        // No store commits a body that breaks off.
        if body.bytes.len() as u64 != meta.length_bytes() {
            return;
        }
        let has_bucket = self.bucket.is_some();
        let way = self.isolates[isolate].fills.way(key, meta.length_bytes(), has_bucket, now.ms);
        let body = match way {
            Way::Buffer => {
                self.isolates[isolate].remember(key, &Rc::new(meta.clone()), body);
                self.put(isolate, key, meta, body, now);
                Some(body.clone())
            }
            Way::PopFirst => {
                let is_whole = self.fill_pop(isolate, key, meta, body, now) == Commit::Whole;
                let copied = self.pops[pop_of(isolate)].find(key, now.ms);
                copied.filter(|_| is_whole).map(|entry| entry.body)
            }
            Way::BucketAlone => Some(body.clone()),
        };
        let (Some(bucket), Some(body)) = (&mut self.bucket, body) else { return };
        // The look-up has met another response under its name.
        let is_taken = bucket
            .find(key, now.ms)
            .is_some_and(|entry| Occupant::of(&entry.record, key) == Occupant::Neighbor);
        let replaces = replaces || is_taken;
        let condition = if replaces { Condition::None } else { Condition::IsAbsent };
        let (record, grant) = (meta.to_text(), meta.grant());
        bucket.store(key, Entry { record, body, ends_ms: u64::MAX, grant }, condition);
    }

    /// Stores a body at the data centre, and looks whether it is seen there.
    fn fill_pop(
        &mut self,
        isolate: usize,
        key: &CacheKey,
        meta: &StoredMeta,
        body: &Body,
        now: Now<'_>,
    ) -> Commit {
        self.put(isolate, key, meta, body, now);
        let pop = &mut self.pops[pop_of(isolate)];
        let look = match pop.find(key, now.ms) {
            None => Look::Absent,
            Some(found) if found.record != meta.to_text() => Look::Other,
            Some(found) if found.body.bytes.len() == body.bytes.len() => Look::Whole,
            Some(_) => Look::Short,
        };
        let fills = &mut self.isolates[isolate].fills;
        match look.commit() {
            Commit::Whole => fills.record_shown(key),
            Commit::Unknown => fills.record_unseen(key, now.ms),
            Commit::Broken => {
                fills.record_fruitless(key, now.ms);
                pop.remove(key);
            }
        }
        look.commit()
    }

    /// Stores a body at the data centre: no store commits one that breaks off.
    fn put(
        &mut self,
        isolate: usize,
        key: &CacheKey,
        meta: &StoredMeta,
        body: &Body,
        now: Now<'_>,
    ) {
        if body.bytes.len() as u64 != meta.length_bytes() {
            return;
        }
        let head = meta.entry_head(now.config, now.unix_secs);
        let control = head.headers["cache-control"].to_str().expect("ASCII");
        let max_age = control.split_once("max-age=").expect("an age").1.parse::<u64>();
        let ends_ms = now.ms + max_age.expect("seconds") * 1000;
        let record = head.headers[STORED_META].to_str().expect("a record in ASCII").to_owned();
        let entry = Entry { record, body: body.clone(), ends_ms, grant: meta.grant() };
        self.pops[pop_of(isolate)].store(key, entry, Condition::None);
    }

    pub fn remove(&mut self, isolate: usize, key: &CacheKey) {
        self.isolates[isolate].bodies.remove(key);
        self.pops[pop_of(isolate)].remove(key);
        if let Some(bucket) = &mut self.bucket {
            bucket.remove(key);
        }
    }

    /// Reads the list of purges again where it may not be used before.
    pub fn hear_of_purges(&mut self, isolate: usize, now: Now<'_>) {
        self.refresh_purges(isolate, Freshness::Old, now);
    }

    /// Refreshes the list of purges behind a reader.
    pub fn refresh_purges_behind(&mut self, isolate: usize, now: Now<'_>) {
        self.refresh_purges(isolate, Freshness::Aging, now);
    }

    fn refresh_purges(&mut self, isolate: usize, when: Freshness, now: Now<'_>) {
        let Now { config, unix_secs, .. } = now;
        if !config.can_purge() || self.isolates[isolate].purges.freshness(unix_secs) != when {
            return;
        }
        let copy = self.copy_at(pop_of(isolate), now);
        let known = &mut self.isolates[isolate].purges;
        if known.on_copy(copy, self.bucket.is_some(), unix_secs, config)
            && let Some(bucket) = &self.bucket
        {
            known.on_bucket(read_list(bucket, now), unix_secs, config);
            self.write_copy(isolate, now);
        }
    }

    /// Whether an isolate knows that what was stored then is purged.
    pub fn is_purged(&self, isolate: usize, key: &CacheKey, stored_unix_secs: u64) -> bool {
        self.isolates[isolate].purges.purges().covers(key, stored_unix_secs)
    }

    /// Carries a purge out. Says whether it is on the list.
    pub fn purge(&mut self, isolate: usize, prefixes: &[KeyPrefix], now: Now<'_>) -> bool {
        let Now { config, unix_secs, .. } = now;
        let is_listed = self.publish(isolate, now, |known| {
            assert!(known.add(prefixes, unix_secs, config), "it has room");
        });
        self.delete(isolate, prefixes);
        is_listed
    }

    /// Lists media that is gone. Says whether it is on the list.
    pub fn report_gone(&mut self, isolate: usize, prefix: &KeyPrefix, now: Now<'_>) -> bool {
        let Now { config, unix_secs, .. } = now;
        self.publish(isolate, now, |known| known.add_gone(prefix.clone(), unix_secs, config))
    }

    /// Lists what a run has found, and stamps the list if that is complete. Says whether it is written.
    pub fn record_run(
        &mut self,
        isolate: usize,
        quarantined: &[KeyPrefix],
        complete: Option<Option<Stamp>>,
        now: Now<'_>,
    ) -> bool {
        let Now { config, unix_secs, .. } = now;
        self.publish(isolate, now, |known| {
            if !quarantined.is_empty() {
                known.add_refused(quarantined, unix_secs, config);
            }
            if let Some(before) = complete {
                known.complete(before, unix_secs);
            }
        })
    }

    /// Deletes what can be reached from an isolate.
    pub fn delete(&mut self, isolate: usize, prefixes: &[KeyPrefix]) {
        let is_doomed = |key: &CacheKey| prefixes.iter().any(|prefix| prefix.is_of(key));
        self.isolates[isolate].bodies.remove_where(is_doomed);
        if let Some(bucket) = &mut self.bucket {
            bucket.remove_where(is_doomed);
        }
    }

    /// Changes the list as an isolate knows it, and writes it where others read it.
    fn publish(&mut self, isolate: usize, now: Now<'_>, change: impl Fn(&mut KnownPurges)) -> bool {
        let Now { config, unix_secs, .. } = now;
        let copy = self.copy_at(pop_of(isolate), now);
        let known = &mut self.isolates[isolate].purges;
        change(known);
        known.on_copy(copy, self.bucket.is_some(), unix_secs, config);
        let is_in_bucket = self.bucket.as_mut().map(|bucket| {
            let Ok(found) = read_list(bucket, now) else { return false };
            let condition = if found.is_some() { Condition::None } else { Condition::IsAbsent };
            known.on_bucket(Ok(found), unix_secs, config);
            bucket.store(&list_key(config), list_entry(&known.list(), config), condition)
        });
        let is_here = self.write_copy(isolate, now);
        is_in_bucket.unwrap_or(is_here)
    }

    /// Reads what a poll begins with: the position, and the list's stamp. `None` if either can't be
    /// read.
    pub fn begin_poll(
        &mut self,
        isolate: usize,
        now: Now<'_>,
    ) -> Option<(Position, Option<Stamp>)> {
        let bucket = self.bucket.as_ref()?;
        let kept = bucket.read_text(&position_key(now.config), now.ms).ok()?;
        let list = read_list(bucket, now);
        let stamp = list.as_ref().ok().map(|list| list.as_ref()?.stamp);
        self.isolates[isolate].purges.on_bucket(list, now.unix_secs, now.config);
        let (text, of_text) = match kept.as_deref().and_then(|kept| kept.split_once('\n')) {
            Some((text, stamp)) => (Some(text), Some(stamp)),
            None => (None, None),
        };
        Some((Position::parse(text, of_text, now.config), stamp?))
    }

    /// Keeps a position. Says whether it is kept.
    pub fn keep_position(&mut self, position: &Position, now: Now<'_>) -> bool {
        let Some(bucket) = &mut self.bucket else { return false };
        let text = format!("{}\n{}", position.to_text(), position.stamp(now.config));
        let entry = Entry::text(text, u64::MAX);
        bucket.store(&position_key(now.config), entry, Condition::None)
    }

    fn copy_at(&self, pop: usize, now: Now<'_>) -> Option<PurgesCopy> {
        let text = self.pops[pop].find_text(&list_key(now.config), now.ms)?;
        PurgesCopy::parse(&text, now.config)
    }

    fn write_copy(&mut self, isolate: usize, now: Now<'_>) -> bool {
        let copy = self.isolates[isolate].purges.copy().to_text(now.config);
        let entry = Entry::text(copy, now.ms + now.config.cache_secs * 1000);
        self.pops[pop_of(isolate)].store(&list_key(now.config), entry, Condition::None)
    }
}

impl Isolate {
    /// What a store has found, if it may be used.
    fn read(&self, entry: Entry, tier: Tier, key: &CacheKey, now: Now<'_>) -> Option<Stored> {
        let meta = StoredMeta::parse(&entry.record, key)?.with_grant(entry.grant);
        is_usable(&meta, key, &self.purges.purges(), now.config, now.unix_secs).then(|| Stored {
            meta: Rc::new(meta),
            body: entry.body,
            tier,
        })
    }
}

fn position_key(config: &Config) -> CacheKey {
    CacheKey::new(&config.server_name, Subject::QuarantinePosition)
}

fn list_key(config: &Config) -> CacheKey {
    CacheKey::new(&config.server_name, Subject::Purges)
}

/// The object of the list: its stamp on the first line, as the metadata of the real one.
fn list_entry(list: &PurgeList, config: &Config) -> Entry {
    let stamp = list.stamp.map_or_else(String::new, |stamp| stamp.to_text(config));
    Entry::text(format!("{stamp}\n{}", list.to_text(config)), u64::MAX)
}

fn read_list(bucket: &Store, now: Now<'_>) -> Result<Option<PurgeList>, Unread> {
    let Some(text) = bucket.read_text(&list_key(now.config), now.ms)? else { return Ok(None) };
    let parts = text.split_once('\n');
    Ok(parts.and_then(|(stamp, list)| PurgeList::parse(list, Some(stamp), now.config)))
}
