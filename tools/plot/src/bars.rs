//! Bars of several parts, and curves of shares, on an axis from 0 to a round number.

use std::fmt::Write;

use crate::{BOTTOM_HEIGHT, COLOURS, RIGHT_MARGIN, WIDTH, begin, escape, legend};

const LABELS_WIDTH: f64 = 170.0;
const TOP_HEIGHT: f64 = 56.0;
const BAR_HEIGHT: f64 = 18.0;
const LINE_HEIGHT: f64 = 28.0;
const CURVES_HEIGHT: f64 = 240.0;

/// Where curves begin: their labels are in the legend.
const SCALE_WIDTH: f64 = 60.0;

/// About how many lines a grid has.
const GRID_LINES: f64 = 6.0;

/// Bars, each of several parts.
pub struct Bars<'a> {
    /// What they show.
    pub title: &'a str,
    /// In which unit.
    pub unit: &'a str,
    /// What the legend names, in order.
    pub parts: &'a [&'a str],
    /// From the top down.
    pub bars: Vec<Bar>,
}

/// One bar.
pub struct Bar {
    /// Its name.
    pub label: String,
    /// Its parts.
    pub values: Vec<f64>,
}

/// Curves of shares, from 0 to 1.
pub struct Curves<'a> {
    /// What they show.
    pub title: &'a str,
    /// The unit of what they run along.
    pub unit: &'a str,
    /// In the order of the legend.
    pub curves: Vec<Curve>,
}

/// One curve.
pub struct Curve {
    /// Its name.
    pub label: String,
    /// Places and shares, in ascending order.
    pub points: Vec<(f64, f64)>,
}

impl Bars<'_> {
    /// The plot as SVG.
    pub fn svg(&self) -> String {
        let most = self.bars.iter().map(|bar| bar.values.iter().sum()).fold(0.0, f64::max);
        let axis = Axis::to(most, LABELS_WIDTH, WIDTH - RIGHT_MARGIN);
        let bottom = TOP_HEIGHT + self.bars.len() as f64 * LINE_HEIGHT;
        let mut svg = begin(self.title, bottom + BOTTOM_HEIGHT);
        svg += &legend(self.parts.iter().copied(), LABELS_WIDTH);
        svg += &axis.grid(bottom, self.unit);
        for (number, bar) in self.bars.iter().enumerate() {
            svg += &bar.svg(&axis, TOP_HEIGHT + (number as f64 + 0.5) * LINE_HEIGHT);
        }
        svg + "</svg>\n"
    }
}

impl Bar {
    fn svg(&self, axis: &Axis, middle: f64) -> String {
        let label = escape(&self.label);
        let (x, y) = (LABELS_WIDTH - 12.0, middle + 4.0);
        let mut bar = format!("<text class=\"end\" x=\"{x}\" y=\"{y}\">{label}</text>\n");
        let mut sum = 0.0;
        for (value, colour) in self.values.iter().zip(COLOURS) {
            let (from, to) = (axis.at(sum), axis.at(sum + value));
            sum += value;
            let (y, width) = (middle - BAR_HEIGHT / 2.0, to - from);
            let _ = writeln!(
                bar,
                r#"<rect x="{from:.1}" y="{y}" width="{width:.1}" height="{BAR_HEIGHT}" fill="{colour}"/>"#,
            );
        }
        bar
    }
}

impl Curves<'_> {
    /// The plot as SVG.
    pub fn svg(&self) -> String {
        let points = self.curves.iter().flat_map(|curve| &curve.points);
        let axis = Axis::to(
            points.map(|(x, _)| *x).fold(0.0, f64::max),
            SCALE_WIDTH,
            WIDTH - RIGHT_MARGIN,
        );
        let bottom = TOP_HEIGHT + CURVES_HEIGHT;
        let height_of = |share: f64| bottom - share * CURVES_HEIGHT;
        let mut svg = begin(self.title, bottom + BOTTOM_HEIGHT);
        svg += &legend(self.curves.iter().map(|curve| &*curve.label), SCALE_WIDTH);
        svg += &axis.grid(bottom, self.unit);
        for percent in [0, 25, 50, 75, 100] {
            let y = height_of(f64::from(percent) / 100.0);
            let (left, right, below) = (SCALE_WIDTH - 8.0, WIDTH - RIGHT_MARGIN, y + 4.0);
            let _ = writeln!(
                svg,
                r#"<line class="grid" x1="{SCALE_WIDTH}" x2="{right}" y1="{y}" y2="{y}"/><text class="end" x="{left}" y="{below}">{percent} %</text>"#,
            );
        }
        for (curve, colour) in self.curves.iter().zip(COLOURS) {
            let points: Vec<_> = curve
                .points
                .iter()
                .map(|(x, share)| format!("{:.1},{:.1}", axis.at(*x), height_of(*share)))
                .collect();
            let points = points.join(" ");
            let _ =
                writeln!(svg, r#"<polyline class="curve" stroke="{colour}" points="{points}"/>"#);
        }
        svg + "</svg>\n"
    }
}

/// From 0 to a round number.
#[derive(Debug, PartialEq)]
struct Axis {
    step: f64,
    end: f64,
    left: f64,
    right: f64,
}

impl Axis {
    fn to(most: f64, left: f64, right: f64) -> Self {
        // What is a hair more than a round number was that number before it was added up.
        let most = most * (1.0 - 1e-9);
        let least_step = if most > 0.0 { most / GRID_LINES } else { 1.0 };
        let decade = 10_f64.powf(least_step.log10().floor());
        let factors = [1.0, 2.0, 5.0, 10.0];
        let step = factors.map(|factor| factor * decade);
        let step = step.into_iter().find(|step| *step >= least_step).unwrap_or(10.0 * decade);
        Self { step, end: step * (most / step).ceil().max(1.0), left, right }
    }

    fn at(&self, value: f64) -> f64 {
        self.left + (self.right - self.left) * value / self.end
    }

    fn grid(&self, bottom: f64, unit: &str) -> String {
        let mut grid = String::new();
        for number in 0..=(self.end / self.step).round() as u32 {
            let value = f64::from(number) * self.step;
            let (x, below) = (self.at(value), bottom + 16.0);
            // A step of less than one has as many digits as it needs.
            let digits = (-self.step.log10().floor()).max(0.0) as usize;
            let _ = writeln!(
                grid,
                r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP_HEIGHT}" y2="{bottom}"/><text class="middle" x="{x:.1}" y="{below}">{value:.digits$}</text>"#,
            );
        }
        let y = bottom + BOTTOM_HEIGHT - 8.0;
        let _ = writeln!(
            grid,
            r#"<text class="end" x="{}" y="{y}">{}</text>"#,
            self.right,
            escape(unit)
        );
        grid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number_that_holds_everything() {
        for (most, step, end) in [
            (57.0, 10.0, 60.0),
            (60.0 + 1e-12, 10.0, 60.0),
            (0.9, 0.2, 1.0),
            (299.0, 50.0, 300.0),
            (0.0, 1.0, 1.0),
        ] {
            let axis = Axis::to(most, 0.0, 100.0);
            assert!((axis.step - step).abs() < 1e-9 && (axis.end - end).abs() < 1e-9, "{axis:?}");
        }
    }

    #[test]
    fn the_parts_of_a_bar_stand_side_by_side() {
        let bar = Bar { label: "a < b".to_owned(), values: vec![1.0, 2.0] };
        let svg = bar.svg(&Axis::to(3.0, 0.0, 300.0), 10.0);
        assert!(svg.contains("a &lt; b"), "{svg}");
        assert!(svg.contains(r#"x="0.0" y="1" width="100.0""#), "{svg}");
        assert!(svg.contains(r#"x="100.0" y="1" width="200.0""#), "{svg}");
    }

    #[test]
    fn a_share_of_all_is_at_the_top() {
        let curve = Curve { label: String::new(), points: vec![(0.0, 1.0), (10.0, 0.0)] };
        let svg = Curves { title: "t", unit: "s", curves: vec![curve] }.svg();
        assert!(svg.contains(r#"points="60.0,56.0 730.0,296.0""#), "{svg}");
    }
}
