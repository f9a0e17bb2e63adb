//! Plots as SVG, to be read on light and on dark ground.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LABELS_WIDTH: f64 = 170.0;
const RIGHT_MARGIN: f64 = 30.0;
const TOP_HEIGHT: f64 = 56.0;
const BOTTOM_HEIGHT: f64 = 44.0;
const BAR_HEIGHT: f64 = 18.0;
const LINE_HEIGHT: f64 = 28.0;
const CURVES_HEIGHT: f64 = 240.0;

/// Where curves begin: their labels are in the legend.
const SCALE_WIDTH: f64 = 60.0;

/// About how many lines a grid has.
const GRID_LINES: f64 = 6.0;

/// Colours that can be told apart on light and on dark ground, also by who sees few.
const COLOURS: [&str; 4] = ["#3b82f6", "#d97706", "#c026d3", "#6b7280"];

const STYLE: &str = "\
svg{color:#1f2328;background:#fff}\
text{font:13px system-ui,sans-serif;fill:currentColor}\
.title{font-weight:600;font-size:15px}\
.end{text-anchor:end}.middle{text-anchor:middle}\
.grid{stroke:currentColor;stroke-opacity:.15}\
.curve{fill:none;stroke-width:2}\
@media(prefers-color-scheme:dark){svg{color:#e6edf3;background:#0d1117}}";

/// Bars, each of several parts.
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) parts: &'a [&'a str],
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) values: Vec<f64>,
}

/// Curves of shares, from 0 to 1.
pub(crate) struct Curves<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) curves: Vec<Curve>,
}

pub(crate) struct Curve {
    pub(crate) label: String,
    /// In ascending order.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Bars<'_> {
    pub(crate) fn svg(&self) -> String {
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
    pub(crate) fn svg(&self) -> String {
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

fn begin(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">
<title>{title}</title><style>{STYLE}</style>
<text class="title" x="8" y="20">{title}</text>
"#
    )
}

fn legend<'a>(labels: impl Iterator<Item = &'a str>, left: f64) -> String {
    let mut legend = String::new();
    for (number, (label, colour)) in labels.zip(COLOURS).enumerate() {
        let x = left + 150.0 * number as f64;
        let (beside, label) = (x + 16.0, escape(label));
        let _ = writeln!(
            legend,
            r#"<rect x="{x}" y="32" width="10" height="10" fill="{colour}"/><text x="{beside}" y="42">{label}</text>"#,
        );
    }
    legend
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
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
