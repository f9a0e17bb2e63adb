//! The report: tables and plots of what was measured, and nothing else.

use std::fmt::Write;

use plot::{Dots, Line, Spread};

use crate::about::About;
use crate::contenders::Id;
use crate::goals::{Bound, Goal, goals};
use crate::results::Results;
use crate::sample::{Figure, Samples};
use crate::workloads::{WORKLOADS, Workload};

/// The prose of the report: it doesn't depend on what was measured.
const METHOD: &str = include_str!("../method.md");

/// The whole document. Plots are named as [`plots`] names them.
pub(crate) fn document(results: &Results) -> String {
    let samples = Samples(&results.samples);
    let mut text = "# Benchmarks\n\nWritten by `make bench` from its measurements \
        ([results.json](benchmarks/results.json)), not by hand.\n\n## Goals\n\n"
        .to_owned();
    text += &goals_table(&goals(samples, results.about.deployed_gzip_bytes));
    text += "\nMedians of the ratios of each round, with the least and the greatest.\n\n";
    text += METHOD;
    text += "\n## This run\n\n";
    text += &about_table(&results.about);
    for workload in measured(samples) {
        let Workload { name, title, .. } = workload;
        let _ = write!(text, "\n## {title}\n\n![{title}](benchmarks/{name}.svg)\n\n");
        text += &workload_table(workload, samples);
    }
    text
}

/// The plots, by the names of their files.
pub(crate) fn plots(results: &Results) -> Vec<(String, String)> {
    let samples = Samples(&results.samples);
    measured(samples)
        .map(|workload| (format!("{}.svg", workload.name), plot(workload, samples)))
        .collect()
}

fn measured(samples: Samples<'_>) -> impl Iterator<Item = &'static Workload> {
    WORKLOADS.iter().filter(move |workload| !samples.round_trips_ms(workload.name).is_empty())
}

fn goals_table(goals: &[Goal]) -> String {
    let mut table = "| Goal | | Measured | |\n|---|---|---|---|\n".to_owned();
    for goal in goals {
        let bound = match goal.bound {
            Bound::AtLeast(bound) => format!("≥ {bound}"),
            Bound::AtMost(bound) => format!("≤ {bound}"),
        };
        let measured = goal.measured.map_or_else(|| "not measured".to_owned(), with_spread);
        let verdict = match goal.is_reached() {
            Some(true) => "reached",
            Some(false) => "**missed**",
            None => "",
        };
        let _ = writeln!(table, "| {} | {bound} | {measured} | {verdict} |", goal.what);
    }
    table
}

pub(crate) fn about_table(about: &About) -> String {
    let mut rows = vec![
        ("Date", about.date.clone()),
        ("Commit", about.commit.clone()),
        ("Processor", format!("{}, {} cores", about.processor, about.cores)),
        ("Memory", format!("{} GiB", about.memory_gib)),
        ("Kernel", about.kernel.clone()),
        ("Load in the minute before", about.load_before.clone()),
    ];
    rows.extend(about.versions.iter().map(|(name, version)| (name.as_str(), version.clone())));
    rows.push(("Deployed", format!("{} bytes gzipped", about.deployed_gzip_bytes)));
    rows.push(("Rounds", format!("{}, of {} s each", about.rounds, about.seconds)));
    let rows = rows.iter().map(|(name, value)| format!("| {name} | {value} |\n"));
    "| | |\n|---|---|\n".to_owned() + &rows.collect::<String>()
}

/// A block of lines for each distance: the headline with its spread and its ratio to Synapse alone,
/// then the medians of all else.
fn workload_table(workload: &Workload, samples: Samples<'_>) -> String {
    let Workload { name, headline, .. } = *workload;
    let others = Figure::ALL.into_iter().filter(|figure| *figure != headline);
    let is_told = |figure: &Figure| {
        samples.0.iter().any(|s| s.workload == name && s.figures.contains_key(figure))
    };
    let others = others.filter(is_told).collect::<Vec<_>>();
    let mut head = format!("| ms to Synapse | | {} | ÷ (a) |", headline.title());
    for figure in &others {
        let _ = write!(head, " {} |", figure.title());
    }
    let mut table = format!("{head}\n|--:|---|{}\n", "--:|".repeat(others.len() + 2));
    for round_trip_ms in samples.round_trips_ms(name) {
        for id in workload.contenders {
            let place = |id, figure| (name, round_trip_ms, id, figure);
            let Some(spread) = samples.spread(place(*id, headline)) else { continue };
            let ratio =
                samples.pair(place(*id, headline), place(Id::Synapse, headline), |a, b| a / b);
            let ratio = ratio.map_or_else(String::new, |ratio| number(ratio.median));
            let spread = with_spread(spread);
            let _ = write!(table, "| {round_trip_ms} | {} | {spread} | {ratio} |", id.title());
            for figure in &others {
                let median = samples.spread(place(*id, *figure)).map(|spread| spread.median);
                let _ = write!(table, " {} |", median.map_or_else(String::new, number));
            }
            table += "\n";
        }
    }
    table
}

fn plot(workload: &Workload, samples: Samples<'_>) -> String {
    let round_trips_ms = samples.round_trips_ms(workload.name).into_iter().collect::<Vec<_>>();
    let spread = |id, ms: &u64| samples.spread((workload.name, *ms, id, workload.headline));
    let lines = workload.contenders.iter().map(|id| Line {
        label: id.title(),
        spreads: round_trips_ms.iter().map(|ms| spread(*id, ms)).collect(),
    });
    let lines = lines.collect::<Vec<_>>();
    let (title, unit) = (workload.title, workload.headline.title());
    let circumstances: Vec<_> =
        round_trips_ms.iter().map(|ms| format!("{ms} ms to Synapse")).collect();
    Dots { title, unit, circumstances: &circumstances, lines: &lines }.svg()
}

fn with_spread(spread: Spread) -> String {
    if spread.least == spread.most {
        return number(spread.median);
    }
    let [median, least, most] = [spread.median, spread.least, spread.most].map(number);
    format!("{median} ({least}–{most})")
}

/// Three digits, or the whole number where it has more; at most three behind the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        99.95.. => format!("{value:.0}"),
        9.995.. => format!("{value:.1}"),
        0.0995.. => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Figures, Sample};

    fn samples() -> Vec<Sample> {
        let sample = |contender, round, value| Sample {
            workload: "thumbnail".to_owned(),
            contender,
            round_trip_ms: 0,
            round,
            figures: Figures::from([(Figure::RequestsPerSecond, value)]),
        };
        vec![
            sample(Id::Synapse, 0, 100.0),
            sample(Id::Synapse, 1, 200.0),
            sample(Id::Strict, 0, 150.0),
            sample(Id::Strict, 1, 300.0),
        ]
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(
            [0.0, 0.0123, 1.234, 12.34, 123.4, 12_345.6].map(number),
            ["0", "0.012", "1.23", "12.3", "123", "12346"]
        );
    }

    #[test]
    fn a_table_has_a_line_for_each_contender_that_was_measured() {
        let samples = samples();
        let table = workload_table(&WORKLOADS[0], Samples(&samples));
        let lines = table.lines().collect::<Vec<_>>();
        assert_eq!(lines[0], "| ms to Synapse | | requests/s | ÷ (a) |");
        assert_eq!(lines[2], "| 0 | (a) Synapse alone | 150 (100–200) | 1.00 |");
        assert_eq!(lines[3], "| 0 | (e) ours, strict | 225 (150–300) | 1.50 |");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn goals_say_whether_they_are_reached() {
        let samples = samples();
        let table = goals_table(&goals(Samples(&samples), 500_000));
        let line = |what: &str| table.lines().find(|line| line.contains(what)).unwrap();
        let strict = line("4 KiB strict hit, requests/s");
        assert!(strict.ends_with("| ≥ 1.2 | 1.50 | reached |"), "{strict}");
        assert!(line("Deployed").ends_with("| ≤ 400 | 500 | **missed** |"));
        assert!(line("Start-up").ends_with("| not measured |  |"));
    }
}
