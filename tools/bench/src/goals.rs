//! What the Worker is to reach, as ratios within one run.

use plot::Spread;

use crate::contenders::Id::*;
use crate::sample::{Figure::*, Samples};
use crate::workloads::START_UP;

/// A goal, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) bound: Bound,
    /// Nothing where it wasn't measured.
    pub(crate) measured: Option<Spread>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// Whether the median reaches it.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let median = self.measured?.median;
        Some(match self.bound {
            Bound::AtLeast(bound) => median >= bound,
            Bound::AtMost(bound) => median <= bound,
        })
    }
}

pub(crate) fn goals(samples: Samples<'_>, deployed_gzip_bytes: usize) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};

    let ratio = |workload, round_trip_ms, figure, one, other| {
        let place = |id| (workload, round_trip_ms, id, figure);
        samples.pair(place(one), place(other), |one, other| one / other)
    };
    let here = |workload, figure, one, other| ratio(workload, 0, figure, one, other);
    let goal = |what, bound, measured| Goal { what, bound, measured };
    let [hit, hit_alone, big, upload] = ["thumbnail", "thumbnail-alone", "big", "upload"];
    let overhead_ms = samples.spread((hit_alone, 0, Strict, OverOriginMs));
    let growth_mib = samples.spread((upload, 0, Strict, GrowthMib));
    let deployed_kb = Spread::of(vec![deployed_gzip_bytes as f64 / 1000.0]);
    vec![
        goal(
            "4 KiB leased hit, requests/s: × (d)",
            AtLeast(0.75),
            here(hit, RequestsPerSecond, Leased, BareWorker),
        ),
        goal(
            "4 KiB leased hit, requests/s: × (c)",
            AtLeast(3.0),
            here(hit, RequestsPerSecond, Leased, CachingWorker),
        ),
        goal(
            "4 KiB leased hit, requests/s: × (a)",
            AtLeast(10.0),
            here(hit, RequestsPerSecond, Leased, Synapse),
        ),
        goal(
            "4 KiB strict hit, requests/s: × (a)",
            AtLeast(1.2),
            here(hit, RequestsPerSecond, Strict, Synapse),
        ),
        goal(
            "4 KiB strict hit, Synapse's CPU per request: × (a)",
            AtMost(0.7),
            here(hit, OriginCpuMsPerRequest, Strict, Synapse),
        ),
        goal(
            "10 MB strict hit, bytes/s: × (c)",
            AtLeast(0.95),
            here(big, MegabytesPerSecond, Strict, CachingWorker),
        ),
        goal(
            "10 MB leased hit, bytes/s: × (c)",
            AtLeast(0.95),
            here(big, MegabytesPerSecond, Leased, CachingWorker),
        ),
        goal(
            "10 MB strict hit, bytes/s: × (a)",
            AtLeast(3.0),
            here(big, MegabytesPerSecond, Strict, Synapse),
        ),
        goal(
            "10 MB leased hit, bytes/s: × (a)",
            AtLeast(3.0),
            here(big, MegabytesPerSecond, Leased, Synapse),
        ),
        goal(
            "10 MB federation hit in 16 KiB pieces, CPU: × (c)",
            AtMost(1.1),
            here("federation", CpuMsPerRequest, Strict, CachingWorker),
        ),
        goal(
            "10 MB miss, time to first byte: × (c)",
            AtMost(1.15),
            here("miss", FirstByteMs, Strict, CachingWorker),
        ),
        goal(
            "100 MB upload, bytes/s: × (a)",
            AtLeast(0.95),
            here(upload, MegabytesPerSecond, Strict, Synapse),
        ),
        goal("100 MB upload, growth of memory in MiB", AtMost(16.0), growth_mib),
        goal(
            "Timeline at 150 ms, leased: times as fast as (a)",
            AtLeast(20.0),
            ratio("timeline", 150, TotalMs, Synapse, Leased),
        ),
        goal(
            "Well-known document, requests/s: × (d)",
            AtLeast(0.5),
            here("well-known", RequestsPerSecond, Leased, BareWorker),
        ),
        goal("Deployed, kB gzipped", AtMost(400.0), deployed_kb),
        goal("Start-up: × (d)", AtMost(2.0), here(START_UP, TotalMs, Strict, BareWorker)),
        goal("Strict hit over Synapse's own 304, p50 ms", AtMost(1.0), overhead_ms),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::Id;
    use crate::sample::{Figure, Figures, Sample};

    fn sample(contender: Id, figure: Figure, value: f64) -> Sample {
        Sample {
            workload: "thumbnail".to_owned(),
            contender,
            round_trip_ms: 0,
            round: 0,
            figures: Figures::from([(figure, value)]),
        }
    }

    fn strict_over_synapse(strict: f64, synapse: f64) -> Goal {
        let samples = [
            sample(Strict, RequestsPerSecond, strict),
            sample(Synapse, RequestsPerSecond, synapse),
        ];
        let mut goals = goals(Samples(&samples), 1).into_iter();
        goals.find(|goal| goal.what == "4 KiB strict hit, requests/s: × (a)").unwrap()
    }

    #[test]
    fn a_goal_is_reached_at_its_bound_and_missed_below_it() {
        assert_eq!(strict_over_synapse(120.0, 100.0).is_reached(), Some(true));
        assert_eq!(strict_over_synapse(119.0, 100.0).is_reached(), Some(false));
    }

    #[test]
    fn too_large_a_worker_is_told() {
        let size =
            |bytes| goals(Samples(&[]), bytes).into_iter().find(|g| g.what.starts_with("Deployed"));
        assert_eq!(size(400_001).unwrap().is_reached(), Some(false));
        assert_eq!(size(400_000).unwrap().is_reached(), Some(true));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let goals = goals(Samples(&[]), 1);
        assert_eq!(goals.iter().filter(|goal| goal.is_reached().is_some()).count(), 1);
    }
}
