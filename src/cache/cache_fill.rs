//! How a body from the origin gets into the tiers, and what is known of cache fills afterwards.
//!
//! The platform's cache does not report whether a `put` has stored an entry: it may show the entry
//! late or never. So an entry that can't be seen is unknown, not missing: it is removed on evidence
//! alone, and no other tier depends on it for longer than necessary.

use crate::cache::key::CacheKey;

/// The largest body that all tiers are filled with from one buffer, in bytes.
pub const MAX_BUFFERED_BYTES: u64 = 1024 * 1024;

/// The most that an isolate holds in such buffers at a time, in bytes.
const MAX_BUFFERS_BYTES: u64 = 16 * 1024 * 1024;

/// How long a buffer counts, in milliseconds: a request that the platform cuts off never releases
/// its own.
const BUFFER_MS: u64 = 30_000;

/// The pauses before the first looks for a new entry, in milliseconds. Requests that wait for a
/// small body wait for these.
pub const FIRST_PAUSES_MS: [u32; 4] = [0, 30, 60, 120];

/// The pauses before the later looks, in milliseconds: a large body is copied to the bucket once it is
/// found, which is worth some more.
pub const LATER_PAUSES_MS: [u32; 4] = [300, 500, 1_000, 2_000];

/// For how long a failed cache fill is remembered, in milliseconds.
const FRUITLESS_MS: u64 = 60_000;

/// After how many entries in a row that the data centre's cache has not shown it is bypassed.
const DOUBTFUL_UNSEEN: u32 = 2;

/// How many failed fills an isolate remembers.
const MAX_FRUITLESS: usize = 64;

/// How a body gets into the tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Into all of them, from one buffer.
    Buffer,
    /// Into the data centre's cache, and from there into the bucket.
    PopFirst,
    /// Into the bucket alone: the data centre's cache has failed to show new entries.
    BucketAlone,
}

/// What a look for the last byte of a new entry has found at the data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// No entry.
    Absent,
    /// An entry with another record: the one before it, or one that has come since.
    Other,
    /// The entry, with its last byte.
    Whole,
    /// The entry, which ends before that.
    Short,
}

/// What is known of a new entry at the data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is there, and whole.
    Whole,
    /// It is there, and to be removed: its body broke off.
    Broken,
    /// It can't be seen, or not yet.
    Unknown,
}

impl Look {
    /// Returns what a look shows of the entry; after [`Commit::Unknown`] another look may show
    /// more.
    pub const fn commit(self) -> Commit {
        match self {
            Self::Whole => Commit::Whole,
            Self::Short => Commit::Broken,
            Self::Absent | Self::Other => Commit::Unknown,
        }
    }
}

/// What an isolate knows of its cache fills: the buffers that they hold, and which fills failed.
#[derive(Debug)]
pub struct Fills {
    buffers: Vec<Buffer>,
    last: u64,
    fruitless: Vec<(CacheKey, u64)>,
    /// How many entries the data centre's cache has failed to show since it last showed one, and when
    /// it last failed. One alone may have broken off.
    unseen: u32,
    unseen_unix_ms: u64,
}

/// A buffer, by which it is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferId(u64);

#[derive(Debug)]
struct Buffer {
    id: BufferId,
    bytes: u64,
    began_unix_ms: u64,
}

impl Fills {
    /// Returns the knowledge of a new isolate.
    pub const fn new() -> Self {
        Self { buffers: Vec::new(), last: 0, fruitless: Vec::new(), unseen: 0, unseen_unix_ms: 0 }
    }

    /// Chooses how a body of this length gets into the tiers.
    pub fn way(
        &mut self,
        key: &CacheKey,
        length_bytes: u64,
        has_bucket: bool,
        now_unix_ms: u64,
    ) -> Way {
        self.buffers.retain(|buffer| is_within(buffer.began_unix_ms, now_unix_ms, BUFFER_MS));
        let held: u64 = self.buffers.iter().map(|buffer| buffer.bytes).sum();
        let is_buffered = length_bytes <= MAX_BUFFERED_BYTES
            && held.saturating_add(length_bytes) <= MAX_BUFFERS_BYTES;
        let is_doubted = self.unseen >= DOUBTFUL_UNSEEN
            && is_within(self.unseen_unix_ms, now_unix_ms, FRUITLESS_MS);
        match has_bucket && (is_doubted || self.is_fruitless(key, now_unix_ms)) {
            _ if is_buffered => Way::Buffer,
            true => Way::BucketAlone,
            false => Way::PopFirst,
        }
    }

    /// Counts a buffer of `bytes` bytes. Returns the ID that ends it.
    pub fn begin_buffer(&mut self, bytes: u64, now_unix_ms: u64) -> BufferId {
        self.last += 1;
        let id = BufferId(self.last);
        self.buffers.push(Buffer { id, bytes, began_unix_ms: now_unix_ms });
        id
    }

    /// Counts a buffer no longer.
    pub fn end_buffer(&mut self, id: BufferId) {
        self.buffers.retain(|buffer| buffer.id != id);
    }

    /// Records that the data centre's cache has shown an entry.
    pub fn record_shown(&mut self, key: &CacheKey) {
        self.unseen = 0;
        self.fruitless.retain(|(fruitless, _)| fruitless != key);
    }

    /// Records that the data centre's cache has not shown an entry when it was looked for.
    pub fn record_unseen(&mut self, key: &CacheKey, now_unix_ms: u64) {
        self.unseen = self.unseen.saturating_add(1);
        self.unseen_unix_ms = now_unix_ms;
        self.record_fruitless(key, now_unix_ms);
    }

    /// Records that a fill has failed, for whatever reason.
    pub fn record_fruitless(&mut self, key: &CacheKey, now_unix_ms: u64) {
        self.fruitless
            .retain(|(other, at)| other != key && is_within(*at, now_unix_ms, FRUITLESS_MS));
        if self.fruitless.len() >= MAX_FRUITLESS {
            self.fruitless.remove(0);
        }
        self.fruitless.push((key.clone(), now_unix_ms));
    }

    /// Returns whether a fill of this body has failed not long ago, so that no request should wait
    /// for another.
    pub fn is_fruitless(&self, key: &CacheKey, now_unix_ms: u64) -> bool {
        let mut fruitless = self.fruitless.iter();
        fruitless.any(|(other, at)| other == key && is_within(*at, now_unix_ms, FRUITLESS_MS))
    }
}

impl Default for Fills {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns whether two times are less than `span_ms` apart, whichever is the later: the clock may
/// be set back.
const fn is_within(at_unix_ms: u64, now_unix_ms: u64, span_ms: u64) -> bool {
    at_unix_ms.abs_diff(now_unix_ms) < span_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Subject;
    use crate::matrix::ids::Mxc;
    use crate::matrix::media::Representation;

    const NOW: u64 = 1_700_000_000_000;

    fn key(media_id: &str) -> CacheKey {
        let mxc = Mxc::parse(&format!("mxc://example.com/{media_id}")).unwrap();
        CacheKey::new(&mxc.server_name, Subject::Media(&mxc, Representation::Content))
    }

    #[test]
    fn a_body_of_a_mebibyte_fills_from_a_buffer_and_a_larger_one_through_the_cache() {
        let mut fills = Fills::new();
        let mut way = |length| fills.way(&key("a"), length, true, NOW);
        assert_eq!((way(0), way(MAX_BUFFERED_BYTES)), (Way::Buffer, Way::Buffer));
        assert_eq!(way(MAX_BUFFERED_BYTES + 1), Way::PopFirst);
    }

    #[test]
    fn buffers_are_bounded_until_they_end_or_are_forgotten() {
        let mut fills = Fills::new();
        let ids: Vec<_> = (0..16).map(|_| fills.begin_buffer(MAX_BUFFERED_BYTES, NOW)).collect();
        assert_eq!(fills.way(&key("a"), 1, true, NOW), Way::PopFirst);
        assert_eq!(fills.way(&key("a"), 0, true, NOW), Way::Buffer, "an empty one takes nothing");
        assert_eq!(fills.way(&key("a"), 1, true, NOW + BUFFER_MS - 1), Way::PopFirst);
        fills.end_buffer(ids[3]);
        assert_eq!(fills.way(&key("a"), MAX_BUFFERED_BYTES, true, NOW), Way::Buffer);
        fills.begin_buffer(MAX_BUFFERED_BYTES, NOW + 1);
        assert_eq!(fills.way(&key("a"), MAX_BUFFERED_BYTES, true, NOW + BUFFER_MS), Way::Buffer);
    }

    #[test]
    fn a_cache_that_shows_no_entries_is_bypassed_until_it_does_or_for_a_minute() {
        let mut fills = Fills::new();
        fills.record_unseen(&key("a"), NOW);
        assert_eq!(fills.way(&key("c"), 2 << 20, true, NOW), Way::PopFirst, "one may be its own");
        fills.record_unseen(&key("b"), NOW);
        let mut way = |has_bucket, ms| fills.way(&key("c"), 2 << 20, has_bucket, NOW + ms);
        assert_eq!((way(true, 0), way(true, 59_999)), (Way::BucketAlone, Way::BucketAlone));
        assert_eq!((way(true, 60_000), way(false, 0)), (Way::PopFirst, Way::PopFirst));
        fills.record_shown(&key("a"));
        assert_eq!(fills.way(&key("c"), 2 << 20, true, NOW), Way::PopFirst);
    }

    #[test]
    fn a_body_that_was_not_seen_is_next_filled_into_the_bucket() {
        let mut fills = Fills::new();
        fills.record_unseen(&key("a"), NOW);
        fills.record_shown(&key("b"));
        assert_eq!(fills.way(&key("a"), 2 << 20, true, NOW), Way::BucketAlone);
        assert_eq!(fills.way(&key("b"), 2 << 20, true, NOW), Way::PopFirst);
    }

    #[test]
    fn a_failed_fill_is_remembered_for_a_minute() {
        let mut fills = Fills::default();
        assert!(!fills.is_fruitless(&key("a"), NOW));
        fills.record_fruitless(&key("a"), NOW);
        assert!(fills.is_fruitless(&key("a"), NOW + 59_999));
        assert!(!fills.is_fruitless(&key("a"), NOW + 60_000));
        assert!(!fills.is_fruitless(&key("b"), NOW));
        assert_eq!(fills.way(&key("b"), 2 << 20, true, NOW), Way::PopFirst, "no word of the cache");
        fills.record_shown(&key("a"));
        assert!(!fills.is_fruitless(&key("a"), NOW));
    }

    #[test]
    fn remembered_fills_are_bounded_and_the_oldest_are_forgotten_first() {
        let mut fills = Fills::new();
        for number in 0..=MAX_FRUITLESS {
            fills.record_fruitless(&key(&number.to_string()), NOW);
        }
        assert_eq!(fills.fruitless.len(), MAX_FRUITLESS);
        assert!(!fills.is_fruitless(&key("0"), NOW) && fills.is_fruitless(&key("1"), NOW));
        fills.record_fruitless(&key("1"), NOW + 1);
        assert_eq!(fills.fruitless.len(), MAX_FRUITLESS, "each is known once");
    }

    #[test]
    fn an_entry_is_broken_only_if_it_is_seen_to_be_short() {
        let commits = [Look::Absent, Look::Other, Look::Whole, Look::Short].map(Look::commit);
        assert_eq!(commits, [Commit::Unknown, Commit::Unknown, Commit::Whole, Commit::Broken]);
    }
}
