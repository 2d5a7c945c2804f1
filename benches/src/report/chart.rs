//! The chart: horizontal bars as SVG, legible on light and dark pages.

use std::fmt::Write;

use pitwall_benches::statistics::Spread;

use super::AllRecords;
use crate::comparison::figure_spread;
use crate::peers::Workload;
use crate::record::{Measurements, Sample, ScenarioRecord, Task};

/// The bars of all contenders at one task.
pub(super) struct Panel {
    title: String,
    bars: Vec<Bar>,
}

struct Bar {
    name: String,
    rate: Spread,
    /// Text beside the bar.
    note: String,
    is_pitwall: bool,
}

const CHART_WIDTH: u32 = 800;
const LABEL_WIDTH: u32 = 130;
/// Width of the longest bar, which leaves space for the note beside it.
const BAR_MAX_WIDTH: u32 = 380;
const ROW_HEIGHT: u32 = 20;
const TITLE_HEIGHT: u32 = 34;

pub(super) fn build_panels(results: &AllRecords, pitwall: &str) -> Vec<Panel> {
    let segments = |work, title: &str| {
        let rate = Measurements::megabytes_per_second;
        let note = |rate: f64, cpu: f64| format!("{:.2} GB/s, {cpu:.3} CPU s/GB", rate / 1e3);
        let cpu = Measurements::cpu_per_gigabyte;
        build_panel(&results.segments, &chart_task(work, "1MB"), title, pitwall, rate, cpu, note)
    };
    let playlists = |work, item, title: &str| {
        let rate = Measurements::requests_per_second;
        let note = |rate: f64, cpu: f64| format!("{rate:.0} /s, {cpu:.0} CPU us each");
        let cpu = Measurements::cpu_per_request;
        build_panel(&results.playlists, &chart_task(work, item), title, pitwall, rate, cpu, note)
    };
    let panels = [
        segments(Workload::Stored, "Stored segments of 1 MB"),
        segments(Workload::Relayed, "Relayed segments of 1 MB, each asked for once"),
        playlists(
            Workload::Playlist,
            "live",
            "Live playlists, each poll fetched (nginx does not rewrite)",
        ),
        playlists(
            Workload::Fresh,
            "window",
            "2 000 segments, one new at each poll (nginx does not rewrite)",
        ),
    ];
    panels.into_iter().filter(|panel| !panel.bars.is_empty()).collect()
}

fn chart_task(work: Workload, item: &str) -> Task {
    Task { work, item: item.to_owned(), connections: 16, threads: 1 }
}

fn build_panel(
    record: &ScenarioRecord<Sample>,
    task: &Task,
    title: &str,
    pitwall: &str,
    rate: fn(&Measurements) -> f64,
    cpu: fn(&Measurements) -> f64,
    note: impl Fn(f64, f64) -> String,
) -> Panel {
    let bars = record.contenders(task).into_iter().filter_map(|name| {
        let rate = figure_spread(record, task, name, rate)?;
        let cpu = figure_spread(record, task, name, cpu)?;
        let is_pitwall =
            name.strip_prefix(pitwall).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        Some(Bar { name: name.to_owned(), rate, note: note(rate.median, cpu.median), is_pitwall })
    });
    let mut bars: Vec<Bar> = bars.collect();
    bars.sort_by(|one, other| other.rate.median.total_cmp(&one.rate.median));
    Panel { title: title.to_owned(), bars }
}

pub(super) fn render_svg(panels: &[Panel]) -> String {
    let height: u32 =
        panels.iter().map(|panel| TITLE_HEIGHT + ROW_HEIGHT * panel.bars.len() as u32 + 12).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {CHART_WIDTH} {height}\" width=\"{CHART_WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n{STYLE}"
    );
    let mut top = 0;
    for panel in panels {
        let _ = writeln!(
            svg,
            "<text class=\"title\" x=\"4\" y=\"{}\">{}</text>",
            top + TITLE_HEIGHT - 12,
            escape_xml(&panel.title)
        );
        top += TITLE_HEIGHT;
        let max_rate = panel.bars.iter().map(|bar| bar.rate.most).fold(f64::MIN_POSITIVE, f64::max);
        for bar in &panel.bars {
            draw_bar(&mut svg, bar, top, max_rate);
            top += ROW_HEIGHT;
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

fn draw_bar(svg: &mut String, bar: &Bar, top: u32, max_rate: f64) {
    let x = |rate: f64| f64::from(LABEL_WIDTH) + rate / max_rate * f64::from(BAR_MAX_WIDTH);
    let (middle, text) = (top + ROW_HEIGHT / 2, top + ROW_HEIGHT / 2 + 4);
    let class = if bar.is_pitwall { "bar ours" } else { "bar" };
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text>\
         <rect class=\"{class}\" x=\"{LABEL_WIDTH}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" rx=\"2\"/>\
         <line class=\"spread\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
         <text class=\"note\" x=\"{:.1}\" y=\"{text}\">{}</text>",
        LABEL_WIDTH - 8,
        escape_xml(&bar.name),
        top + 3,
        (x(bar.rate.median) - f64::from(LABEL_WIDTH)).max(1.0),
        ROW_HEIGHT - 6,
        x(bar.rate.least),
        x(bar.rate.most),
        x(bar.rate.most) + 8.0,
        escape_xml(&bar.note),
    );
}

fn escape_xml(text: &str) -> String {
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
            is_pitwall: name == "pitwall",
        };
        let panel = Panel {
            title: "Stored".to_owned(),
            bars: vec![bar("pitwall", 8.0), bar("nginx", 4.0)],
        };
        let svg = render_svg(&[panel]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        for expected in [
            "class=\"bar ours\" x=\"130\" y=\"37\" width=\"380.0\"",
            "class=\"bar\" x=\"130\" y=\"57\" width=\"190.0\"",
            "a &lt; b",
        ] {
            assert!(svg.contains(expected), "{expected} in {svg}");
        }
    }

    #[test]
    fn without_records_the_chart_has_no_panels() {
        let results = AllRecords::read(std::path::Path::new("/nowhere")).unwrap();
        assert!(build_panels(&results, "pitwall").is_empty());
    }
}
