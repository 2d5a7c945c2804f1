//! Reports made from records, with a [`task_table`](crate::task_table) per task.
//!
//! - [`records`]: all records in the output directory.
//! - [`scenario_tables`]: the tables of all other scenarios: players, herd, memory, publication.
//! - [`control_plane_tables`]: the tables of the control plane.
//! - [`requirements`]: required figures, and whether they are met.
//! - [`chart`]: the chart.

mod chart;
mod control_plane_tables;
mod records;
mod requirements;
mod scenario_tables;

use std::path::Path;

use anyhow::Context;
pub(crate) use control_plane_tables::render_control_planes;
pub(crate) use records::AllRecords;
pub(crate) use scenario_tables::{render_herd, render_memory, render_players, render_publications};

use crate::peers::SkippedContender;
use crate::task_table::render_task;

/// All tables, the requirements, and the skipped contenders.
pub(crate) fn render_report(results: &AllRecords, pitwall: &str) -> String {
    let mut text = String::new();
    for record in results.records_in_turns() {
        text.extend(record.tasks().iter().map(|task| render_task(record, task)));
    }
    text += &render_players(&results.players);
    text += &render_herd(&results.herd);
    text += &render_memory(&results.memory);
    text += &render_publications(&results.publish);
    text += &render_control_planes(&results.control_plane);
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
