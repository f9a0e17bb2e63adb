//! How fast the origin sends, and which cache fills can end in time.

use crate::message::presence::MAX_BACKGROUND_MS;

/// How much of a body may be left where nothing is known of the origin's pace, in bytes: what comes
/// in time over 7 Mbit/s. Home uplinks are rarely slower than that when they are idle.
const MAX_UNKNOWN_BYTES: u64 = 16 * 1024 * 1024;

/// That pace, in bytes a second, with a fifth of the time to spare.
const UNKNOWN_PER_SEC: u64 = MAX_UNKNOWN_BYTES * 1000 / (MAX_BACKGROUND_MS / 5 * 4);

/// Less than this tells nothing of a pace, in bytes: it comes out of buffers on the way.
pub const MIN_TELLING_BYTES: u64 = 1024 * 1024;

/// How fast this origin sent to this isolate, in bytes a second.
///
/// Work behind a client's back is cut off by the platform after 30 s, and what came until then is
/// thrown away. So a body that nobody reads whole is fetched only if all of it comes in time: a client
/// who seeks through a film would otherwise use up the homeserver's uplink for half a minute at each
/// step, and nothing would come of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    bytes_per_sec: Option<u64>,
}

impl Pace {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { bytes_per_sec: None };

    /// Takes in that so many bytes came within so many milliseconds. `is_unhindered` says that nobody
    /// slowed them down: a pace that a client has set shows only that the origin is no slower.
    pub fn learn(&mut self, bytes: u64, millis: u64, is_unhindered: bool) {
        if bytes < MIN_TELLING_BYTES {
            return;
        }
        let seen = bytes.saturating_mul(1000) / millis.max(1);
        self.bytes_per_sec = match self.bytes_per_sec {
            // Between what was and what is: uplinks are busy at one time and idle at another.
            Some(known) if is_unhindered => Some(known.midpoint(seen)),
            Some(known) => Some(known.max(seen)),
            None if is_unhindered || seen > UNKNOWN_PER_SEC => Some(seen),
            None => None,
        };
    }

    /// Returns whether so many bytes come within the time of background work, with a fifth to spare.
    pub fn is_in_time(self, bytes: u64) -> bool {
        match self.bytes_per_sec {
            Some(pace) => {
                bytes.saturating_mul(1000) <= pace.saturating_mul(MAX_BACKGROUND_MS / 5 * 4)
            }
            None => bytes <= MAX_UNKNOWN_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn after(lessons: &[(u64, u64, bool)]) -> Pace {
        let mut pace = Pace::UNKNOWN;
        for (bytes, millis, is_unhindered) in lessons {
            pace.learn(*bytes, *millis, *is_unhindered);
        }
        pace
    }

    #[test]
    fn an_unknown_pace_is_taken_to_be_modest() {
        assert!(Pace::UNKNOWN.is_in_time(16 * MIB));
        assert!(!Pace::UNKNOWN.is_in_time(16 * MIB + 1));
    }

    #[test]
    fn a_body_is_in_time_that_comes_within_twenty_seconds() {
        let pace = after(&[(10 * MIB, 10_000, true)]);
        assert!(pace.is_in_time(20 * MIB));
        assert!(!pace.is_in_time(20 * MIB + 1));
    }

    #[test]
    fn a_pace_is_learnt_anew() {
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
    fn a_small_body_tells_nothing() {
        assert_eq!(after(&[(MIB - 1, 1, true), (MIB - 1, 100_000, true)]), Pace::UNKNOWN);
    }

    #[test]
    fn no_time_and_no_end_are_no_error() {
        let pace = after(&[(u64::MAX, 0, true)]);
        assert!(pace.is_in_time(u64::MAX / 1000));
        assert!(!after(&[(MIB, u64::MAX, true)]).is_in_time(MIB));
    }
}
