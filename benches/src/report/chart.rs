//! The picture: horizontal bars, as SVG, legible on light and dark pages.

use std::fmt::Write;

use pitwall_benches::statistics::Spread;

use super::Results;
use crate::compare::figure;
use crate::peers::Work;
use crate::record::{Figures, Record, Sample, Task};

/// Contenders at one task.
pub(super) struct Panel {
    title: String,
    bars: Vec<Bar>,
}

struct Bar {
    name: String,
    rate: Spread,
    /// Beside the bar.
    note: String,
    ours: bool,
}

const WIDTH: u32 = 800;
const LABELS: u32 = 130;
/// What is left of the width for the longest bar, its note beside it.
const BARS: u32 = 380;
const ROW: u32 = 20;
const TITLE: u32 = 34;

pub(super) fn panels(results: &Results, pitwall: &str) -> Vec<Panel> {
    let segments = |work, title: &str| {
        let rate = Figures::megabytes_per_second;
        let note = |rate: f64, cpu: f64| format!("{:.2} GB/s, {cpu:.3} CPU s/GB", rate / 1e3);
        let cpu = Figures::cpu_per_gigabyte;
        panel(&results.segments, &of(work, "1MB"), title, pitwall, rate, cpu, note)
    };
    let playlists = |work, item, title: &str| {
        let rate = Figures::requests_per_second;
        let note = |rate: f64, cpu: f64| format!("{rate:.0} /s, {cpu:.0} CPU us each");
        let cpu = Figures::cpu_per_request;
        panel(&results.playlists, &of(work, item), title, pitwall, rate, cpu, note)
    };
    let panels = [
        segments(Work::Stored, "Stored segments of 1 MB"),
        segments(Work::Relayed, "Relayed segments of 1 MB, each asked for once"),
        playlists(
            Work::Playlist,
            "live",
            "Live playlists, each poll fetched (nginx does not rewrite)",
        ),
        playlists(
            Work::Fresh,
            "window",
            "2 000 segments, one new at each poll (nginx does not rewrite)",
        ),
    ];
    panels.into_iter().filter(|panel| !panel.bars.is_empty()).collect()
}

fn of(work: Work, item: &str) -> Task {
    Task { work, item: item.to_owned(), connections: 16, threads: 1 }
}

fn panel(
    record: &Record<Sample>,
    task: &Task,
    title: &str,
    pitwall: &str,
    rate: fn(&Figures) -> f64,
    cpu: fn(&Figures) -> f64,
    note: impl Fn(f64, f64) -> String,
) -> Panel {
    let bars = record.contenders(task).into_iter().filter_map(|name| {
        let rate = figure(record, task, name, rate)?;
        let cpu = figure(record, task, name, cpu)?;
        let ours =
            name.strip_prefix(pitwall).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        Some(Bar { name: name.to_owned(), rate, note: note(rate.median, cpu.median), ours })
    });
    let mut bars: Vec<Bar> = bars.collect();
    bars.sort_by(|one, other| other.rate.median.total_cmp(&one.rate.median));
    Panel { title: title.to_owned(), bars }
}

pub(super) fn render(panels: &[Panel]) -> String {
    let height: u32 = panels.iter().map(|panel| TITLE + ROW * panel.bars.len() as u32 + 12).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n{STYLE}"
    );
    let mut top = 0;
    for panel in panels {
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"4\" y=\"{}\">{}</text>",
            top + TITLE - 12,
            escaped(&panel.title)
        );
        top += TITLE;
        let most = panel.bars.iter().map(|bar| bar.rate.most).fold(f64::MIN_POSITIVE, f64::max);
        for bar in &panel.bars {
            draw(&mut svg, bar, top, most);
            top += ROW;
        }
        top += 12;
    }
    svg.push_str("</svg>\n");
    svg
}

const STYLE: &str = "<style>\
    text{fill:#1f2328}.title{font-weight:600;font-size:13px}.note{fill:#59636e}\
    .bar{fill:#9aa4ae}.ours{fill:#d1242f}.spread{stroke:#1f2328;stroke-opacity:.55}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}.bar{fill:#59636e}\
    .ours{fill:#f85149}.spread{stroke:#e6edf3}}</style>\n";

fn draw(svg: &mut String, bar: &Bar, top: u32, most: f64) {
    let x = |rate: f64| f64::from(LABELS) + rate / most * f64::from(BARS);
    let (middle, text) = (top + ROW / 2, top + ROW / 2 + 4);
    let class = if bar.ours { "bar ours" } else { "bar" };
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
         <rect class=\"{class}\" x=\"{LABELS}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" rx=\"2\"/>\
         <line class=\"spread\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
         <text class=\"note\" x=\"{:.1}\" y=\"{text}\">{}</text>",
        LABELS - 8,
        escaped(&bar.name),
        top + 3,
        (x(bar.rate.median) - f64::from(LABELS)).max(1.0),
        ROW - 6,
        x(bar.rate.least),
        x(bar.rate.most),
        x(bar.rate.most) + 8.0,
        escaped(&bar.note),
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_panel() {
        let bar = |name: &str, median: f64| Bar {
            name: name.to_owned(),
            rate: Spread { least: median, median, most: median },
            note: "a < b".to_owned(),
            ours: name == "pitwall",
        };
        let panel = Panel {
            title: "Stored".to_owned(),
            bars: vec![bar("pitwall", 8.0), bar("nginx", 4.0)],
        };
        let svg = render(&[panel]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        for part in [
            "class=\"bar ours\" x=\"130\" y=\"37\" width=\"380.0\"",
            "class=\"bar\" x=\"130\" y=\"57\" width=\"190.0\"",
            "a &lt; b",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }

    #[test]
    fn nothing_measured_is_an_empty_picture() {
        let results = Results::read(std::path::Path::new("/nowhere")).unwrap();
        assert!(panels(&results, "pitwall").is_empty());
    }
}
