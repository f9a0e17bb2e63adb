//! How long a grant of the homeserver counts, and for what: the admin's choice.

/// `LEASE_SECONDS`, `MEDIA_LEASE_SECONDS`, `LEASE_SCOPE` and `STALE_IF_ERROR_SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeasePolicy {
    /// For how long a grant counts. 0: for its own request alone, so that every request asks.
    pub lease_secs: u64,
    /// `MEDIA_LEASE_SECONDS`: for how long a grant about a media counts while the homeserver's list of
    /// quarantined media is known to be up to date. 0: for `lease_secs` alone.
    pub media_lease_secs: u64,
    /// What a grant to a token covers.
    pub scope: LeaseScope,
    /// For how long after its last grant a credential is served while the homeserver is down.
    pub stale_if_error_secs: u64,
}

/// What a grant to a token covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseScope {
    /// All media that the homeserver confirms to anyone at this door.
    Token,
    /// The media that it was given for (MSC3911).
    TokenAndMedia,
}

/// What one of the two records of a grant is about (see [`crate::lease`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOf {
    /// A token, or a token for one media.
    Credential,
    /// A media.
    Media,
}

impl LeasePolicy {
    /// Returns whether any grant is remembered.
    pub fn is_remembering(self) -> bool {
        self.retention_secs(RecordOf::Credential) > 0
    }

    /// Returns for how long a record may count.
    pub fn retention_secs(self, record: RecordOf) -> u64 {
        let secs = self.lease_secs.max(self.stale_if_error_secs);
        match record {
            RecordOf::Credential => secs,
            RecordOf::Media => secs.max(self.media_lease_secs),
        }
    }

    /// Returns whether a grant of `confirmed_unix_secs` still counts.
    pub const fn is_alive(self, confirmed_unix_secs: u64, now_unix_secs: u64) -> bool {
        is_within(confirmed_unix_secs, self.lease_secs, now_unix_secs)
    }

    /// Returns whether a grant is to be renewed: it is in the last quarter of its lease, or older.
    pub const fn is_old(self, confirmed_unix_secs: u64, now_unix_secs: u64) -> bool {
        !is_within(confirmed_unix_secs, self.lease_secs - self.lease_secs / 4, now_unix_secs)
    }

    /// Returns whether a grant counts while the homeserver is down.
    pub const fn is_within_stale_window(
        self,
        confirmed_unix_secs: u64,
        now_unix_secs: u64,
    ) -> bool {
        is_within(confirmed_unix_secs, self.stale_if_error_secs, now_unix_secs)
    }
}

/// Returns whether a time is less than `limit_secs` ago: whole seconds of two instants differ by
/// less than that only if the instants do. A time in the future, by a clock that has stepped back,
/// is not.
pub const fn is_within(since_unix_secs: u64, limit_secs: u64, now_unix_secs: u64) -> bool {
    match now_unix_secs.checked_sub(since_unix_secs) {
        Some(age_secs) => age_secs < limit_secs,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: LeasePolicy = LeasePolicy {
        lease_secs: 60,
        media_lease_secs: 0,
        scope: LeaseScope::Token,
        stale_if_error_secs: 600,
    };

    #[test]
    fn a_lease_ends_on_its_last_second() {
        assert!(POLICY.is_alive(100, 100));
        assert!(POLICY.is_alive(100, 159));
        assert!(!POLICY.is_alive(100, 160));
    }

    #[test]
    fn a_lease_is_not_alive_in_strict_mode() {
        assert!(!LeasePolicy { lease_secs: 0, ..POLICY }.is_alive(100, 100));
    }

    #[test]
    fn a_lease_from_the_future_does_not_count() {
        assert!(!POLICY.is_alive(101, 100));
        assert!(!POLICY.is_within_stale_window(101, 100));
    }

    #[test]
    fn a_grant_about_a_media_is_kept_for_media_lease_seconds() {
        let policy = LeasePolicy { media_lease_secs: 3_600, ..POLICY };
        assert_eq!(policy.retention_secs(RecordOf::Media), 3_600);
        assert_eq!(policy.retention_secs(RecordOf::Credential), 600);
        assert_eq!(POLICY.retention_secs(RecordOf::Media), 600);
    }

    #[test]
    fn a_grant_is_remembered_for_the_lease_and_the_stale_window() {
        let kept = |lease_secs, stale_if_error_secs| {
            let policy = LeasePolicy { lease_secs, stale_if_error_secs, ..POLICY };
            (policy.is_remembering(), policy.retention_secs(RecordOf::Credential))
        };
        assert_eq!(kept(0, 0), (false, 0));
        assert_eq!((kept(60, 0), kept(0, 600)), ((true, 60), (true, 600)));
        assert_eq!((kept(60, 600), kept(600, 60)), ((true, 600), (true, 600)));
    }

    #[test]
    fn a_lease_is_old_in_its_last_quarter() {
        assert!(!POLICY.is_old(100, 144));
        assert!(POLICY.is_old(100, 145));
    }
}
