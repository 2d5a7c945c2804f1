//! Line charts as SVG, whose colours the page sets.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// Room for the numbers beside and below the lines.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;

/// A line of a chart; `class` names its colour.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'a str,
    /// Value at each place of the horizontal axis; not a number where there is none, which the line
    /// passes over.
    pub(super) values: Vec<f64>,
}

/// A chart of lines over the same places; `axis` gives the first and the last of them as text.
pub(super) fn render(title: &str, unit: &str, axis: (&str, &str), lines: &[Line<'_>]) -> String {
    let most = lines.iter().flat_map(|line| &line.values).copied().fold(0.0, f64::max);
    let top = round_up(most);
    let y = |value: f64| HEIGHT - BOTTOM - (value / top) * (HEIGHT - BOTTOM - TOP);
    let mut legend = String::new();
    for line in lines {
        let _ = write!(legend, "<span class=\"{}\">{}</span>", line.class, line.name);
    }
    let mut svg = format!(
        "<figure><figcaption>{title} ({unit}) {legend}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let at = y(value);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            format_number(value)
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{0:.1}\">{1}</text>\
         <text x=\"{WIDTH}\" y=\"{0:.1}\" text-anchor=\"end\">{2}</text>",
        HEIGHT - 5.0,
        axis.0,
        axis.1
    );
    for line in lines {
        let step = (WIDTH - LEFT) / (line.values.len().max(2) - 1) as f64;
        let points = line.values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let points =
            points.map(|(n, value)| format!("{:.1},{:.1}", LEFT + n as f64 * step, y(*value)));
        // One value is a line too.
        let mut points: Vec<_> = points.collect();
        if let [only] = line.values.as_slice()
            && !only.is_nan()
        {
            points.push(format!("{WIDTH:.1},{:.1}", y(*only)));
        }
        let _ = write!(svg, "<polyline class=\"{}\" points=\"{}\"/>", line.class, points.join(" "));
    }
    svg + "</svg></figure>"
}

/// The next of 1, 2, 5, 10, … that is not lower; 1 for nothing.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let decade = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * decade);
    steps.into_iter().find(|step| *step >= value).unwrap_or(value)
}

fn format_number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (value, expected) in
            [(0.0, "1"), (0.03, "0.05"), (1.0, "1"), (1.01, "2"), (37.0, "50"), (720.0, "1000")]
        {
            assert_eq!(format_number(round_up(value)), expected, "{value}");
        }
    }

    #[test]
    fn a_line_reaches_from_side_to_side() {
        for (values, points) in [
            (vec![0.0, 1.0], "56.0,178.0 720.0,8.0"),
            (vec![0.0, f64::NAN, 1.0], "56.0,178.0 720.0,8.0"),
            (vec![1.0], "56.0,8.0 720.0,8.0"),
            (vec![f64::NAN], ""),
            (vec![], ""),
        ] {
            let line = Line { name: "a", class: "one", values };
            let svg = render("t", "s", ("0", "1"), &[line]);
            assert!(svg.contains(&format!("points=\"{points}\"")), "{svg}");
        }
    }
}
