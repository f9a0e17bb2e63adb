//! A line for each thing, with a dot for each circumstance, on a logarithmic axis.

use std::fmt::Write;

use crate::spread::Spread;
use crate::{BOTTOM_HEIGHT, COLOURS, RIGHT_MARGIN, WIDTH, begin, escape, legend};

const LABELS_WIDTH: f64 = 190.0;
const TOP_HEIGHT: f64 = 52.0;
const LINE_HEIGHT: f64 = 34.0;

/// Between the dots of a line.
const DOT_STEP: f64 = 8.0;

/// A plot of what was measured of several things, in several circumstances.
pub struct Dots<'a> {
    /// What it shows.
    pub title: &'a str,
    /// In which unit.
    pub unit: &'a str,
    /// What the legend names, in order.
    pub circumstances: &'a [String],
    /// From the top down.
    pub lines: &'a [Line<'a>],
}

/// One of the things.
pub struct Line<'a> {
    /// Its name.
    pub label: &'a str,
    /// By circumstance.
    pub spreads: Vec<Option<Spread>>,
}

impl Dots<'_> {
    /// The plot as SVG.
    pub fn svg(&self) -> String {
        let height = TOP_HEIGHT + self.lines.len() as f64 * LINE_HEIGHT + BOTTOM_HEIGHT;
        let mut svg = begin(self.title, height);
        let axis = Axis::around(self.lines.iter().flat_map(|line| line.spreads.iter().flatten()));
        svg += &legend(self.circumstances.iter().map(String::as_str), LABELS_WIDTH);
        svg += &self.grid(&axis, height);
        for (number, line) in self.lines.iter().enumerate() {
            svg += &line.svg(&axis, TOP_HEIGHT + (number as f64 + 0.5) * LINE_HEIGHT);
        }
        svg + "</svg>\n"
    }

    fn grid(&self, axis: &Axis, height: f64) -> String {
        let bottom = height - BOTTOM_HEIGHT;
        let mut grid = String::new();
        for decade in axis.first..=axis.last {
            let value = 10_f64.powi(decade);
            let x = axis.x(value);
            let _ = writeln!(
                grid,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP_HEIGHT}" y2="{bottom}"/><text class="middle" x="{x:.1}" y="{}">{value}</text>"#,
                bottom + 16.0,
            );
        }
        let (x, y) = (WIDTH - RIGHT_MARGIN, height - 8.0);
        let _ = writeln!(grid, r#"<text class="end" x="{x}" y="{y}">{}</text>"#, self.unit);
        grid
    }
}

impl Line<'_> {
    fn svg(&self, axis: &Axis, middle: f64) -> String {
        let mut line = format!(
            "<text class=\"end\" x=\"{}\" y=\"{}\">{}</text>\n",
            LABELS_WIDTH - 12.0,
            middle + 4.0,
            escape(self.label),
        );
        let first = middle - DOT_STEP * (self.spreads.len() as f64 - 1.0) / 2.0;
        for (number, (spread, colour)) in self.spreads.iter().zip(COLOURS).enumerate() {
            let Some(spread) = spread else { continue };
            let y = first + DOT_STEP * number as f64;
            let [least, median, most] =
                [spread.least, spread.median, spread.most].map(|v| axis.x(v));
            let _ = writeln!(
                line,
                r#"<line x1="{least:.1}" x2="{most:.1}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/><circle cx="{median:.1}" cy="{y}" r="4" fill="{colour}"/>"#,
            );
        }
        line
    }
}

/// From one power of ten to another.
#[derive(Debug, PartialEq)]
struct Axis {
    first: i32,
    last: i32,
}

impl Axis {
    fn around<'a>(spreads: impl Iterator<Item = &'a Spread> + Clone) -> Self {
        let least = spreads.clone().map(|spread| spread.least).fold(f64::INFINITY, f64::min);
        let most = spreads.map(|spread| spread.most).fold(0.0, f64::max);
        let [first, last] = [least.log10().floor(), most.log10().ceil()];
        if !first.is_finite() || !last.is_finite() {
            return Self { first: 0, last: 1 };
        }
        let first = first as i32;
        Self { first, last: (last as i32).max(first + 1) }
    }

    fn x(&self, value: f64) -> f64 {
        let (first, last) = (f64::from(self.first), f64::from(self.last));
        let width = WIDTH - RIGHT_MARGIN - LABELS_WIDTH;
        LABELS_WIDTH + width * (value.log10() - first) / (last - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(least: f64, most: f64) -> Spread {
        Spread { least, median: f64::midpoint(least, most), most }
    }

    #[test]
    fn the_axis_holds_all_that_is_shown() {
        let spreads = [spread(0.3, 5.0), spread(20.0, 120.0)];
        assert_eq!(Axis::around(spreads.iter()), Axis { first: -1, last: 3 });
        assert_eq!(Axis::around([spread(10.0, 10.0)].iter()), Axis { first: 1, last: 2 });
        assert_eq!(Axis::around([].iter()), Axis { first: 0, last: 1 });
    }

    #[test]
    fn ten_times_as_much_is_as_far_everywhere() {
        let axis = Axis { first: 0, last: 2 };
        assert_eq!(axis.x(10.0) - axis.x(1.0), axis.x(100.0) - axis.x(10.0));
        assert_eq!((axis.x(1.0), axis.x(100.0)), (LABELS_WIDTH, WIDTH - RIGHT_MARGIN));
    }

    #[test]
    fn there_is_a_dot_for_all_that_was_measured_and_no_other() {
        let lines = [Line { label: "a < b", spreads: vec![Some(spread(1.0, 2.0)), None] }];
        let plot = Dots { title: "t", unit: "ms", circumstances: &[], lines: &lines };
        let svg = plot.svg();
        assert_eq!(svg.matches("<circle").count(), 1);
        assert!(svg.contains("a &lt; b"), "{svg}");
    }
}
