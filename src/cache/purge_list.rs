//! Purges: which stored responses an admin wants gone, everywhere that hears of it.
//!
//! A store that can't be listed, or is elsewhere, can't be emptied at once. So a purge is a line in
//! a list that every look-up is held against: what begins like this and was stored no later than
//! then is a miss. What can be reached is deleted besides.

use std::rc::Rc;

use crate::cache::key::{CacheKey, KeyPrefix};
use crate::config::Config;

/// How old a copy of the list may be before it is read again, in seconds: within twice this, since
/// a data centre keeps a copy as well, every isolate in the world has heard of a purge.
pub const PURGES_FRESH_SECS: u64 = 30;

/// How long after a purge what is stored is still covered, in seconds: the clock of the data centre
/// that stored it may be ahead of the one that purged.
pub const CLOCK_MARGIN_SECS: u64 = 5;

/// The most purges in a list. With more, the oldest become one of everything before them.
const MAX_PURGES: usize = 500;

/// The most that is read of a list, in bytes: as many purges as there may be, with names of
/// the longest.
pub const MAX_LIST_BYTES: usize = 400 * 1024;

/// The first line of a list.
const VERSION: &str = "1";

/// The purges that may still cover something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purges(Vec<Purge>);

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Purge {
    prefix: KeyPrefix,
    at_unix_secs: u64,
}

impl Purges {
    /// Whether what was stored under `key` at that time is to be gone.
    pub fn covers(&self, key: &CacheKey, stored_unix_secs: u64) -> bool {
        self.0.iter().any(|purge| {
            stored_unix_secs <= purge.at_unix_secs.saturating_add(CLOCK_MARGIN_SECS)
                && purge.prefix.is_of(key)
        })
    }

    /// Adds a purge.
    pub fn add(&mut self, prefixes: Vec<KeyPrefix>, now_unix_secs: u64, config: &Config) {
        self.0.retain(|purge| !prefixes.contains(&purge.prefix));
        let new = |prefix| Purge { prefix, at_unix_secs: now_unix_secs };
        self.0.extend(prefixes.into_iter().map(new));
        self.forget(now_unix_secs, config);
    }

    /// Forgets those that cover nothing any more, since nothing is kept for longer than
    /// `CACHE_SECONDS`, and makes one of the oldest where there are too many.
    pub fn forget(&mut self, now_unix_secs: u64, config: &Config) {
        self.0.retain(|purge| {
            let end = purge.at_unix_secs.saturating_add(config.cache_seconds);
            now_unix_secs <= end.saturating_add(CLOCK_MARGIN_SECS)
        });
        while self.0.len() > MAX_PURGES {
            let oldest: Vec<_> = self.0.drain(..MAX_PURGES / 2).collect();
            let at_unix_secs = oldest.iter().map(|purge| purge.at_unix_secs).max().unwrap_or(0);
            let everything = KeyPrefix::everything(&config.server_name).into_iter();
            self.0.splice(0..0, everything.map(|prefix| Purge { prefix, at_unix_secs }));
        }
    }

    /// Adds what another list has.
    pub fn merge(&mut self, other: Self) {
        for purge in other.0 {
            match self.0.iter_mut().find(|known| known.prefix == purge.prefix) {
                Some(known) => known.at_unix_secs = known.at_unix_secs.max(purge.at_unix_secs),
                None => self.0.push(purge),
            }
        }
    }

    /// The list as text: a version, then on each line a second and a prefix.
    pub fn to_text(&self) -> String {
        let mut text = VERSION.to_owned();
        for Purge { prefix, at_unix_secs } in &self.0 {
            text.push_str(&format!("\n{at_unix_secs} {prefix}"));
        }
        text
    }

    /// Reads a list, or says nothing if it is of another version or broken.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        if lines.next() != Some(VERSION) {
            return None;
        }
        let purge = |line: &str| {
            let (at_unix_secs, prefix) = line.split_once(' ')?;
            Some(Purge {
                prefix: KeyPrefix::parse(prefix)?,
                at_unix_secs: at_unix_secs.parse().ok()?,
            })
        };
        lines.map(purge).collect::<Option<_>>().map(Self)
    }
}

/// The list as it lies at a data centre, for its isolates.
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

/// The list as one isolate knows it. What it has heard once stays heard, whatever can't be read.
#[derive(Clone, Debug, Default)]
pub struct KnownPurges {
    purges: Rc<Purges>,
    /// When the list was read from the bucket last, by whichever isolate of the data centre.
    read_unix_secs: u64,
    /// When this isolate looked for a newer one last, with or without success.
    checked_unix_secs: u64,
}

impl KnownPurges {
    /// Returns the list.
    pub fn purges(&self) -> Rc<Purges> {
        Rc::clone(&self.purges)
    }

    /// Returns whether the list may be used as it is, without a look for a newer one.
    pub fn is_fresh(&self, now_unix_secs: u64) -> bool {
        is_fresh(self.checked_unix_secs, now_unix_secs)
    }

    /// Merges the copy of the data centre. Returns whether the bucket has to be read too: where there
    /// is one, and the copy is missing or old.
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
            self.read_unix_secs = self.read_unix_secs.max(read_unix_secs);
        }
        let is_enough = !has_bucket || is_fresh(read_unix_secs, now_unix_secs);
        if is_enough {
            self.checked_unix_secs = now_unix_secs;
        }
        !is_enough
    }

    /// Merges what was read from the bucket; `Err` where it could not be read, and `None` in it where
    /// there is no list. Either way the next look is due as after any other.
    pub fn on_bucket(
        &mut self,
        read: Result<Option<Purges>, Unread>,
        now_unix_secs: u64,
        config: &Config,
    ) {
        self.checked_unix_secs = now_unix_secs;
        if let Ok(list) = read {
            self.read_unix_secs = now_unix_secs;
            self.merge(list.unwrap_or_default(), now_unix_secs, config);
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

/// The bucket could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread;

/// Whether what was read then is young enough. What was read in the future was read by a clock that
/// is not to be relied on.
fn is_fresh(read_unix_secs: u64, now_unix_secs: u64) -> bool {
    now_unix_secs.checked_sub(read_unix_secs).is_some_and(|age_secs| age_secs < PURGES_FRESH_SECS)
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
    fn what_is_stored_later_stays_but_for_a_margin_between_clocks() {
        let purges = purged(everything());
        assert!(purges.covers(&content("mxc://example.org/abc"), NOW + CLOCK_MARGIN_SECS));
        assert!(!purges.covers(&content("mxc://example.org/abc"), NOW + CLOCK_MARGIN_SECS + 1));
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
        for number in 0..3 * MAX_PURGES as u64 {
            let prefixes = vec![media(&format!("mxc://example.org/{number}"))];
            purges.add(prefixes, NOW + number, &config);
        }
        assert!(purges.0.len() <= MAX_PURGES);
        for number in 0..3 * MAX_PURGES as u64 {
            assert!(purges.covers(&content(&format!("mxc://example.org/{number}")), NOW + number));
        }
        let last = NOW + 3 * MAX_PURGES as u64 + CLOCK_MARGIN_SECS;
        assert!(!purges.covers(&content("mxc://example.org/x"), last));
    }

    /// As many as there may be.
    fn full(server: &str) -> Purges {
        let line = |number| format!("\n{NOW} v2/example.com/media/{server}/{number}/");
        let lines: String = (0..MAX_PURGES).map(line).collect();
        Purges::parse(&format!("{VERSION}{lines}")).unwrap()
    }

    #[test]
    fn a_full_list_of_the_longest_names_can_be_read() {
        let label = "a".repeat(63);
        let host = format!("{label}.{label}.{label}.{}", "a".repeat(63));
        let edge = ServerName::parse(&format!("{host}:65535")).unwrap();
        let prefixes = (0..MAX_PURGES).map(|number| {
            let uri = format!("mxc://{host}/{number:0>255}");
            KeyPrefix::media(&edge, &Mxc::parse(&uri).unwrap())
        });
        let mut known = known();
        known.add(&prefixes.collect::<Vec<_>>(), NOW, &config(&[]).unwrap());
        assert_eq!(known.purges().0.len(), MAX_PURGES);
        let copy = known.copy().to_text();
        assert!(copy.len() <= MAX_LIST_BYTES, "{} bytes", copy.len());
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
    fn what_covers_nothing_any_more_is_forgotten() {
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
    fn a_young_copy_is_enough_and_an_old_one_is_not() {
        let config = config(&[]).unwrap();
        for (age_secs, is_enough) in [(0, true), (29, true), (30, false), (3600, false)] {
            let mut known = known();
            let copy = copy_of(purged(everything()), NOW - age_secs);
            assert_eq!(known.on_copy(copy, true, NOW, &config), !is_enough, "{age_secs}");
            assert_eq!(known.is_fresh(NOW), is_enough, "{age_secs}");
            assert!(known.purges().covers(&federated("abc"), NOW), "{age_secs}");
        }
    }

    #[test]
    fn a_copy_from_the_future_is_not_young() {
        let mut known = known();
        assert!(known.on_copy(
            copy_of(Purges::default(), NOW + 1),
            true,
            NOW,
            &config(&[]).unwrap()
        ));
    }

    #[test]
    fn without_a_bucket_the_copy_is_all_there_is() {
        let config = config(&[]).unwrap();
        for copy in [None, copy_of(purged(everything()), NOW - 3600)] {
            let mut known = known();
            assert!(!known.on_copy(copy, false, NOW, &config));
            assert!(known.is_fresh(NOW + 29) && !known.is_fresh(NOW + 30));
        }
    }

    #[test]
    fn a_copy_is_as_old_as_the_last_read_of_the_bucket_that_went_well() {
        let config = config(&[]).unwrap();
        let mut known = known();
        known.on_bucket(Ok(None), NOW, &config);
        known.on_bucket(Err(Unread), NOW + 40, &config);
        assert_eq!(known.copy(), copy_of(Purges::default(), NOW).unwrap());
        assert!(known.is_fresh(NOW + 41), "the next look is due as after any other");
        let mut beside = self::known();
        assert!(beside.on_copy(Some(known.copy()), true, NOW + 41, &config));
    }

    #[test]
    fn what_has_been_heard_stays_heard_when_the_bucket_is_empty_or_broken() {
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
