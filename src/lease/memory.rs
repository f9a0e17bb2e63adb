//! What one isolate remembers of the homeserver's grants and refusals, record by record.
//!
//! The data centre's cache may still show a record that a refusal has removed, and answers may
//! arrive out of order. So a refusal beats every grant that was asked for before the refusal
//! arrived. Memory answers for living leases alone, not for the stale window.

use crate::cache::key::CacheKey;
use crate::cache::lru::Lru;
use crate::config::lease_policy::{LeasePolicy, RecordOf, is_within};
use crate::lease::standing::{MediaWatch, memory_secs};
use crate::lease::{LeaseKeys, Leases, MAX_RECORDS_BYTES, record_weight};

/// What the homeserver's last answer about a record was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    /// A grant, and when it was asked for, in seconds since the Unix epoch.
    Granted(u64),
    /// A refusal, and when it arrived, in seconds since the Unix epoch.
    Revoked(u64),
}

/// What an isolate remembers of the two records of a grant, in seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// When the living grant to the credential was asked for, if there is one.
    pub credential: Option<u64>,
    /// When the living grant about the media was asked for, if there is one.
    pub media: Option<u64>,
    /// See [`Leases::by_list`].
    pub by_list: Option<u64>,
}

impl Remembered {
    /// Returns whether the media's record is to be looked up at the data centre. Where the credential's
    /// has to be anyway, so has the media's, which may count in an outage too.
    pub const fn needs_media(&self) -> bool {
        let is_enough = self.by_list.is_some() && self.credential.is_some();
        self.media.is_none() && !is_enough
    }
}

/// An isolate's memory of lease records, of bounded size.
#[derive(Debug)]
pub struct LeaseMemory(Lru<LeaseState>);

impl LeaseMemory {
    /// Returns an empty memory that holds at most [`MAX_RECORDS_BYTES`].
    pub fn new() -> Self {
        Self(Lru::new(MAX_RECORDS_BYTES))
    }

    /// Returns when a grant was asked for that is less than `limit_secs` old, in seconds since the
    /// Unix epoch; `None` where the data centre's cache has to be looked at. Memory answers for
    /// living leases alone: within the stale window, another isolate may have had a refusal since.
    pub fn living(&mut self, key: &CacheKey, limit_secs: u64, now_unix_secs: u64) -> Option<u64> {
        match self.0.get(key) {
            Some(LeaseState::Granted(asked)) if is_within(*asked, limit_secs, now_unix_secs) => {
                Some(*asked)
            }
            Some(LeaseState::Granted(_) | LeaseState::Revoked(_)) | None => None,
        }
    }

    /// Returns what is remembered of both records, by what the list of purges tells about the media.
    pub fn recall(
        &mut self,
        keys: &LeaseKeys,
        policy: LeasePolicy,
        watch: MediaWatch,
        now_unix_secs: u64,
    ) -> Remembered {
        let mut living = |key, secs| self.living(key, secs, now_unix_secs);
        let list_secs = memory_secs(RecordOf::Media, keys, policy, watch, now_unix_secs);
        Remembered {
            credential: keys.credential.as_ref().and_then(|key| living(key, policy.lease_secs)),
            media: living(&keys.media, policy.lease_secs),
            by_list: living(&keys.media, list_secs),
        }
    }

    /// Returns the leases with the grant that brought the stored body, which was asked for at `body`,
    /// unless a refusal has arrived since.
    pub fn with_body(
        &mut self,
        leases: Leases,
        keys: Option<&LeaseKeys>,
        body: Option<u64>,
    ) -> Leases {
        let admitted = keys.zip(body).filter(|(keys, asked)| self.admits(&keys.media, *asked));
        Leases { by_list: leases.by_list.max(admitted.map(|(_, asked)| asked)), ..leases }
    }

    /// Records a grant that was asked for at this time, from an answer or from the data centre's
    /// cache. Returns whether it counts: `false` if a refusal has arrived since the grant was asked
    /// for.
    pub fn record_grant(&mut self, key: &CacheKey, asked_unix_secs: u64) -> bool {
        let counts = self.admits(key, asked_unix_secs);
        if counts {
            self.record(key, LeaseState::Granted(asked_unix_secs));
        }
        counts
    }

    /// Returns whether a grant that was asked for at this time still counts: no refusal has arrived
    /// since.
    fn admits(&mut self, key: &CacheKey, asked_unix_secs: u64) -> bool {
        match self.0.get(key) {
            Some(LeaseState::Revoked(heard)) => *heard < asked_unix_secs,
            Some(LeaseState::Granted(_)) | None => true,
        }
    }

    /// Records a refusal that arrives now.
    pub fn record_refusal(&mut self, key: &CacheKey, now_unix_secs: u64) {
        self.record(key, LeaseState::Revoked(now_unix_secs));
    }

    fn record(&mut self, key: &CacheKey, state: LeaseState) {
        self.0.insert(key.clone(), state, record_weight(key));
    }
}

impl Default for LeaseMemory {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::Subject;
    use crate::matrix::ids::Mxc;
    use crate::matrix::media::{Door, MediaKind};

    const NOW: u64 = 1_700_000_000;
    const LEASE_SECS: u64 = 60;

    fn key() -> CacheKey {
        let mxc = Mxc::parse("mxc://example.com/abc").unwrap();
        CacheKey::new(&mxc.server_name, Subject::MediaLease(Door::Client, &mxc, MediaKind::Content))
    }

    #[test]
    fn a_grant_answers_while_its_lease_is_alive_and_not_in_the_stale_window() {
        let mut memory = LeaseMemory::new();
        assert!(memory.record_grant(&key(), NOW));
        assert_eq!(memory.living(&key(), LEASE_SECS, NOW + 59), Some(NOW));
        assert_eq!(memory.living(&key(), LEASE_SECS, NOW + 60), None);
    }

    #[test]
    fn a_grant_asked_for_before_a_refusal_was_heard_does_not_count() {
        for asked in [NOW - 1, NOW] {
            let mut memory = LeaseMemory::new();
            memory.record_refusal(&key(), NOW);
            assert!(!memory.record_grant(&key(), asked), "{asked}");
            assert_eq!(memory.living(&key(), LEASE_SECS, NOW), None, "{asked}");
        }
    }

    #[test]
    fn a_grant_asked_for_after_a_refusal_counts() {
        let mut memory = LeaseMemory::new();
        memory.record_refusal(&key(), NOW);
        assert!(memory.record_grant(&key(), NOW + 1));
        assert_eq!(memory.living(&key(), LEASE_SECS, NOW + 1), Some(NOW + 1));
    }

    #[test]
    fn a_refusal_ends_a_living_lease_at_once() {
        let mut memory = LeaseMemory::new();
        memory.record_grant(&key(), NOW);
        memory.record_refusal(&key(), NOW + 1);
        assert_eq!(memory.living(&key(), LEASE_SECS, NOW + 1), None);
    }

    #[test]
    fn an_older_grant_may_take_the_place_of_a_newer_one() {
        let mut memory = LeaseMemory::new();
        memory.record_grant(&key(), NOW);
        assert!(memory.record_grant(&key(), NOW - 1));
        assert_eq!(memory.living(&key(), LEASE_SECS, NOW), Some(NOW - 1));
    }

    #[test]
    fn a_refusal_concerns_its_own_record_alone() {
        let mxc = Mxc::parse("mxc://example.com/other").unwrap();
        let subject = Subject::MediaLease(Door::Client, &mxc, MediaKind::Content);
        let other = CacheKey::new(&mxc.server_name, subject);
        let mut memory = LeaseMemory::default();
        memory.record_refusal(&other, NOW);
        assert!(memory.record_grant(&key(), NOW));
        assert_eq!(memory.living(&other, LEASE_SECS, NOW), None);
    }
}
