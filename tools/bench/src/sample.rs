//! What is measured, and how it is written down.

use std::collections::{BTreeMap, BTreeSet};

use plot::Spread;
use serde::{Deserialize, Serialize};

use crate::contenders::Id;

/// A figure's name says its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    RequestsPerSecond,
    MegabytesPerSecond,
    P50Ms,
    P99Ms,
    OverOriginMs,
    FirstByteMs,
    TotalMs,
    CpuMsPerRequest,
    OriginCpuMsPerRequest,
    PeakResidentMib,
    GrowthMib,
    OriginRequestsPer1000,
    OriginKilobytesPer1000,
}

impl Figure {
    pub(crate) const ALL: [Self; 13] = [
        Self::RequestsPerSecond,
        Self::MegabytesPerSecond,
        Self::P50Ms,
        Self::P99Ms,
        Self::OverOriginMs,
        Self::FirstByteMs,
        Self::TotalMs,
        Self::CpuMsPerRequest,
        Self::OriginCpuMsPerRequest,
        Self::PeakResidentMib,
        Self::GrowthMib,
        Self::OriginRequestsPer1000,
        Self::OriginKilobytesPer1000,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests/s",
            Self::MegabytesPerSecond => "MB/s",
            Self::P50Ms => "p50 ms",
            Self::P99Ms => "p99 ms",
            Self::OverOriginMs => "over Synapse's 304 ms",
            Self::FirstByteMs => "first byte ms",
            Self::TotalMs => "whole ms",
            Self::CpuMsPerRequest => "CPU ms/request",
            Self::OriginCpuMsPerRequest => "Synapse's CPU ms/request",
            Self::PeakResidentMib => "peak MiB",
            Self::GrowthMib => "growth MiB",
            Self::OriginRequestsPer1000 => "origin requests/1000",
            Self::OriginKilobytesPer1000 => "origin kB/1000",
        }
    }
}

pub(crate) type Figures = BTreeMap<Figure, f64>;

/// One measurement of one contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The workload's name.
    pub(crate) workload: String,
    pub(crate) contender: Id,
    /// Between the edge and Synapse, there and back.
    pub(crate) round_trip_ms: u64,
    pub(crate) round: usize,
    pub(crate) figures: Figures,
}

/// All measurements of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Samples<'a>(pub(crate) &'a [Sample]);

/// A figure of a contender at a workload and a distance.
pub(crate) type Place<'a> = (&'a str, u64, Id, Figure);

impl Samples<'_> {
    pub(crate) fn spread(&self, place: Place<'_>) -> Option<Spread> {
        Spread::of(self.by_round(place).into_values().collect())
    }

    /// Two figures brought together round by round: what disturbs a round disturbs both.
    pub(crate) fn pair(
        &self,
        one: Place<'_>,
        other: Place<'_>,
        together: impl Fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let others = self.by_round(other);
        let ones = self.by_round(one).into_iter();
        Spread::of(
            ones.filter_map(|(round, one)| Some(together(one, *others.get(&round)?))).collect(),
        )
    }

    /// The distances at which a workload was measured, in order.
    pub(crate) fn round_trips_ms(&self, workload: &str) -> BTreeSet<u64> {
        let meant = self.0.iter().filter(|sample| sample.workload == workload);
        meant.map(|sample| sample.round_trip_ms).collect()
    }

    fn by_round(
        &self,
        (workload, round_trip_ms, contender, figure): Place<'_>,
    ) -> BTreeMap<usize, f64> {
        let meant = self.0.iter().filter(|sample| {
            (sample.workload.as_str(), sample.round_trip_ms, sample.contender)
                == (workload, round_trip_ms, contender)
        });
        meant.filter_map(|sample| Some((sample.round, *sample.figures.get(&figure)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(contender: Id, round_trip_ms: u64, round: usize, value: f64) -> Sample {
        let figures = Figures::from([(Figure::P50Ms, value)]);
        Sample { workload: "a".to_owned(), contender, round_trip_ms, round, figures }
    }

    #[test]
    fn only_what_was_measured_there_counts() {
        let samples = [sample(Id::Strict, 0, 0, 1.0), sample(Id::Strict, 50, 0, 2.0)];
        let samples = Samples(&samples);
        let median = |place| samples.spread(place).map(|spread| spread.median);
        assert_eq!(median(("a", 50, Id::Strict, Figure::P50Ms)), Some(2.0));
        assert_eq!(median(("a", 50, Id::Leased, Figure::P50Ms)), None);
        assert_eq!(median(("a", 50, Id::Strict, Figure::P99Ms)), None);
        assert_eq!(samples.round_trips_ms("a"), BTreeSet::from([0, 50]));
        assert_eq!(samples.round_trips_ms("b"), BTreeSet::new());
    }

    #[test]
    fn a_pair_is_of_the_same_round() {
        let samples = [
            sample(Id::Strict, 0, 0, 10.0),
            sample(Id::Strict, 0, 1, 300.0),
            sample(Id::Synapse, 0, 1, 100.0),
            sample(Id::Synapse, 0, 0, 5.0),
        ];
        let place = |id| ("a", 0, id, Figure::P50Ms);
        let ratio = |one, other| one / other;
        let ratio = Samples(&samples).pair(place(Id::Strict), place(Id::Synapse), ratio).unwrap();
        assert_eq!((ratio.least, ratio.most), (2.0, 3.0));
    }
}
