//! Reports made from records.
//!
//! - [`records`]: all records in the output directory.
//! - [`task_tables`]: one table per task: segments, TLS, playlists, first byte.
//! - [`scenario_tables`]: the tables of all other scenarios: players, herd, memory, publication.
//! - [`table`]: text tables.
//! - [`requirements`]: required figures, and whether they are met.
//! - [`chart`]: the chart.

mod chart;
mod records;
mod requirements;
mod scenario_tables;
mod table;
mod task_tables;

use std::path::Path;

use anyhow::Context;
use pitwall_benches::statistics::Spread;
pub(crate) use records::AllRecords;
pub(crate) use scenario_tables::{render_herd, render_memory, render_players, render_publications};
pub(crate) use table::Table;
pub(crate) use task_tables::render_task;

use crate::peers::SkippedContender;

/// All tables, the requirements, and the skipped contenders.
pub(crate) fn render_report(results: &AllRecords, pitwall: &str) -> String {
    let mut text = String::new();
    for record in results.sample_records() {
        text.extend(record.tasks().iter().map(|task| render_task(record, task)));
    }
    text += &render_players(&results.players);
    text += &render_herd(&results.herd);
    text += &render_memory(&results.memory);
    text += &render_publications(&results.publish);
    text += &requirements::render_requirements(&requirements::list_requirements(results, pitwall));
    let machine = &results.segments.machine;
    text +=
        &format!("\n{}, {} cores, Linux {}\n", machine.processor, machine.cores, machine.kernel);
    text + &render_skipped(&results.skipped_contenders())
}

/// One line per skipped contender and reason, without duplicates.
pub(crate) fn render_skipped(skipped: &[SkippedContender]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for SkippedContender { name, reason } in skipped {
        let line = format!("not measured: {name}: {reason}\n");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat()
}

pub(crate) fn write_chart(results: &AllRecords, pitwall: &str, path: &Path) -> anyhow::Result<()> {
    let svg = chart::render_svg(&chart::build_panels(results, pitwall));
    std::fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))
}

fn median_or_nan(spread: Option<Spread>) -> f64 {
    spread.map_or(f64::NAN, |spread| spread.median)
}
