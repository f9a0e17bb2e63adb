//! How fast the origin sends, and which cache fills can end in time.

use crate::message::presence::MAX_BACKGROUND_MS;

/// How much of a body may be left where nothing is known of the origin's pace, in bytes: what comes
/// in time over 7 Mbit/s. Home uplinks are rarely slower than that when they are idle.
const MAX_UNKNOWN_BYTES: u64 = 16 * 1024 * 1024;

/// How much may be left of a body that can't be had in parts, in bytes: what comes in time over
/// 20 Mbit/s. It is worth a try, since each reader of a part would cost the origin the beginning again.
const MAX_HOPED_BYTES: u64 = 62_500_000;

/// [`MAX_UNKNOWN_BYTES`] as a pace, in bytes a second, with a fifth of the time to spare.
const UNKNOWN_PER_SEC: u64 = MAX_UNKNOWN_BYTES * 1000 / (MAX_BACKGROUND_MS / 5 * 4);

/// Fewer bytes than this don't show a pace: they come out of buffers on the way.
pub const MIN_TELLING_BYTES: u64 = 1024 * 1024;

/// A shorter wait than this doesn't show a pace, in milliseconds.
const MIN_TELLING_MS: u64 = 5_000;

/// How fast this origin sent to this isolate, in bytes a second.
///
/// Background work is cut off by the platform after 30 s, and what came until then is thrown away.
/// So a body that no client reads whole is fetched only if all of it can come in time: a client who
/// seeks through a film would otherwise use up the homeserver's uplink for half a minute at each
/// step, in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    bytes_per_sec: Option<u64>,
}

impl Pace {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { bytes_per_sec: None };

    /// Records that `bytes` came within `ms` milliseconds. With `is_unhindered`, no client
    /// slowed them down: a pace that a client has set shows only that the origin is no slower.
    pub fn learn(&mut self, bytes: u64, ms: u64, is_unhindered: bool) {
        if bytes < MIN_TELLING_BYTES {
            return;
        }
        let seen = bytes.saturating_mul(1000) / ms.max(1);
        self.bytes_per_sec = match self.bytes_per_sec {
            // Between what was and what is: uplinks are busy at one time and idle at another.
            Some(known) if is_unhindered => Some(known.midpoint(seen)),
            Some(known) => Some(known.max(seen)),
            None if is_unhindered || seen > UNKNOWN_PER_SEC => Some(seen),
            None => None,
        };
    }

    /// Records that fewer than `bytes` came within `ms` milliseconds, with no reader to wait for. Few
    /// bytes and short waits are ignored.
    pub fn learn_late(&mut self, bytes: u64, ms: u64) {
        if bytes < MIN_TELLING_BYTES || ms < MIN_TELLING_MS {
            return;
        }
        let most = bytes.saturating_mul(1000) / ms.max(1);
        self.bytes_per_sec = Some(self.bytes_per_sec.map_or(most, |known| known.min(most)));
    }

    /// Returns whether `bytes` come within the time of background work, with a fifth of it to spare.
    pub fn is_in_time(self, bytes: u64) -> bool {
        self.ends_in_time(bytes, MAX_BACKGROUND_MS, Otherwise::Parts)
    }

    /// Returns whether a fill goes on: whether its last `bytes` come within `left_ms` at this pace.
    /// Where no pace is known, a number of bytes decides.
    pub fn ends_in_time(self, bytes: u64, left_ms: u64, otherwise: Otherwise) -> bool {
        match (self.bytes_per_sec, otherwise) {
            (Some(pace), Otherwise::Parts) => {
                bytes.saturating_mul(1000) <= pace.saturating_mul(left_ms / 5 * 4)
            }
            (Some(pace), Otherwise::Again) => {
                bytes.saturating_mul(1000) <= pace.saturating_mul(left_ms)
            }
            (None, Otherwise::Parts) => bytes <= MAX_UNKNOWN_BYTES,
            (None, Otherwise::Again) => bytes <= MAX_HOPED_BYTES,
        }
    }

    /// Returns how many of `bytes` are left after `ms` milliseconds at this pace; all of them where none
    /// is known.
    pub fn left(self, bytes: u64, ms: u64) -> u64 {
        let came = self.bytes_per_sec.unwrap_or_default().saturating_mul(ms) / 1000;
        bytes.saturating_sub(came)
    }
}

/// What readers of a part cost the origin where the whole is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// That part: the origin serves ranges.
    Parts,
    /// Everything before that part too: it ignores ranges, or that is not known.
    Again,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn after(lessons: &[(u64, u64, bool)]) -> Pace {
        let mut pace = Pace::UNKNOWN;
        for (bytes, ms, is_unhindered) in lessons {
            pace.learn(*bytes, *ms, *is_unhindered);
        }
        pace
    }

    #[test]
    fn an_unknown_pace_is_taken_to_be_modest() {
        assert!(Pace::UNKNOWN.is_in_time(16 * MIB));
        assert!(!Pace::UNKNOWN.is_in_time(16 * MIB + 1));
    }

    #[test]
    fn a_body_that_comes_within_twenty_seconds_is_in_time() {
        let pace = after(&[(10 * MIB, 10_000, true)]);
        assert!(pace.is_in_time(20 * MIB));
        assert!(!pace.is_in_time(20 * MIB + 1));
    }

    #[test]
    fn a_new_measurement_changes_the_pace() {
        let slower = after(&[(10 * MIB, 10_000, true), (10 * MIB, 100_000, true)]);
        assert!(!slower.is_in_time(12 * MIB));
        let faster = after(&[(10 * MIB, 10_000, true), (30 * MIB, 10_000, true)]);
        assert!(faster.is_in_time(40 * MIB));
    }

    #[test]
    fn a_slow_client_does_not_make_the_origin_slow() {
        assert_eq!(after(&[(10 * MIB, 1_000_000, false)]), Pace::UNKNOWN);
        let pace = after(&[(10 * MIB, 10_000, true), (10 * MIB, 1_000_000, false)]);
        assert!(pace.is_in_time(20 * MIB));
    }

    #[test]
    fn a_fast_client_shows_that_the_origin_is_fast() {
        let pace = after(&[(10 * MIB, 10_000, true), (20 * MIB, 10_000, false)]);
        assert!(pace.is_in_time(40 * MIB));
        assert!(after(&[(20 * MIB, 10_000, false)]).is_in_time(40 * MIB));
    }

    #[test]
    fn a_small_body_teaches_no_pace() {
        assert_eq!(after(&[(MIB - 1, 1, true), (MIB - 1, 100_000, true)]), Pace::UNKNOWN);
    }

    #[test]
    fn a_fill_goes_on_more_readily_if_the_host_ignores_ranges() {
        let ends = |pace: Pace, bytes, otherwise| pace.ends_in_time(bytes, 25_000, otherwise);
        assert!(ends(Pace::UNKNOWN, 60_000_000, Otherwise::Again));
        assert!(!ends(Pace::UNKNOWN, 60_000_000, Otherwise::Parts));
        assert!(!ends(Pace::UNKNOWN, 64 * MIB, Otherwise::Again));
        let known = after(&[(10 * MIB, 10_000, true)]);
        assert!(ends(known, 25 * MIB, Otherwise::Again));
        assert!(!ends(known, 25 * MIB + 1, Otherwise::Again));
        assert!(!ends(known, 25 * MIB, Otherwise::Parts), "with a fifth to spare");
    }

    #[test]
    fn a_late_body_teaches_a_slower_pace() {
        let mut pace = Pace::UNKNOWN;
        pace.learn_late(50 * MIB, 25_000);
        assert!(!pace.ends_in_time(50 * MIB + 1, 25_000, Otherwise::Again));
        assert!(pace.is_in_time(40 * MIB));
        let mut slower = after(&[(10 * MIB, 10_000, true)]);
        slower.learn_late(50 * MIB, 25_000);
        assert_eq!(slower, after(&[(10 * MIB, 10_000, true)]), "it is slower than that already");
    }

    #[test]
    fn a_small_late_body_and_a_short_wait_teach_no_pace() {
        let mut pace = Pace::UNKNOWN;
        pace.learn_late(MIB - 1, 25_000);
        pace.learn_late(50 * MIB, 4_999);
        assert_eq!(pace, Pace::UNKNOWN);
    }

    #[test]
    fn the_remainder_is_the_whole_without_a_known_pace() {
        assert_eq!(Pace::UNKNOWN.left(10 * MIB, 5_000), 10 * MIB);
        let known = after(&[(10 * MIB, 10_000, true)]);
        assert_eq!(known.left(10 * MIB, 5_000), 5 * MIB);
        assert_eq!(known.left(10 * MIB, 50_000), 0);
    }

    #[test]
    fn zero_and_endless_times_do_not_overflow() {
        let pace = after(&[(u64::MAX, 0, true)]);
        assert!(pace.is_in_time(u64::MAX / 1000));
        assert!(!after(&[(MIB, u64::MAX, true)]).is_in_time(MIB));
    }
}
