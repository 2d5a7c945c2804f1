//! The tables of the control plane, with ratios to the first contender with as many streams.

use std::collections::BTreeMap;

use pitwall_benches::statistics::Spread;

use crate::record::ScenarioRecord;
use crate::scenario::store::control_plane::{
    ChangeDelays, ControlPlaneFigures, ControlPlaneResult, QuietPeriodFigures, SteadyStateFigures,
};
use crate::table::Table;

pub(crate) fn render_control_planes(record: &ScenarioRecord<ControlPlaneResult>) -> String {
    let (mut steady, mut quiet, mut change) = (Vec::new(), Vec::new(), Vec::new());
    for ControlPlaneResult { contender, streams, figures } in &record.results {
        match figures {
            ControlPlaneFigures::Steady(figures) => {
                steady.push(Row { contender, streams: *streams, figures });
            }
            ControlPlaneFigures::Quiet(figures) => {
                quiet.push(Row { contender, streams: *streams, figures });
            }
            ControlPlaneFigures::Change(figures) => {
                change.push(Row { contender, streams: *streams, figures });
            }
        }
    }
    render_steady_states(&steady)
        + &render_quiet_periods(&quiet)
        + &render_documents(&quiet)
        + &render_changes(&change)
}

/// The figures of a contender with so many streams.
struct Row<'a, T> {
    contender: &'a str,
    streams: usize,
    figures: &'a T,
}

/// The figure of each row, and its ratio to that of the first row with as many streams.
fn compute_ratios<T>(rows: &[Row<'_, T>], figure: impl Fn(&T) -> f64) -> Vec<(f64, f64)> {
    let mut bases = BTreeMap::new();
    let figures = rows.iter().map(|row| {
        let figure = figure(row.figures);
        (figure, figure / *bases.entry(row.streams).or_insert(figure))
    });
    figures.collect()
}

fn render_steady_states(rows: &[Row<'_, SteadyStateFigures>]) -> String {
    let mut table = Table::new([
        "contender",
        "streams",
        "healthy",
        "warm-up s",
        "CPU %",
        "ratio",
        "queued %",
        "checks/s",
        "waiting",
        "CPU ms/check",
        "ratio",
        "peak MiB",
        "ratio",
        "Redis KB/s",
        "ratio",
    ]);
    let cpu = compute_ratios(rows, |steady| steady.cpu_seconds / steady.seconds * 100.0);
    let check = compute_ratios(rows, |steady| steady.cpu_seconds * 1e3 / steady.checks as f64);
    let memory = compute_ratios(rows, |steady| steady.memory_peak as f64 / 1_048_576.0);
    let redis = compute_ratios(rows, |steady| steady.redis_bytes as f64 / 1e3 / steady.seconds);
    for ((((row, cpu), check), memory), redis) in
        rows.iter().zip(cpu).zip(check).zip(memory).zip(redis)
    {
        let steady = row.figures;
        table.push_row([
            row.contender.to_owned(),
            row.streams.to_string(),
            steady.healthy_streams.to_string(),
            format!("{:.0}", steady.warm_up_seconds),
            format!("{:.1}", cpu.0),
            format!("{:.3}", cpu.1),
            format!("{:.0}", steady.run_delay_seconds / steady.seconds * 100.0),
            format!("{:.1}", steady.checks as f64 / steady.seconds),
            steady.checks_waiting.to_string(),
            format!("{:.2}", check.0),
            format!("{:.3}", check.1),
            format!("{:.1}", memory.0),
            format!("{:.3}", memory.1),
            format!("{:.1}", redis.0),
            format!("{:.3}", redis.1),
        ]);
    }
    format!("\ncontrol plane, two sources a stream, no viewers\n{}", table.render())
}

fn render_quiet_periods(rows: &[Row<'_, QuietPeriodFigures>]) -> String {
    let mut table = Table::new([
        "contender",
        "streams",
        "304 %",
        "content KB/s",
        "ratio",
        "Redis KB/min",
        "ratio",
        "CPU %",
        "ratio",
    ]);
    let content =
        compute_ratios(rows, |quiet| quiet.all_documents().bytes as f64 / 1e3 / quiet.seconds);
    let redis = compute_ratios(rows, |quiet| quiet.redis_bytes as f64 / 1e3 / quiet.seconds * 60.0);
    let cpu = compute_ratios(rows, |quiet| quiet.cpu_seconds / quiet.seconds * 100.0);
    for (((row, content), redis), cpu) in rows.iter().zip(content).zip(redis).zip(cpu) {
        table.push_row([
            row.contender.to_owned(),
            row.streams.to_string(),
            format!("{:.1}", row.figures.all_documents().not_modified_ratio() * 100.0),
            format!("{:.1}", content.0),
            format!("{:.3}", content.1),
            format!("{:.1}", redis.0),
            format!("{:.3}", redis.1),
            format!("{:.1}", cpu.0),
            format!("{:.3}", cpu.1),
        ]);
    }
    format!(
        "\ncontrol plane, nothing happens, up to 20 streams watched, every document requested once \
         a second\n{}",
        table.render()
    )
}

fn render_documents(rows: &[Row<'_, QuietPeriodFigures>]) -> String {
    let mut table =
        Table::new(["document", "streams", "contender", "requests", "304 %", "failed", "KB"]);
    let mut lines: Vec<_> = rows
        .iter()
        .flat_map(|row| row.figures.documents.iter().map(move |document| (row, document)))
        .collect();
    // Contenders beside each other.
    lines.sort_by_key(|(row, document)| (row.streams, &document.document));
    for (row, document) in lines {
        table.push_row([
            document.document.clone(),
            row.streams.to_string(),
            row.contender.to_owned(),
            document.requests.to_string(),
            format!("{:.1}", document.not_modified_ratio() * 100.0),
            document.failures.to_string(),
            format!("{:.1}", document.bytes as f64 / 1e3),
        ]);
    }
    format!("\nthe same by document\n{}", table.render())
}

fn render_changes(rows: &[Row<'_, ChangeDelays>]) -> String {
    let mut table = Table::new([
        "contender",
        "streams",
        "outage p50 s",
        "ratio",
        "(least-most)",
        "recovery p50 s",
        "ratio",
        "(least-most)",
        "missed",
    ]);
    let median = |delays: &[f64]| {
        Spread::of(delays.iter().copied()).map_or(f64::NAN, |spread| spread.median)
    };
    let outage = compute_ratios(rows, |change| median(&change.outages));
    let recovery = compute_ratios(rows, |change| median(&change.recoveries));
    for ((row, outage), recovery) in rows.iter().zip(outage).zip(recovery) {
        table.push_row([
            row.contender.to_owned(),
            row.streams.to_string(),
            format!("{:.2}", outage.0),
            format!("{:.3}", outage.1),
            format_range(&row.figures.outages),
            format!("{:.2}", recovery.0),
            format!("{:.3}", recovery.1),
            format_range(&row.figures.recoveries),
            row.figures.missed.to_string(),
        ]);
    }
    format!("\na source fails and is restored, until an edge says so\n{}", table.render())
}

fn format_range(delays: &[f64]) -> String {
    Spread::of(delays.iter().copied())
        .map_or_else(String::new, |spread| format!("{:.2}-{:.2}", spread.least, spread.most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_first_contender_with_as_many_streams() {
        let delays = [2.0, 8.0, 1.0]
            .map(|delay| ChangeDelays { outages: vec![delay], ..ChangeDelays::default() });
        let names = [("base", 20), ("base", 1_000), ("new", 20)];
        let rows = names.iter().zip(&delays).map(|((contender, streams), figures)| Row {
            contender,
            streams: *streams,
            figures,
        });
        let text = render_changes(&rows.collect::<Vec<_>>());
        for line in [
            "| base      |      20 |         2.00 | 1.000 |    2.00-2.00 |",
            "| base      |    1000 |         8.00 | 1.000 |    8.00-8.00 |",
            "| new       |      20 |         1.00 | 0.500 |    1.00-1.00 |",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
