//! The plot of the status page: two bars for each day, in a picture of 640 by 200.

use super::numbers::{Date, Tenths, proportion, size};
use crate::telemetry::daily::Day;

/// Where the bars begin and end, from the left.
const LEFT: u64 = 64;
const RIGHT: u64 = 640;

/// Where the highest bar ends and where all begin, from the top.
const TOP: u32 = 20;
const BOTTOM: u32 = 170;

/// The largest width of a bar, in thousandths.
const MAX_BAR: u64 = 28_000;

/// The most days that have their date below the bars.
const MAX_LABELS: usize = 8;

/// Bytes sent to readers, and bytes that came from the homeserver for them, by day.
pub(super) struct Plot {
    pub(super) lines: [Line; 3],
    pub(super) bars: Vec<Bar>,
    pub(super) labels: Vec<Label>,
}

/// A horizontal line, and what it stands for.
pub(super) struct Line {
    pub(super) y: u32,
    pub(super) text_y: u32,
    pub(super) label: String,
}

/// A bar: where its upper left corner is, and its size.
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: Tenths,
    pub(super) y: Tenths,
    pub(super) width: Tenths,
    pub(super) height: Tenths,
}

/// The date below the bars of a day.
pub(super) struct Label {
    pub(super) x: Tenths,
    pub(super) day: String,
}

impl Plot {
    /// Draws the days; `None` if no byte was sent to readers.
    pub(super) fn of(days: &[Day]) -> Option<Self> {
        let bytes = days.iter().flat_map(|day| [day.served_bytes, day.origin_bytes]);
        let most = bytes.max().filter(|_| days.iter().any(|day| day.served_bytes > 0))?;
        let columns = days.len() as u64;
        // In thousandths, so that sums are right to a tenth.
        let whole_width = 1_000 * (RIGHT - LEFT);
        let width = MAX_BAR.min(whole_width * 36 / 100 / columns);
        let middles = (0..columns)
            .map(|number| 1_000 * LEFT + (2 * number + 1) * whole_width / (2 * columns));
        let bar = |class, bytes, x| {
            let height = proportion(1_000 * (BOTTOM - TOP), bytes, most);
            Bar {
                class,
                x: Tenths::of_thousandths(x),
                y: Tenths::of_thousandths(u64::from(1_000 * BOTTOM).saturating_sub(height)),
                width: Tenths::of_thousandths(width),
                height: Tenths::of_thousandths(height),
            }
        };
        let bars = days.iter().zip(middles.clone()).flat_map(|(day, middle)| {
            [
                bar("served", day.served_bytes, middle - width - 1_000),
                bar("origin", day.origin_bytes, middle + 1_000),
            ]
        });
        let label = |(day, middle): (&Day, u64)| Label {
            x: Tenths::of_thousandths(middle),
            day: Date::of(day.began_unix_secs).month_and_day(),
        };
        let labels = days.iter().zip(middles).step_by(days.len().div_ceil(MAX_LABELS)).map(label);
        Some(Self {
            lines: [
                line(TOP, size(most)),
                line(TOP.midpoint(BOTTOM), size(most / 2)),
                line(BOTTOM, "0".to_owned()),
            ],
            bars: bars.collect(),
            labels: labels.collect(),
        })
    }
}

fn line(y: u32, label: String) -> Line {
    Line { y, text_y: y + 4, label }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(bytes: &[(u64, u64)]) -> Vec<Day> {
        let day = |(began, (served_bytes, origin_bytes)): (u64, &(u64, u64))| Day {
            began_unix_secs: 86_400 * began,
            served_bytes: *served_bytes,
            origin_bytes: *origin_bytes,
            ..Day::default()
        };
        (0..).zip(bytes).map(day).collect()
    }

    fn plot(bytes: &[(u64, u64)]) -> Plot {
        Plot::of(&days(bytes)).unwrap()
    }

    /// Position and size of a bar.
    fn shown(bar: &Bar) -> String {
        format!("{} {} {} {}", bar.x, bar.y, bar.width, bar.height)
    }

    #[test]
    fn the_largest_number_of_bytes_has_the_highest_bar() {
        let plot = plot(&[(1_000, 250), (0, 500)]);
        let bars: Vec<_> = plot.bars.iter().map(shown).collect();
        let expected = [
            "179.0 20.0 28.0 150.0",
            "209.0 132.5 28.0 37.5",
            "467.0 170.0 28.0 0.0",
            "497.0 95.0 28.0 75.0",
        ];
        assert_eq!(bars, expected);
        let classes = plot.bars.iter().map(|bar| bar.class);
        assert!(classes.eq(["served", "origin", "served", "origin"]));
    }

    #[test]
    fn grid_lines_mark_the_largest_number_its_half_and_zero() {
        let lines = plot(&[(1_000, 3_000)]).lines.map(|line| format!("{} {}", line.y, line.label));
        assert_eq!(lines, ["20 3.0 kB", "95 1.5 kB", "170 0"]);
    }

    #[test]
    fn the_plot_labels_at_most_eight_days() {
        for (count, expected) in [(1, 1), (8, 8), (9, 5), (30, 8)] {
            let plot = plot(&vec![(1, 1); count]);
            assert_eq!(plot.labels.len(), expected, "{count}");
            assert_eq!(plot.labels[0].day, "01-01");
        }
    }

    #[test]
    fn bars_of_many_days_stay_apart_and_in_the_picture() {
        let tenths = |x: &Tenths| x.to_string().replace('.', "").parse::<u64>().unwrap();
        let bars = plot(&[(1, 1); 30]).bars;
        let ends = bars.iter().map(|bar| tenths(&bar.x) + tenths(&bar.width));
        let begins = bars.iter().skip(1).map(|bar| tenths(&bar.x)).chain([6_400]);
        assert!(ends.zip(begins).all(|(end, next)| end < next));
    }

    #[test]
    fn days_without_bytes_to_readers_have_no_plot() {
        assert!(Plot::of(&[]).is_none());
        assert!(Plot::of(&days(&[(0, 7)])).is_none());
    }

    #[test]
    fn numbers_of_any_size_make_bars_within_the_picture() {
        let bars = plot(&[(u64::MAX, 1), (1, u64::MAX)]).bars;
        assert_eq!(shown(&bars[0]), "179.0 20.0 28.0 150.0");
        assert_eq!(shown(&bars[1]), "209.0 170.0 28.0 0.0");
    }
}
