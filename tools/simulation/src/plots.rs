//! Which plots there are, and what they show.

use plot::{Bar, Bars, Curve, Curves};

use crate::tally::{Lateness, SOURCES, Source, Tally};
use crate::workload::Workload;

pub(crate) const ORIGIN_BYTES: &str = "origin-bytes.svg";
pub(crate) const ORIGIN_ANSWERS: &str = "origin-answers.svg";
pub(crate) const SOURCES_OF_ANSWERS: &str = "sources.svg";
pub(crate) const LATENESS: &str = "lateness.svg";

/// The bar for a homeserver that has no edge.
const ALONE: &str = "no edge";

/// The plots, by the names of their files.
pub(crate) fn all(workload: &Workload, tallies: &[Tally]) -> [(&'static str, String); 4] {
    [
        (ORIGIN_BYTES, origin_bytes(workload, tallies)),
        (ORIGIN_ANSWERS, origin_answers(workload, tallies)),
        (SOURCES_OF_ANSWERS, sources(tallies)),
        (LATENESS, lateness(workload, tallies)),
    ]
}

pub(crate) fn name(source: Source) -> &'static str {
    match source {
        Source::Tier(tier) => tier.as_str(),
        Source::Origin => "origin",
    }
}

fn bars(
    alone: Option<Vec<f64>>,
    tallies: &[Tally],
    values: impl Fn(&Tally) -> Vec<f64>,
) -> Vec<Bar> {
    let alone = alone.map(|values| Bar { label: ALONE.to_owned(), values });
    let of = |tally| Bar { label: Tally::setting(tally).to_string(), values: values(tally) };
    alone.into_iter().chain(tallies.iter().map(of)).collect()
}

fn origin_bytes(workload: &Workload, tallies: &[Tally]) -> String {
    let gigabytes = |bytes: u64| vec![bytes as f64 / 1e9];
    let alone = gigabytes(workload.alone().body_bytes);
    Bars {
        title: "What the homeserver sends in a day",
        unit: "GB of media",
        parts: &[],
        bars: bars(Some(alone), tallies, |tally| gigabytes(tally.effort.body_bytes)),
    }
    .svg()
}

fn origin_answers(workload: &Workload, tallies: &[Tally]) -> String {
    let millions = |count: u64| count as f64 / 1e6;
    let alone = workload.alone();
    Bars {
        title: "What the homeserver is asked in a day",
        unit: "million answers",
        parts: &["with a body", "without (304, 401, 404)"],
        bars: bars(Some(vec![millions(alone.bodies), millions(alone.words)]), tallies, |tally| {
            vec![millions(tally.effort.bodies), millions(tally.effort.words)]
        }),
    }
    .svg()
}

fn sources(tallies: &[Tally]) -> String {
    let parts = SOURCES.map(name);
    Bars {
        title: "Where the media comes from that clients get",
        unit: "% of answers",
        parts: &parts,
        bars: bars(None, tallies, |tally| {
            let all = tally.served_in_all().answers as f64;
            SOURCES.map(|source| tally.served(source).answers as f64 / all * 100.0).to_vec()
        }),
    }
    .svg()
}

fn lateness(workload: &Workload, tallies: &[Tally]) -> String {
    let leased = |tally: &&Tally| tally.setting().lease_seconds > 0 && !tally.setting().has_bucket;
    let curves = tallies.iter().filter(leased).flat_map(|tally| {
        let seconds = tally.setting().lease_seconds;
        [
            survivors(format!("media, {seconds} s"), &tally.quarantined(workload)),
            survivors(format!("tokens, {seconds} s"), &tally.revoked(workload)),
        ]
    });
    Curves {
        title: "Quarantined media and revoked tokens, still served after so long",
        unit: "seconds since",
        curves: curves.collect(),
    }
    .svg()
}

/// How many are served for longer than any time.
fn survivors(label: String, lateness: &Lateness) -> Curve {
    let share = |count: usize| count as f64 / lateness.events as f64;
    let windows = &lateness.windows_ms;
    let points = windows.iter().enumerate().flat_map(|(place, window_ms)| {
        let left = windows.len() - place;
        let seconds = *window_ms as f64 / 1000.0;
        [(seconds, share(left)), (seconds, share(left - 1))]
    });
    Curve { label, points: [(0.0, share(windows.len()))].into_iter().chain(points).collect() }
}
