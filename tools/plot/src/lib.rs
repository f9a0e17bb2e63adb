//! The plots in the documentation: SVG, to be read on light and on dark ground.

mod bars;
mod dots;
mod spread;

pub use bars::{Bar, Bars, Curve, Curves};
pub use dots::{Dots, Line};
pub use spread::Spread;

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const RIGHT_MARGIN: f64 = 30.0;
const BOTTOM_HEIGHT: f64 = 44.0;

/// Between two entries of a legend.
const LEGEND_STEP: f64 = 150.0;

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
        let x = left + LEGEND_STEP * number as f64;
        let (beside, label) = (x + 16.0, escape(label));
        let _ = writeln!(
            legend,
            r#"<rect x="{x}" y="32" width="10" height="10" fill="{colour}"/><text x="{beside}" y="42">{label}</text>"#,
        );
    }
    legend
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
