//! Purges: which stored responses must not be served any more, everywhere that the list reaches.
//!
//! A store that can't be listed, or is elsewhere, can't be emptied at once. So a purge is a line in
//! a list that is checked at every look-up: an entry is a miss if its key begins with the prefix of
//! a purge, and it was stored no later than the purge. Entries that can be reached are deleted
//! besides.

mod stamp;

pub use stamp::{Stamp, deployment};

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::cache::key::{CacheKey, KeyPrefix};
use crate::config::Config;
use crate::matrix::ids::ServerName;

/// Until what age the list is used without a look for a newer one, in seconds.
pub const PURGES_FRESH_SECS: u64 = 30;

/// Until what age the list is used while it is refreshed, in seconds: within this, every isolate in
/// the world has read a purge.
pub const PURGES_HEARD_SECS: u64 = 60;

/// How long after a failed read the list is used as it is and refreshed in the background alone, in
/// seconds: or each reader would wait for a bucket that does not answer.
const RETRY_SECS: u64 = 10;

/// How long after a purge an entry may be stored and still be covered, in seconds: the clock of the
/// data centre that stored the entry may be ahead of the one that purged.
pub const CLOCK_MARGIN_SECS: u64 = 5;

/// The most purges in a list: of 5,000 media of the edge's own server, which take two each, and some.
const MAX_PURGES: usize = 11_000;

/// The most that is read of a list, in bytes.
pub const MAX_LIST_BYTES: usize = 1024 * 1024;

/// With how many purges, and bytes, a list is full. Isolates add to it at once, and what they add
/// together must still have room.
const FULL_PURGES: usize = 10_000;
const FULL_LIST_BYTES: usize = MAX_LIST_BYTES / 10 * 9;

/// With how many purges a list has no room for media that was found to be gone: it is renewed anyway,
/// and an admin's purges come first.
const FULL_OF_GONE_PURGES: usize = FULL_PURGES / 2;

/// How many prefixes a purge of a server or of everything has at most.
const MAX_BROAD: usize = 2;

/// What a copy of the list has beside it, in bytes.
const COPY_HEAD_BYTES: usize = 512;

/// The first line of a list.
const VERSION: &str = "1";

/// The purges that may still cover something: the last second of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purges(BTreeMap<KeyPrefix, u64>);

impl Purges {
    /// Returns whether a response that was stored under `key` at that time is purged.
    pub fn covers(&self, key: &CacheKey, stored_unix_secs: u64) -> bool {
        let last = self.last_of(key);
        last.is_some_and(|at| covers_at(at, stored_unix_secs))
    }

    /// Returns when what is stored under `key` was purged last, in seconds since the Unix epoch;
    /// `None` if it never was.
    pub fn last_of(&self, key: &CacheKey) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        key.prefixes().filter_map(|prefix| self.0.get(prefix).copied()).max()
    }

    /// Returns whether well-known documents are purged whose host was asked at that time. They have
    /// no prefix of their own, which earlier builds could not read: a purge of everything covers
    /// them, and one of all media of the edge's own server.
    pub fn covers_documents(&self, edge: &ServerName, asked_unix_secs: u64) -> bool {
        // Most lists are empty, and a prefix is a text to be made.
        !self.0.is_empty()
            && self
                .0
                .get(&KeyPrefix::federation(edge))
                .is_some_and(|at| covers_at(*at, asked_unix_secs))
    }

    /// Returns the list with a purge, in place of earlier ones that it includes; `None` where that has
    /// no room.
    pub fn with(
        &self,
        prefixes: &[KeyPrefix],
        now_unix_secs: u64,
        config: &Config,
    ) -> Option<Self> {
        let mut purges = self.clone();
        purges.remove_old(now_unix_secs, config);
        // A purge of many names single media, which include no others.
        if prefixes.len() <= MAX_BROAD {
            let is_included = |known: &KeyPrefix| prefixes.iter().any(|new| known.is_within(new));
            purges.0.retain(|known, at| *at > now_unix_secs || !is_included(known));
        }
        purges.extend(prefixes.iter().map(|prefix| (prefix.clone(), now_unix_secs)));
        (purges.0.len() <= FULL_PURGES && purges.length_bytes() <= FULL_LIST_BYTES)
            .then_some(purges)
    }

    /// Removes purges that neither an entry nor a grant can be covered by any more, since none
    /// counts for longer than `CACHE_SECONDS` or `MEDIA_LEASE_SECONDS`. Where lists that were merged
    /// have too many, the older half becomes one purge of everything.
    pub fn forget(&mut self, now_unix_secs: u64, config: &Config) {
        self.remove_old(now_unix_secs, config);
        if !self.has_room() {
            self.remove_included();
        }
        while !self.has_room() {
            let mut seconds: Vec<u64> = self.0.values().copied().collect();
            seconds.sort_unstable();
            let Some(oldest) = seconds.get(seconds.len() / 2).copied() else { return };
            self.0.retain(|_, at_unix_secs| *at_unix_secs > oldest);
            let everything = KeyPrefix::everything(&config.server_name).into_iter();
            self.extend(everything.map(|prefix| (prefix, oldest)));
        }
    }

    fn remove_old(&mut self, now_unix_secs: u64, config: &Config) {
        let kept_secs = config.cache_secs.max(config.lease.media_lease_secs);
        self.0.retain(|_, at_unix_secs| {
            let end = at_unix_secs.saturating_add(kept_secs);
            now_unix_secs <= end.saturating_add(CLOCK_MARGIN_SECS)
        });
    }

    /// Removes purges that a broader one includes which is not older.
    fn remove_included(&mut self) {
        let included = |prefix: &KeyPrefix, at: u64| {
            prefix.ancestors().any(|broader| self.0.get(broader).is_some_and(|other| *other >= at))
        };
        let kept = self.0.iter().filter(|(prefix, at)| !included(prefix, **at));
        self.0 = kept.map(|(prefix, at)| (prefix.clone(), *at)).collect();
    }

    /// Returns whether the list is no longer than can be read.
    fn has_room(&self) -> bool {
        self.0.len() <= MAX_PURGES && self.length_bytes() <= MAX_LIST_BYTES - COPY_HEAD_BYTES
    }

    /// Adds the purges of another list.
    pub fn merge(&mut self, other: Self) {
        self.extend(other.0);
    }

    fn extend(&mut self, purges: impl IntoIterator<Item = (KeyPrefix, u64)>) {
        for (prefix, at_unix_secs) in purges {
            let known = self.0.entry(prefix).or_default();
            *known = at_unix_secs.max(*known);
        }
    }

    /// Returns the length of the list as text, with the longest seconds.
    fn length_bytes(&self) -> usize {
        VERSION.len() + self.0.keys().map(line_length).sum::<usize>()
    }

    /// Returns the list as text: a version, then on each line a second and a prefix.
    pub fn to_text(&self) -> String {
        let mut text = VERSION.to_owned();
        for (prefix, at_unix_secs) in &self.0 {
            text.push_str(&format!("\n{at_unix_secs} {prefix}"));
        }
        text
    }

    /// Parses a list; `None` if it is of another version or broken.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        if lines.next() != Some(VERSION) {
            return None;
        }
        let mut purges = Self::default();
        for line in lines {
            let (at_unix_secs, prefix) = line.split_once(' ')?;
            purges.extend([(KeyPrefix::parse(prefix)?, at_unix_secs.parse().ok()?)]);
        }
        Some(purges)
    }
}

/// Returns whether a purge covers what was stored at this time: not later, but for a margin between
/// clocks.
const fn covers_at(purged_unix_secs: u64, stored_unix_secs: u64) -> bool {
    stored_unix_secs <= purged_unix_secs.saturating_add(CLOCK_MARGIN_SECS)
}

/// Returns the length of a purge's line, with the longest second.
fn line_length(prefix: &KeyPrefix) -> usize {
    "\n 18446744073709551615".len() + prefix.length_bytes()
}

/// The list and its stamp, as they are in the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeList {
    /// The list.
    pub purges: Purges,
    /// How far it holds what the homeserver has quarantined; `None` where that is not known.
    pub stamp: Option<Stamp>,
}

impl PurgeList {
    /// Parses a list and the stamp beside it; `None` if the list is of another version or broken. A
    /// stamp that can't be read, or is another homeserver's, is none.
    pub fn parse(text: &str, stamp: Option<&str>, config: &Config) -> Option<Self> {
        let purges = Purges::parse(text)?;
        Some(Self { purges, stamp: stamp.and_then(|text| Stamp::parse(text, config)) })
    }

    /// Returns the list as text. Its last line is of no media, and differs with the stamp: R2 tells
    /// versions of an object apart by its text, and a write that changes the stamp alone must be noticed.
    pub fn to_text(&self, config: &Config) -> String {
        let text = self.purges.to_text();
        let Some(stamp) = self.stamp else { return text };
        let mark = KeyPrefix::of_no_media(
            &config.server_name,
            stamp.since_unix_secs,
            stamp.ask_again_until_unix_secs,
        );
        format!("{text}\n{} {mark}", stamp.complete_unix_secs)
    }
}

/// The copy of the list at a data centre, for its isolates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgesCopy {
    list: PurgeList,
    /// When the list was read from the bucket last, in seconds since the Unix epoch. A copy that is
    /// written after the bucket could not be read is as old as the one before it.
    read_unix_secs: u64,
}

impl PurgesCopy {
    /// Returns the copy as text: a second and the stamp, then the list on the lines below it.
    pub fn to_text(&self, config: &Config) -> String {
        let Self { list: PurgeList { purges, stamp }, read_unix_secs } = self;
        let stamp = stamp.map_or_else(String::new, |stamp| format!(" {}", stamp.to_text(config)));
        format!("{read_unix_secs}{stamp}\n{}", purges.to_text())
    }

    /// Parses a copy; `None` if the list is of another version or broken.
    pub fn parse(text: &str, config: &Config) -> Option<Self> {
        let (head, list) = text.split_once('\n')?;
        let (read_at, stamp) = match head.split_once(' ') {
            Some((read_at, stamp)) => (read_at, Some(stamp)),
            None => (head, None),
        };
        let list = PurgeList::parse(list, stamp, config)?;
        Some(Self { list, read_unix_secs: read_at.parse().ok()? })
    }
}

/// The list as one isolate knows it. A purge that it has read once stays, whatever can't be read
/// later.
#[derive(Clone, Debug, Default)]
pub struct KnownPurges {
    purges: Rc<Purges>,
    stamp: Option<Stamp>,
    /// When the list was read last where it lives, by whichever isolate of the data centre: in the
    /// bucket, or at the data centre if there is none.
    read_unix_secs: u64,
    /// When a read failed last.
    failed_unix_secs: u64,
}

/// What may be done with the list as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It may be used.
    Fresh,
    /// It may be used, and is to be refreshed in the background.
    Aging,
    /// It may be used once an attempt to refresh it has ended.
    Old,
}

impl KnownPurges {
    /// Returns the list.
    pub fn purges(&self) -> Rc<Purges> {
        Rc::clone(&self.purges)
    }

    /// Returns how far the list holds what the homeserver has quarantined; `None` where that is not
    /// known.
    pub const fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Returns what may be done with the list as it is.
    pub fn freshness(&self, now_unix_secs: u64) -> Freshness {
        if is_younger(self.read_unix_secs, now_unix_secs, PURGES_FRESH_SECS) {
            Freshness::Fresh
        } else if is_younger(self.read_unix_secs, now_unix_secs, PURGES_HEARD_SECS)
            || is_younger(self.failed_unix_secs, now_unix_secs, RETRY_SECS)
        {
            Freshness::Aging
        } else {
            Freshness::Old
        }
    }

    /// Returns how long ago the list was read, in seconds; `None` if it never was.
    pub fn age_secs(&self, now_unix_secs: u64) -> Option<u64> {
        let is_read = self.read_unix_secs > 0;
        is_read.then(|| now_unix_secs.saturating_sub(self.read_unix_secs))
    }

    /// Merges the copy of the data centre. Returns whether the bucket has to be read too: where there
    /// is one, and the copy is missing or no longer fresh.
    pub fn on_copy(
        &mut self,
        copy: Option<PurgesCopy>,
        has_bucket: bool,
        now_unix_secs: u64,
        config: &Config,
    ) -> bool {
        let read_unix_secs = copy.as_ref().map_or(0, |copy| copy.read_unix_secs);
        if let Some(copy) = copy {
            self.merge(copy.list, now_unix_secs, config);
        }
        if !has_bucket {
            self.read_unix_secs = now_unix_secs;
        } else if read_unix_secs <= now_unix_secs {
            self.read_unix_secs = self.read_unix_secs.max(read_unix_secs);
        }
        has_bucket && !is_younger(read_unix_secs, now_unix_secs, PURGES_FRESH_SECS)
    }

    /// Merges the list that was read from the bucket: `Err` if it could not be read, `Ok(None)` if
    /// there is none.
    pub fn on_bucket(
        &mut self,
        read: Result<Option<PurgeList>, Unread>,
        now_unix_secs: u64,
        config: &Config,
    ) {
        match read {
            Ok(list) => {
                self.read_unix_secs = now_unix_secs;
                self.merge(list.unwrap_or_default(), now_unix_secs, config);
            }
            Err(Unread) => self.failed_unix_secs = now_unix_secs,
        }
    }

    /// Adds a purge. Returns `false`, and adds none, where the list has no room.
    pub fn add(&mut self, prefixes: &[KeyPrefix], now_unix_secs: u64, config: &Config) -> bool {
        let purges = self.purges.with(prefixes, now_unix_secs, config);
        let has_room = purges.is_some();
        if let Some(purges) = purges {
            self.purges = Rc::new(purges);
        }
        has_room
    }

    /// Adds media that was found to be gone, where the list has room for that. It is renewed by each
    /// isolate otherwise.
    pub fn add_gone(&mut self, prefix: KeyPrefix, now_unix_secs: u64, config: &Config) {
        if self.purges.0.len() < FULL_OF_GONE_PURGES {
            self.add(&[prefix], now_unix_secs, config);
        }
    }

    /// Adds media that the homeserver refuses now. Where the list has no room, no grant of until now
    /// counts any more instead: what is stored stays, and the homeserver is asked about it. Without a
    /// stamp that needs no record, since the next stamp counts from later.
    pub fn add_refused(&mut self, prefixes: &[KeyPrefix], now_unix_secs: u64, config: &Config) {
        if !self.add(prefixes, now_unix_secs, config)
            && let Some(stamp) = &mut self.stamp
        {
            let until_unix_secs = now_unix_secs.saturating_add(CLOCK_MARGIN_SECS);
            stamp.ask_again_until_unix_secs = until_unix_secs.max(stamp.ask_again_until_unix_secs);
        }
    }

    /// Records that the list holds all that was quarantined when the homeserver was asked, at
    /// `asked_unix_secs`. It has been followed since what `before` tells, the stamp that the list had
    /// in the bucket when the run began; without one, earlier changes may be missing.
    pub fn complete(&mut self, before: Option<Stamp>, asked_unix_secs: u64) {
        let stamp = Stamp::complete(before, asked_unix_secs);
        self.stamp = Some(match self.stamp {
            Some(known) => stamp.merge(known),
            None => stamp,
        });
    }

    /// Returns the list as it is written to the bucket.
    pub fn list(&self) -> PurgeList {
        PurgeList { purges: (*self.purges).clone(), stamp: self.stamp }
    }

    /// Returns the copy for the data centre.
    pub fn copy(&self) -> PurgesCopy {
        PurgesCopy { list: self.list(), read_unix_secs: self.read_unix_secs }
    }

    fn merge(&mut self, other: PurgeList, now_unix_secs: u64, config: &Config) {
        let purges = Rc::make_mut(&mut self.purges);
        purges.merge(other.purges);
        purges.forget(now_unix_secs, config);
        self.stamp = match (self.stamp, other.stamp) {
            (Some(known), Some(read)) => Some(known.merge(read)),
            (known, read) => known.or(read),
        };
    }
}

/// The list could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread;

/// Returns whether a time is less than `age_secs` ago. One in the future is not, since its clock
/// can't be relied on.
fn is_younger(at_unix_secs: u64, now_unix_secs: u64, age_secs: u64) -> bool {
    now_unix_secs.checked_sub(at_unix_secs).is_some_and(|age| age < age_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Subject;
    use crate::config::tests::config;
    use crate::matrix::ids::{MediaId, Mxc, ServerName};
    use crate::matrix::media::Representation;

    const NOW: u64 = 1_700_000_000;

    fn edge() -> ServerName {
        config(&[]).unwrap().server_name
    }

    fn content(uri: &str) -> CacheKey {
        let mxc = Mxc::parse(uri).unwrap();
        CacheKey::new(&edge(), Subject::Media(&mxc, Representation::Content))
    }

    fn federated(media_id: &str) -> CacheKey {
        let media_id = MediaId::parse(media_id).unwrap();
        CacheKey::new(&edge(), Subject::Federation(&media_id, Representation::Content))
    }

    fn everything() -> Vec<KeyPrefix> {
        KeyPrefix::everything(&edge()).into()
    }

    fn server(name: &str) -> KeyPrefix {
        KeyPrefix::server(&edge(), &ServerName::parse(name).unwrap())
    }

    fn media(uri: &str) -> KeyPrefix {
        KeyPrefix::media(&edge(), &Mxc::parse(uri).unwrap())
    }

    fn purged(prefixes: Vec<KeyPrefix>) -> Purges {
        Purges::default().with(&prefixes, NOW, &config(&[]).unwrap()).unwrap()
    }

    #[test]
    fn entries_stored_later_than_the_clock_margin_are_kept() {
        let purges = purged(everything());
        assert!(purges.covers(&content("mxc://example.org/abc"), NOW + CLOCK_MARGIN_SECS));
        assert!(!purges.covers(&content("mxc://example.org/abc"), NOW + CLOCK_MARGIN_SECS + 1));
    }

    #[test]
    fn a_purge_of_everything_or_of_the_own_server_covers_documents_and_no_other_purge_does() {
        for (prefixes, is_covered) in [
            (everything(), true),
            (vec![server("example.com"), KeyPrefix::federation(&edge())], true),
            (vec![server("example.org")], false),
            (vec![media("mxc://example.com/abc")], false),
        ] {
            let purges = purged(prefixes);
            let covers = |asked| purges.covers_documents(&edge(), asked);
            assert_eq!(covers(NOW + CLOCK_MARGIN_SECS), is_covered, "{purges:?}");
            assert!(!covers(NOW + CLOCK_MARGIN_SECS + 1), "{purges:?}");
            let other = ServerName::parse("example.net").unwrap();
            assert!(!purges.covers_documents(&other, NOW), "{purges:?}");
        }
        assert!(!Purges::default().covers_documents(&edge(), NOW));
    }

    #[test]
    fn a_list_survives_the_round_trip_and_another_version_does_not() {
        let purges = purged(vec![server("example.com")]);
        assert_eq!(Purges::parse(&purges.to_text()), Some(purges));
        for text in ["", "2", "1\n", "1\nx v2/example.com/media/", "1\n5 v1/media/"] {
            assert_eq!(Purges::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_full_list_purges_more_rather_than_less() {
        let config = config(&[]).unwrap();
        let mut purges = Purges::default();
        for number in 0..MAX_PURGES as u64 + 100 {
            let prefixes = vec![media(&format!("mxc://example.org/{number}"))];
            purges.extend(prefixes.into_iter().map(|prefix| (prefix, NOW + number)));
            purges.forget(NOW + number, &config);
        }
        assert!(purges.0.len() <= MAX_PURGES);
        for number in 0..MAX_PURGES as u64 + 100 {
            assert!(purges.covers(&content(&format!("mxc://example.org/{number}")), NOW + number));
        }
        let last = NOW + MAX_PURGES as u64 + 100 + CLOCK_MARGIN_SECS;
        assert!(!purges.covers(&content("mxc://example.org/x"), last));
    }

    /// As many as there may be.
    fn full(server: &str) -> Purges {
        let line = |number| format!("\n{NOW} v2/example.com/media/{server}/{number}/");
        let lines: String = (0..MAX_PURGES).map(line).collect();
        Purges::parse(&format!("{VERSION}{lines}")).unwrap()
    }

    fn mxc_of(host: &str, number: usize) -> Mxc {
        Mxc::parse(&format!("mxc://{host}/{number:0>255}")).unwrap()
    }

    #[test]
    fn a_list_that_is_full_of_the_longest_names_can_be_read() {
        let label = "a".repeat(63);
        let host = format!("{label}.{label}.{label}.{}", "a".repeat(63));
        let edge = ServerName::parse(&format!("{host}:65535")).unwrap();
        let own = config(&[]).unwrap();
        let mut known = known();
        known.complete(None, NOW);
        let mut add = |number: usize| {
            known.add(&[KeyPrefix::media(&edge, &mxc_of(&host, number))], NOW, &own)
        };
        let first_without_room = (0..MAX_PURGES).find(|number| !add(*number)).unwrap();
        let copy = known.copy().to_text(&own);
        assert!(copy.len() <= MAX_LIST_BYTES, "{} bytes", copy.len());
        for number in [0, first_without_room - 1, first_without_room] {
            let media = mxc_of(&host, number);
            let key = CacheKey::new(&edge, Subject::Media(&media, Representation::Content));
            assert_eq!(known.purges().covers(&key, NOW), number < first_without_room, "{number}");
        }
    }

    #[test]
    fn a_broad_purge_makes_room_whatever_list_it_meets() {
        let own = config(&[]).unwrap();
        let media = |number: usize| media(&format!("mxc://example.org/{number}"));
        let all: Vec<_> = (0..FULL_PURGES).map(media).collect();
        let mut known = known();
        assert!(known.add(&all, NOW - 60, &own));
        let full = known.list();
        assert!(!known.add(&[server("example.net")], NOW, &own), "it is full");
        assert!(known.add(&[server("example.org")], NOW, &own));
        let more: Vec<_> = (0..MAX_PURGES)
            .map(|number| self::media(&format!("mxc://example.net/{number}")))
            .collect();
        assert!(known.add(&more[..FULL_PURGES - 1], NOW, &own));
        known.on_bucket(Ok(Some(full)), NOW, &own);
        assert!(known.purges().covers(&content("mxc://example.org/7"), NOW));
        assert!(!known.purges().covers(&content("mxc://example.com/abc"), NOW), "not everything");
    }

    #[test]
    fn media_that_is_gone_leaves_room_for_purges() {
        let own = config(&[]).unwrap();
        let mut known = known();
        for number in 0..=FULL_OF_GONE_PURGES {
            known.add_gone(media(&format!("mxc://example.org/{number}")), NOW, &own);
        }
        assert_eq!(known.purges().0.len(), FULL_OF_GONE_PURGES);
    }

    #[test]
    fn a_stamp_changes_the_text_of_the_list_and_no_purge() {
        let own = config(&[]).unwrap();
        let mut known = known();
        known.add(&[media("mxc://example.org/a")], NOW, &own);
        let texts = [NOW, NOW + 1].map(|complete| {
            known.complete(None, complete);
            known.list().to_text(&own)
        });
        assert_ne!(texts[0], texts[1]);
        for text in texts {
            let read = PurgeList::parse(&text, None, &own).unwrap();
            assert!(read.purges.covers(&content("mxc://example.org/a"), NOW));
            assert!(!read.purges.covers(&content("mxc://example.org/b"), NOW));
        }
    }

    #[test]
    fn media_that_has_no_room_on_the_list_ends_all_grants_and_purges_nothing() {
        let own = config(&[]).unwrap();
        let mut known = known();
        known.complete(None, NOW - 60);
        let media: Vec<_> =
            (0..FULL_PURGES).map(|number| media(&format!("mxc://example.org/{number}"))).collect();
        known.add_refused(&media, NOW - 30, &own);
        assert_eq!(known.stamp().unwrap().ask_again_until_unix_secs, 0);
        known.add_refused(&[server("example.com")], NOW, &own);
        let until_unix_secs = known.stamp().unwrap().ask_again_until_unix_secs;
        assert_eq!(until_unix_secs, NOW + CLOCK_MARGIN_SECS);
        assert!(!known.purges().covers(&content("mxc://example.com/abc"), NOW));
        assert!(known.purges().covers(&content("mxc://example.org/7"), NOW - 30));
    }

    #[test]
    fn a_stamp_is_the_later_of_those_that_were_read_and_stays_where_none_was() {
        let own = config(&[]).unwrap();
        let mut known = known();
        let list = |complete_unix_secs| {
            let stamp = Stamp::complete(None, complete_unix_secs);
            PurgeList { stamp: Some(stamp), ..PurgeList::default() }
        };
        for (read, complete) in [(Some(list(NOW)), NOW), (Some(list(NOW - 9)), NOW), (None, NOW)] {
            known.on_bucket(Ok(read), NOW, &own);
            assert_eq!(known.stamp().unwrap().complete_unix_secs, complete);
        }
        known.on_bucket(Ok(Some(PurgeList::default())), NOW, &own);
        assert_eq!(known.stamp().unwrap().complete_unix_secs, NOW);
    }

    #[test]
    fn a_list_that_is_just_full_purges_what_it_names_alone() {
        let mut purges = full("example.org");
        purges.forget(NOW, &config(&[]).unwrap());
        assert_eq!(purges, full("example.org"));
    }

    #[test]
    fn two_full_lists_become_one_that_can_be_read() {
        let config = config(&[]).unwrap();
        let mut both = full("example.org");
        both.merge(full("example.net"));
        both.forget(NOW, &config);
        assert!(both.0.len() <= MAX_PURGES, "{}", both.0.len());
        let ends = ["mxc://example.org/0", "mxc://example.net/499"];
        assert!(ends.iter().all(|uri| both.covers(&content(uri), NOW)));
    }

    #[test]
    fn expired_purges_are_forgotten() {
        let config = config(&[("CACHE_SECONDS", "60")]).unwrap();
        let purges = purged(vec![media("mxc://example.org/a")]);
        let later = NOW + 61 + CLOCK_MARGIN_SECS;
        let purges =
            purges.with(&[KeyPrefix::federation(&config.server_name)], later, &config).unwrap();
        assert_eq!(purges.0.len(), 1);
    }

    #[test]
    fn two_lists_become_one_with_the_later_times() {
        let (mut a, b) = (purged(everything()), Purges::default());
        let config = config(&[]).unwrap();
        let b = b.with(&[KeyPrefix::federation(&config.server_name)], NOW + 9, &config).unwrap();
        a.merge(b);
        assert_eq!(a.0.len(), 2);
        assert!(a.covers(&federated("abc"), NOW + 9));
        assert!(!a.covers(&content("mxc://example.org/abc"), NOW + 9));
    }

    fn known() -> KnownPurges {
        KnownPurges::default()
    }

    /// A copy that was read from the bucket then.
    fn copy_of(purges: Purges, read_unix_secs: u64) -> Option<PurgesCopy> {
        let text = format!("{read_unix_secs}\n{}", purges.to_text());
        Some(PurgesCopy::parse(&text, &config(&[]).unwrap()).unwrap())
    }

    #[test]
    fn a_list_is_used_for_half_a_minute_then_refreshed_and_then_waited_for() {
        let config = config(&[]).unwrap();
        for (age_secs, is_enough, freshness) in [
            (0, true, Freshness::Fresh),
            (29, true, Freshness::Fresh),
            (30, false, Freshness::Aging),
            (59, false, Freshness::Aging),
            (60, false, Freshness::Old),
            (3600, false, Freshness::Old),
        ] {
            let mut known = known();
            let copy = copy_of(purged(everything()), NOW - age_secs);
            assert_eq!(known.on_copy(copy, true, NOW, &config), !is_enough, "{age_secs}");
            assert_eq!(known.freshness(NOW), freshness, "{age_secs}");
            assert_eq!(known.age_secs(NOW), Some(age_secs));
            assert!(known.purges().covers(&federated("abc"), NOW), "{age_secs}");
        }
        assert_eq!(known().freshness(NOW), Freshness::Old, "there is none");
        assert_eq!(known().age_secs(NOW), None);
    }

    #[test]
    fn a_failed_read_is_not_waited_for_again_for_ten_seconds() {
        let config = config(&[]).unwrap();
        let mut known = known();
        known.on_bucket(Err(Unread), NOW, &config);
        assert_eq!(known.freshness(NOW + 9), Freshness::Aging);
        assert_eq!(known.freshness(NOW + 10), Freshness::Old);
        known.on_bucket(Ok(None), NOW + 10, &config);
        assert_eq!(known.freshness(NOW + 39), Freshness::Fresh);
    }

    #[test]
    fn a_copy_from_the_future_is_not_young() {
        let mut known = known();
        let copy = copy_of(Purges::default(), NOW + 1);
        assert!(known.on_copy(copy, true, NOW, &config(&[]).unwrap()));
        assert_eq!(known.freshness(NOW), Freshness::Old);
    }

    #[test]
    fn the_copy_alone_counts_without_a_bucket() {
        let config = config(&[]).unwrap();
        for copy in [None, copy_of(purged(everything()), NOW - 3600)] {
            let mut known = known();
            assert!(!known.on_copy(copy, false, NOW, &config));
            let ages = [29, 30, 60].map(|age_secs| known.freshness(NOW + age_secs));
            assert_eq!(ages, [Freshness::Fresh, Freshness::Aging, Freshness::Old]);
        }
    }

    #[test]
    fn a_copy_is_as_old_as_the_last_successful_read_of_the_bucket() {
        let config = config(&[]).unwrap();
        let mut known = known();
        known.on_bucket(Ok(None), NOW, &config);
        known.on_bucket(Err(Unread), NOW + 40, &config);
        assert_eq!(known.copy(), copy_of(Purges::default(), NOW).unwrap());
        assert_eq!(known.freshness(NOW + 41), Freshness::Aging, "as before");
        let mut beside = self::known();
        assert!(beside.on_copy(Some(known.copy()), true, NOW + 41, &config));
    }

    #[test]
    fn known_purges_outlast_an_empty_or_broken_bucket() {
        let config = config(&[]).unwrap();
        for read in [Ok(None), Ok(Some(PurgeList::default())), Err(Unread)] {
            let mut known = known();
            known.add(&everything(), NOW, &config);
            known.on_bucket(read.clone(), NOW + 40, &config);
            assert!(known.purges().covers(&federated("abc"), NOW), "{read:?}");
        }
    }

    #[test]
    fn a_copy_survives_the_round_trip_and_another_text_does_not() {
        let own = config(&[]).unwrap();
        let copy = copy_of(purged(everything()), NOW).unwrap();
        assert_eq!(PurgesCopy::parse(&copy.to_text(&own), &own), Some(copy));
        for text in ["", "1", "x\n1", "5\n2"] {
            assert_eq!(PurgesCopy::parse(text, &own), None, "{text}");
        }
    }

    #[test]
    fn a_copy_has_the_stamp_of_the_list_unless_it_is_another_homeservers() {
        let own = config(&[]).unwrap();
        let mut known = known();
        known.complete(None, NOW);
        let text = known.copy().to_text(&own);
        assert_eq!(PurgesCopy::parse(&text, &own), Some(known.copy()));
        let moved = config(&[("HOMESERVER_URL", "https://other.example.com")]).unwrap();
        let read = PurgesCopy::parse(&text, &moved).unwrap();
        assert_eq!((read.list.stamp, read.list.purges), (None, Purges::default()));
    }
}
