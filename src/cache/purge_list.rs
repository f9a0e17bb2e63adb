//! Purges: which stored responses must not be served any more, everywhere that the list reaches.
//!
//! A store that can't be listed, or is elsewhere, can't be emptied at once. So a purge is a line in
//! a list that is checked at every look-up: an entry is a miss if its key begins with the prefix of
//! a purge, and it was stored no later than the purge. Entries that can be reached are deleted
//! besides.

use std::borrow::Borrow;
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

/// The most purges in a list: two requests of the largest about media of the edge's own server. With
/// more, the oldest become one of everything before them.
const MAX_PURGES: usize = 4_000;

/// The most that is read of a list, in bytes.
pub const MAX_LIST_BYTES: usize = 400 * 1024;

/// What a copy of the list has beside it, in bytes.
const COPY_HEAD_BYTES: usize = 32;

/// The first line of a list.
const VERSION: &str = "1";

/// The purges that may still cover something: the last second of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purges(BTreeMap<KeyPrefix, u64>);

impl Purges {
    /// Returns whether a response that was stored under `key` at that time is purged.
    pub fn covers(&self, key: &CacheKey, stored_unix_secs: u64) -> bool {
        if self.0.is_empty() {
            return false;
        }
        key.prefixes().any(|prefix| self.is_listed_since(prefix, stored_unix_secs))
    }

    fn is_listed_since(&self, prefix: &str, stored_unix_secs: u64) -> bool {
        let at_unix_secs = self.0.get(prefix);
        at_unix_secs.is_some_and(|at| stored_unix_secs <= at.saturating_add(CLOCK_MARGIN_SECS))
    }

    /// Returns whether well-known documents are purged whose host was asked at that time. They have
    /// no prefix of their own, which earlier builds could not read: a purge of everything covers
    /// them, and one of all media of the edge's own server.
    pub fn covers_documents(&self, edge: &ServerName, asked_unix_secs: u64) -> bool {
        // Most lists are empty, and a prefix is a text to be made.
        !self.0.is_empty()
            && self.is_listed_since(KeyPrefix::federation(edge).borrow(), asked_unix_secs)
    }

    /// Adds a purge.
    pub fn add(&mut self, prefixes: Vec<KeyPrefix>, now_unix_secs: u64, config: &Config) {
        self.extend(prefixes.into_iter().map(|prefix| (prefix, now_unix_secs)));
        self.forget(now_unix_secs, config);
    }

    /// Removes purges that no entry can be covered by any more, since none is kept for longer than
    /// `CACHE_SECONDS`. Where there are too many, the older half becomes one purge of everything.
    pub fn forget(&mut self, now_unix_secs: u64, config: &Config) {
        self.0.retain(|_, at_unix_secs| {
            let end = at_unix_secs.saturating_add(config.cache_secs);
            now_unix_secs <= end.saturating_add(CLOCK_MARGIN_SECS)
        });
        while self.0.len() > MAX_PURGES || self.length_bytes() > MAX_LIST_BYTES - COPY_HEAD_BYTES {
            let mut seconds: Vec<u64> = self.0.values().copied().collect();
            seconds.sort_unstable();
            let Some(oldest) = seconds.get(seconds.len() / 2).copied() else { return };
            self.0.retain(|_, at_unix_secs| *at_unix_secs > oldest);
            let everything = KeyPrefix::everything(&config.server_name).into_iter();
            self.extend(everything.map(|prefix| (prefix, oldest)));
        }
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
        let line = |prefix: &KeyPrefix| "\n 18446744073709551615".len() + prefix.length_bytes();
        VERSION.len() + self.0.keys().map(line).sum::<usize>()
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

/// The copy of the list at a data centre, for its isolates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgesCopy {
    purges: Purges,
    /// When the list was read from the bucket last, in seconds since the Unix epoch. A copy that is
    /// written after the bucket could not be read is as old as the one before it.
    read_unix_secs: u64,
}

impl PurgesCopy {
    /// Returns the copy as text: a second, then the list on the lines below it.
    pub fn to_text(&self) -> String {
        format!("{}\n{}", self.read_unix_secs, self.purges.to_text())
    }

    /// Parses a copy; `None` if the list is of another version or broken.
    pub fn parse(text: &str) -> Option<Self> {
        let (read_at, list) = text.split_once('\n')?;
        Some(Self { purges: Purges::parse(list)?, read_unix_secs: read_at.parse().ok()? })
    }
}

/// The list as one isolate knows it. A purge that it has read once stays, whatever can't be read
/// later.
#[derive(Clone, Debug, Default)]
pub struct KnownPurges {
    purges: Rc<Purges>,
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
            self.merge(copy.purges, now_unix_secs, config);
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
        read: Result<Option<Purges>, Unread>,
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

    /// Adds a purge.
    pub fn add(&mut self, prefixes: &[KeyPrefix], now_unix_secs: u64, config: &Config) {
        Rc::make_mut(&mut self.purges).add(prefixes.to_vec(), now_unix_secs, config);
    }

    /// Returns the copy for the data centre.
    pub fn copy(&self) -> PurgesCopy {
        PurgesCopy { purges: (*self.purges).clone(), read_unix_secs: self.read_unix_secs }
    }

    fn merge(&mut self, other: Purges, now_unix_secs: u64, config: &Config) {
        let purges = Rc::make_mut(&mut self.purges);
        purges.merge(other);
        purges.forget(now_unix_secs, config);
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
        let mut purges = Purges::default();
        purges.add(prefixes, NOW, &config(&[]).unwrap());
        purges
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
            purges.add(prefixes, NOW + number, &config);
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
    fn a_full_list_of_the_longest_names_can_be_read() {
        let label = "a".repeat(63);
        let host = format!("{label}.{label}.{label}.{}", "a".repeat(63));
        let edge = ServerName::parse(&format!("{host}:65535")).unwrap();
        let prefixes = (0..500).map(|number| KeyPrefix::media(&edge, &mxc_of(&host, number)));
        let mut known = known();
        known.add(&prefixes.collect::<Vec<_>>(), NOW, &config(&[]).unwrap());
        let copy = known.copy().to_text();
        assert!(copy.len() <= MAX_LIST_BYTES, "{} bytes", copy.len());
        let all =
            CacheKey::new(&edge, Subject::Media(&mxc_of(&host, 499), Representation::Content));
        assert!(known.purges().covers(&all, NOW));
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
        let mut purges = purged(vec![media("mxc://example.org/a")]);
        let later = NOW + 61 + CLOCK_MARGIN_SECS;
        purges.add(vec![KeyPrefix::federation(&config.server_name)], later, &config);
        assert_eq!(purges.0.len(), 1);
    }

    #[test]
    fn two_lists_become_one_with_the_later_times() {
        let (mut a, mut b) = (purged(everything()), Purges::default());
        let config = config(&[]).unwrap();
        b.add(vec![KeyPrefix::federation(&config.server_name)], NOW + 9, &config);
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
        Some(PurgesCopy::parse(&text).unwrap())
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
        for read in [Ok(None), Ok(Some(Purges::default())), Err(Unread)] {
            let mut known = known();
            known.add(&everything(), NOW, &config);
            known.on_bucket(read.clone(), NOW + 40, &config);
            assert!(known.purges().covers(&federated("abc"), NOW), "{read:?}");
        }
    }

    #[test]
    fn a_copy_survives_the_round_trip_and_another_text_does_not() {
        let copy = copy_of(purged(everything()), NOW).unwrap();
        assert_eq!(PurgesCopy::parse(&copy.to_text()), Some(copy));
        for text in ["", "1", "x\n1", "5\n2"] {
            assert_eq!(PurgesCopy::parse(text), None, "{text}");
        }
    }
}
