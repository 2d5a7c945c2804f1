//! What is printed and drawn from records.
//!
//! ```text
//! results        all records as they are on disk
//! tasks          a table for each task: segments, TLS, playlists, first byte
//! scenes         the tables of everything else: players, herd, memory, publish
//! requirements   what must be reached, and whether it is
//! chart          the picture
//! ```

mod chart;
mod requirements;
mod results;
mod scenes;
mod table;
mod tasks;

use std::path::Path;

use anyhow::Context;
use pitwall_benches::statistics::Spread;
pub(crate) use results::Results;
pub(crate) use scenes::{herd, memory, players, publish};
pub(crate) use table::Table;
pub(crate) use tasks::task;

use crate::peers::Skipped;

/// Everything that is on record.
pub(crate) fn all(results: &Results, pitwall: &str) -> String {
    let mut text = String::new();
    for record in results.samples() {
        text.extend(record.tasks().iter().map(|one| task(record, one)));
    }
    text += &players(&results.players);
    text += &herd(&results.herd);
    text += &memory(&results.memory);
    text += &publish(&results.publish);
    text += &requirements::render(&requirements::all(results, pitwall));
    let machine = &results.segments.machine;
    text +=
        &format!("\n{}, {} cores, Linux {}\n", machine.processor, machine.cores, machine.kernel);
    text + &skipped(&results.skipped())
}

/// Who is missing, and why; each once.
pub(crate) fn skipped(skipped: &[Skipped]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for Skipped { name, reason } in skipped {
        let line = format!("not measured: {name}: {reason}\n");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.concat()
}

pub(crate) fn draw(results: &Results, pitwall: &str, path: &Path) -> anyhow::Result<()> {
    let svg = chart::render(&chart::panels(results, pitwall));
    std::fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))
}

fn median(spread: Option<Spread>) -> f64 {
    spread.map_or(f64::NAN, |spread| spread.median)
}
