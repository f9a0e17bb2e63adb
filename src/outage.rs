//! An origin that is known to be down: readers who may be served without it need not wait for it
//! to fail each of them, and don't all meet it when it comes back.
//!
//! One question that fails says little: it may be about that media alone. It is a suspicion, upon
//! which the origin is *probed* for what every homeserver answers. While probes fail, one follows
//! the other, with pauses between them, and nobody waits for any. What is known lasts hardly longer
//! than the pause to the next probe, since an origin that is up is asked about every request.

/// How long a probe may take, in milliseconds.
pub const PROBE_MILLIS: u32 = 5_000;

/// The longest pauses after the first, second and every further probe that failed.
const PAUSES_MILLIS: [u32; 3] = [1_000, 2_000, 4_000];

/// How long what is known lasts beyond the pause: who comes then is served, and probes.
const LINGER_MILLIS: u32 = 4_000;

/// What an isolate knows of an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// When a probe began, or failed, last.
    since_unix_ms: u64,
    /// How long the next probe is to wait from then on.
    pause_millis: u32,
    /// How long the origin is taken to be down from then on.
    known_millis: u32,
    /// Probes that failed in a row.
    failures: usize,
}

/// A probe under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    began_unix_ms: u64,
}

impl Outage {
    /// None is known.
    pub const NONE: Self = Self { since_unix_ms: 0, pause_millis: 0, known_millis: 0, failures: 0 };

    /// Whether the origin is known to be down.
    pub const fn is_known(&self, now_unix_ms: u64) -> bool {
        self.is_within(self.known_millis, now_unix_ms)
    }

    /// Takes up the next probe, if it is time for one.
    pub fn begin_probe(&mut self, now_unix_ms: u64) -> Option<Probe> {
        if self.is_within(self.pause_millis, now_unix_ms) {
            return None;
        }
        let known_millis =
            if self.is_known(now_unix_ms) { PROBE_MILLIS + LINGER_MILLIS } else { 0 };
        let failures = self.failures;
        *self =
            Self { since_unix_ms: now_unix_ms, pause_millis: PROBE_MILLIS, known_millis, failures };
        Some(Probe { began_unix_ms: now_unix_ms })
    }

    /// A probe had no answer. Which part of its second half the pause takes is `random`'s choice.
    pub fn fail_probe(&mut self, probe: Probe, now_unix_ms: u64, random: u32) {
        // Somebody has had an answer since.
        if self.since_unix_ms != probe.began_unix_ms {
            return;
        }
        let longest = PAUSES_MILLIS[self.failures.min(PAUSES_MILLIS.len() - 1)];
        let pause_millis = longest / 2 + random % (longest / 2 + 1);
        *self = Self {
            since_unix_ms: now_unix_ms,
            pause_millis,
            known_millis: pause_millis + LINGER_MILLIS,
            failures: self.failures + 1,
        };
    }

    /// A clock that has stepped back ends what it was to measure.
    const fn is_within(&self, millis: u32, now_unix_ms: u64) -> bool {
        match now_unix_ms.checked_sub(self.since_unix_ms) {
            Some(age_ms) => age_ms < millis as u64,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    /// An outage that is known since now.
    fn known(random: u32) -> Outage {
        let mut outage = Outage::NONE;
        let probe = outage.begin_probe(NOW).expect("it is time");
        outage.fail_probe(probe, NOW, random);
        outage
    }

    #[test]
    fn a_suspicion_is_no_outage() {
        let mut outage = Outage::NONE;
        assert!(outage.begin_probe(NOW).is_some());
        assert!(!outage.is_known(NOW));
    }

    #[test]
    fn one_probe_at_a_time_is_enough() {
        let mut outage = Outage::NONE;
        assert!(outage.begin_probe(NOW).is_some());
        assert_eq!(outage.begin_probe(NOW + 4_999), None);
        assert!(outage.begin_probe(NOW + 5_000).is_some(), "it may have been lost");
    }

    #[test]
    fn pauses_grow_and_differ() {
        let longest = |mut outage: Outage| {
            (0..4).map(move |_| {
                let end = outage.since_unix_ms + u64::from(outage.pause_millis);
                let pause = outage.pause_millis;
                assert_eq!(outage.begin_probe(end - 1), None);
                let probe = outage.begin_probe(end).expect("it is time");
                outage.fail_probe(probe, end, 500 << (outage.failures.min(2)));
                pause
            })
        };
        assert_eq!(longest(known(500)).collect::<Vec<_>>(), [1_000, 2_000, 4_000, 4_000]);
        assert_eq!(known(0).pause_millis, 500);
        assert_eq!(known(u32::MAX).pause_millis, 500 + u32::MAX % 501);
    }

    #[test]
    fn what_is_known_is_soon_forgotten() {
        let outage = known(500);
        assert!(outage.is_known(NOW + 4_999));
        assert!(!outage.is_known(NOW + 5_000));
    }

    #[test]
    fn it_stays_known_while_it_is_probed() {
        let mut outage = known(500);
        outage.begin_probe(NOW + 1_000).expect("it is time");
        assert!(outage.is_known(NOW + 1_000 + 8_999));
        assert!(!outage.is_known(NOW + 1_000 + 9_000));
    }

    #[test]
    fn a_probe_that_fails_late_tells_nothing_new() {
        let mut outage = Outage::NONE;
        let probe = outage.begin_probe(NOW).expect("it is time");
        outage = Outage::NONE;
        outage.fail_probe(probe, NOW + 5_000, 0);
        assert_eq!(outage, Outage::NONE);
    }

    #[test]
    fn a_clock_that_steps_back_ends_it() {
        assert!(!known(0).is_known(NOW - 1));
        assert!(known(0).begin_probe(NOW - 1).is_some());
    }
}
