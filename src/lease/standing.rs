//! Whether a grant about a media still stands: within `LEASE_SECONDS` of it, or within
//! `MEDIA_LEASE_SECONDS` while the homeserver's own list of quarantined media is known to be up to
//! date and does not name the media.

use crate::cache::key::CacheKey;
use crate::cache::purge_list::{CLOCK_MARGIN_SECS, KnownPurges, Stamp};
use crate::config::lease_policy::{LeasePolicy, RecordOf};
use crate::lease::LeaseKeys;

/// For how long after the homeserver was asked for it its list counts as up to date, in seconds:
/// within this, a quarantine is honoured whatever fails.
pub const LIST_COUNTS_SECS: u64 = 180;

/// After what time a grant that stands by the list is renewed, in seconds: the list does not name
/// what was deleted.
pub const MEDIA_RENEW_SECS: u64 = 3_600;

/// What the list of purges tells about one media.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaWatch {
    /// How far the list holds what was quarantined; `None` where that is not known, or is no reason
    /// to serve.
    pub stamp: Option<Stamp>,
    /// When the list named the media last, in seconds since the Unix epoch; `None` if it never did.
    pub gone_unix_secs: Option<u64>,
}

/// A grant about a media that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// As of when the homeserver has confirmed the media, in seconds since the Unix epoch.
    pub confirmed_unix_secs: u64,
    /// Whether the grant is to be renewed.
    pub is_old: bool,
}

impl MediaWatch {
    /// Returns what the list that is known tells about the media that `key` is a response of.
    pub fn of(known: &KnownPurges, key: &CacheKey) -> Self {
        Self { stamp: known.stamp(), gone_unix_secs: known.purges().last_of(key) }
    }

    /// Returns whether a grant of this time is from before the media was quarantined, purged or
    /// found to be deleted, or from before names were left out of the list.
    pub fn ends(&self, granted_unix_secs: u64) -> bool {
        let is_before = |gone: u64| granted_unix_secs <= gone.saturating_add(CLOCK_MARGIN_SECS);
        self.gone_unix_secs.is_some_and(is_before)
            || self.stamp.is_some_and(|stamp| granted_unix_secs <= stamp.ask_again_until_unix_secs)
    }

    /// Returns when the homeserver was asked for the list, where that is recent enough, and the
    /// list was followed already when a grant of this time was asked for; `None` otherwise.
    fn complete_since(&self, granted_unix_secs: u64, now_unix_secs: u64) -> Option<u64> {
        let stamp = self.stamp?;
        let complete = stamp.complete_unix_secs;
        let is_recent = complete <= now_unix_secs.saturating_add(CLOCK_MARGIN_SECS)
            && now_unix_secs.saturating_sub(complete) < LIST_COUNTS_SECS;
        let is_followed =
            stamp.since_unix_secs.saturating_add(CLOCK_MARGIN_SECS) <= granted_unix_secs;
        (is_recent && is_followed).then_some(complete)
    }
}

/// Returns on what a grant about a media stands, which was asked for at `granted_unix_secs`; `None`
/// if the homeserver has to be asked again.
pub fn standing(
    policy: LeasePolicy,
    granted_unix_secs: Option<u64>,
    watch: MediaWatch,
    now_unix_secs: u64,
) -> Option<Standing> {
    let granted = granted_unix_secs?;
    let is_alive = || !watch.ends(granted) && policy.is_alive(granted, now_unix_secs);
    standing_by_list(policy, granted_unix_secs, watch, now_unix_secs).or_else(|| {
        is_alive().then(|| Standing {
            confirmed_unix_secs: granted,
            is_old: policy.is_old(granted, now_unix_secs),
        })
    })
}

/// Returns on what a grant about a media stands by the list alone; `None` if it does not.
pub fn standing_by_list(
    policy: LeasePolicy,
    granted_unix_secs: Option<u64>,
    watch: MediaWatch,
    now_unix_secs: u64,
) -> Option<Standing> {
    let granted = granted_unix_secs?;
    let age_secs = now_unix_secs.checked_sub(granted)?;
    let complete = watch.complete_since(granted, now_unix_secs)?;
    let stands = age_secs < policy.media_lease_secs && !watch.ends(granted);
    stands.then(|| Standing {
        confirmed_unix_secs: granted.max(complete.min(now_unix_secs)),
        is_old: age_secs >= MEDIA_RENEW_SECS,
    })
}

/// Returns for how long after it was asked for a grant is taken from an isolate's memory, in seconds.
/// Beyond `LEASE_SECONDS` another isolate may have had a refusal since, which only the list tells: so
/// that is for grants that may stand by it, while it is up to date and until they are renewed, and
/// such a grant counts by the list alone ([`Leases::by_list`](crate::lease::Leases::by_list)).
pub fn memory_secs(
    record: RecordOf,
    keys: &LeaseKeys,
    policy: LeasePolicy,
    watch: MediaWatch,
    now_unix_secs: u64,
) -> u64 {
    let is_up_to_date = || watch.complete_since(u64::MAX, now_unix_secs).is_some();
    match record {
        RecordOf::Media if keys.is_watched && is_up_to_date() => {
            policy.lease_secs.max(policy.media_lease_secs.min(MEDIA_RENEW_SECS))
        }
        RecordOf::Media | RecordOf::Credential => policy.lease_secs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lease_policy::LeaseScope;
    use crate::matrix::ids::Mxc;
    use crate::matrix::media::{Door, MediaKind};

    const NOW: u64 = 1_700_000_000;
    const DAY: u64 = 86_400;

    const POLICY: LeasePolicy = LeasePolicy {
        lease_secs: 60,
        media_lease_secs: 3 * DAY,
        scope: LeaseScope::Token,
        stale_if_error_secs: 600,
    };

    /// A list that has been followed for a month and was complete so many seconds ago.
    fn complete(secs_ago: u64) -> MediaWatch {
        let stamp = Stamp {
            complete_unix_secs: NOW - secs_ago,
            since_unix_secs: NOW - 30 * DAY,
            ask_again_until_unix_secs: 0,
        };
        MediaWatch { stamp: Some(stamp), gone_unix_secs: None }
    }

    fn granted(secs_ago: u64, watch: MediaWatch) -> Option<Standing> {
        standing(POLICY, Some(NOW - secs_ago), watch, NOW)
    }

    #[test]
    fn a_grant_stands_for_media_lease_seconds_while_the_list_is_up_to_date() {
        assert!(granted(3 * DAY - 1, complete(30)).is_some());
        assert_eq!(granted(3 * DAY, complete(30)), None);
    }

    #[test]
    fn a_list_counts_for_less_than_180_seconds() {
        assert!(granted(DAY, complete(179)).is_some());
        assert_eq!(granted(DAY, complete(180)), None);
    }

    #[test]
    fn a_stamp_of_the_future_counts_within_the_margin_of_clocks_alone() {
        let ahead = |secs: u64| {
            let mut watch = complete(0);
            watch.stamp.as_mut().unwrap().complete_unix_secs += secs;
            granted(DAY, watch)
        };
        assert_eq!(ahead(5).map(|standing| standing.confirmed_unix_secs), Some(NOW));
        assert_eq!(ahead(6), None);
    }

    #[test]
    fn a_grant_of_before_the_list_was_followed_has_lease_seconds_alone() {
        let followed_for = |secs: u64| {
            let mut watch = complete(0);
            watch.stamp.as_mut().unwrap().since_unix_secs = NOW - secs;
            watch
        };
        assert!(granted(3_000, followed_for(3_005)).is_some());
        assert_eq!(granted(3_000, followed_for(3_004)), None);
        assert!(granted(59, followed_for(10)).is_some());
    }

    #[test]
    fn a_name_on_the_list_ends_grants_of_before_it_and_of_the_margin_after_it() {
        let gone =
            |secs_ago: u64| MediaWatch { gone_unix_secs: Some(NOW - secs_ago), ..complete(0) };
        assert_eq!(granted(1_000, gone(500)), None);
        assert_eq!(granted(495, gone(500)), None);
        assert!(granted(494, gone(500)).is_some());
        assert_eq!(granted(10, gone(10)), None, "not even within LEASE_SECONDS");
    }

    #[test]
    fn names_that_were_left_out_end_all_grants_of_before_them() {
        let mut watch = complete(0);
        watch.stamp.as_mut().unwrap().ask_again_until_unix_secs = NOW - 500;
        assert_eq!(granted(500, watch), None);
        assert!(granted(499, watch).is_some());
    }

    #[test]
    fn a_grant_stands_for_lease_seconds_without_the_list() {
        assert!(granted(59, MediaWatch::default()).is_some());
        assert_eq!(granted(60, MediaWatch::default()), None);
        let unwatched = LeasePolicy { media_lease_secs: 0, ..POLICY };
        assert_eq!(standing(unwatched, Some(NOW - 60), complete(0), NOW), None);
    }

    #[test]
    fn a_grant_that_stands_by_the_list_alone_has_no_lease_seconds_without_it() {
        let stands = |watch| standing_by_list(POLICY, Some(NOW - 10), watch, NOW).is_some();
        assert!(stands(complete(0)));
        assert!(!stands(complete(180)) && !stands(MediaWatch::default()));
    }

    #[test]
    fn a_grant_of_the_future_and_no_grant_stand_on_nothing() {
        assert_eq!(standing(POLICY, Some(NOW + 1), complete(0), NOW), None);
        assert_eq!(standing(POLICY, None, complete(0), NOW), None);
    }

    #[test]
    fn a_grant_is_old_after_an_hour_by_the_list_and_in_its_last_quarter_without() {
        let is_old = |secs_ago, watch| granted(secs_ago, watch).map(|standing| standing.is_old);
        assert_eq!(is_old(3_599, complete(0)), Some(false));
        assert_eq!(is_old(3_600, complete(0)), Some(true));
        assert_eq!(is_old(44, MediaWatch::default()), Some(false));
        assert_eq!(is_old(45, MediaWatch::default()), Some(true));
    }

    #[test]
    fn a_media_is_confirmed_as_of_the_list_or_of_a_later_grant() {
        let confirmed = |secs_ago| granted(secs_ago, complete(30)).map(|s| s.confirmed_unix_secs);
        assert_eq!(confirmed(DAY), Some(NOW - 30));
        assert_eq!(confirmed(10), Some(NOW - 10));
    }

    #[test]
    fn memory_answers_beyond_lease_seconds_only_for_media_while_the_list_is_up_to_date() {
        let mxc = Mxc::parse("mxc://example.com/abc").unwrap();
        let secs = |record, door, policy, watch| {
            let (server_name, kind) = (&mxc.server_name, MediaKind::Content);
            let keys = LeaseKeys::new(server_name, policy, door, None, &mxc, kind);
            memory_secs(record, &keys, policy, watch, NOW)
        };
        let media = |policy, watch| secs(RecordOf::Media, Door::Client, policy, watch);
        assert_eq!(media(POLICY, complete(179)), MEDIA_RENEW_SECS);
        assert_eq!(media(POLICY, complete(180)), 60);
        assert_eq!(media(LeasePolicy { media_lease_secs: 100, ..POLICY }, complete(0)), 100);
        assert_eq!(media(LeasePolicy { media_lease_secs: 0, ..POLICY }, complete(0)), 60);
        assert_eq!(secs(RecordOf::Credential, Door::Client, POLICY, complete(0)), 60);
        assert_eq!(secs(RecordOf::Media, Door::Legacy, POLICY, complete(0)), 60);
    }
}
