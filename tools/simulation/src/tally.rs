//! What came of a day with one setting.

use std::collections::BTreeMap;

use matrix_media_edge::cache::tier::Tier;

use crate::homeserver::Effort;
use crate::setting::Setting;
use crate::workload::{Request, Workload};

/// Where the bytes came from that a client got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Tier(Tier),
    Origin,
}

pub(crate) const SOURCES: [Source; 4] = [
    Source::Tier(Tier::Memory),
    Source::Tier(Tier::Pop),
    Source::Tier(Tier::Bucket),
    Source::Origin,
];

pub(crate) struct Tally {
    setting: Setting,
    pub(crate) effort: Effort,
    served: BTreeMap<Source, Served>,
    pub(crate) refused: u64,
    /// Requests that waited for the homeserver's word.
    pub(crate) questioned: u64,
    /// Those of them that ended in media.
    pub(crate) questioned_for_media: u64,
    pub(crate) bucket_reads: u64,
    pub(crate) bucket_writes: u64,
    /// By media that was quarantined, and by reader whose token was revoked: how long after that
    /// something was served for the last time.
    quarantined: BTreeMap<usize, Late>,
    revoked: BTreeMap<usize, Late>,
}

/// Answers with media, and what they weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) answers: u64,
    pub(crate) bytes: u64,
}

/// What was served of something although the homeserver would have refused it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Late {
    answers: u64,
    last_ms: u64,
}

/// For how long things were served after the homeserver would have refused them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lateness {
    /// How many things it would have refused.
    pub(crate) events: usize,
    pub(crate) answers: u64,
    /// In ascending order, of those that were served at all.
    pub(crate) windows_ms: Vec<u64>,
}

impl Tally {
    pub(crate) const fn new(setting: Setting) -> Self {
        Self {
            setting,
            effort: Effort { bodies: 0, body_bytes: 0, words: 0 },
            served: BTreeMap::new(),
            refused: 0,
            questioned: 0,
            questioned_for_media: 0,
            bucket_reads: 0,
            bucket_writes: 0,
            quarantined: BTreeMap::new(),
            revoked: BTreeMap::new(),
        }
    }

    pub(crate) fn serve(&mut self, workload: &Workload, request: &Request, source: Source) {
        let served = self.served.entry(source).or_default();
        served.answers += 1;
        served.bytes += workload.item(request).length_bytes;
        let note = |late: &mut BTreeMap<usize, Late>, what, refused_for_ms| {
            let Some(last_ms) = refused_for_ms else { return };
            let late = late.entry(what).or_default();
            *late = Late { answers: late.answers + 1, last_ms };
        };
        note(&mut self.quarantined, request.media, workload.quarantined_for_ms(request));
        note(&mut self.revoked, request.reader, workload.revoked_for_ms(request));
    }

    pub(crate) const fn setting(&self) -> Setting {
        self.setting
    }

    pub(crate) fn served(&self, source: Source) -> Served {
        self.served.get(&source).copied().unwrap_or_default()
    }

    pub(crate) fn served_in_all(&self) -> Served {
        let add = |sum: Served, of: &Served| Served {
            answers: sum.answers + of.answers,
            bytes: sum.bytes + of.bytes,
        };
        self.served.values().fold(Served::default(), add)
    }

    pub(crate) fn quarantined(&self, workload: &Workload) -> Lateness {
        Lateness::new(workload.model.quarantines, &self.quarantined)
    }

    pub(crate) fn revoked(&self, workload: &Workload) -> Lateness {
        Lateness::new(workload.model.revocations, &self.revoked)
    }
}

impl Lateness {
    fn new(events: usize, late: &BTreeMap<usize, Late>) -> Self {
        let mut windows_ms: Vec<_> = late.values().map(|late| late.last_ms).collect();
        windows_ms.sort_unstable();
        Self { events, answers: late.values().map(|late| late.answers).sum(), windows_ms }
    }

    /// The window that this part of all events stayed within.
    pub(crate) fn quantile_ms(&self, part: f64) -> u64 {
        let never_served = self.events - self.windows_ms.len();
        let rank = (part * self.events as f64).ceil() as usize;
        match rank.saturating_sub(never_served) {
            0 => 0,
            place => self.windows_ms[place.min(self.windows_ms.len()) - 1],
        }
    }

    pub(crate) fn longest_ms(&self) -> u64 {
        self.windows_ms.last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_served_late_counts_for_nothing() {
        let late = |last_ms| Late { answers: 1, last_ms };
        let lateness = Lateness::new(4, &BTreeMap::from([(1, late(20)), (2, late(10))]));
        let quantiles = [0.5, 0.75, 1.0].map(|part| lateness.quantile_ms(part));
        assert_eq!((quantiles, lateness.longest_ms()), ([0, 10, 20], 20));
    }
}
