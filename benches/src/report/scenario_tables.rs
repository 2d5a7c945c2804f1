//! The tables of the scenarios that are not measured task by task.

use pitwall_benches::statistics::Spread;

use crate::comparison::median_or_nan;
use crate::record::ScenarioRecord;
use crate::scenario::herd::HerdResult;
use crate::scenario::memory::MemoryReading;
use crate::scenario::players::CrowdResult;
use crate::scenario::store::publication::PublishResult;
use crate::table::Table;

pub(crate) fn render_players(record: &ScenarioRecord<CrowdResult>) -> String {
    let mut table = Table::new([
        "contender",
        "viewers",
        "streams",
        "KB",
        "stalls",
        "stall %",
        "missed",
        "failed",
        "startup p99 ms",
        "playlist p99",
        "first byte p50",
        "p99",
        "MB/s",
        "fetches/segment",
        "polls/s/stream",
        "CPU ms/viewer/s",
        "client's",
        "MiB",
    ]);
    for run in &record.results {
        table.push_row([
            run.contender.clone(),
            run.crowd.viewers.to_string(),
            run.crowd.streams.to_string(),
            (run.crowd.bytes / 1000).to_string(),
            run.stalls.to_string(),
            format!("{:.2}", run.stall_ratio * 100.0),
            run.missed.to_string(),
            run.failures.to_string(),
            format!("{:.1}", run.startup_p99),
            format!("{:.1}", run.playlist_p99),
            format!("{:.2}", run.first_byte_p50),
            format!("{:.2}", run.first_byte_p99),
            format!("{:.1}", run.megabytes_per_second),
            format!("{:.2}", run.fetches_per_segment),
            format!("{:.2}", run.polls_per_second),
            format!("{:.3}", run.cpu_per_viewer_second()),
            format!("{:.3}", run.client_cpu * 1e3 / run.seconds / run.crowd.viewers as f64),
            format!("{:.0}", run.memory_peak as f64 / 1_048_576.0),
        ]);
    }
    format!("\nvirtual players\n{}", table.render())
}

pub(crate) fn render_herd(record: &ScenarioRecord<HerdResult>) -> String {
    let mut table = Table::new(["contender", "fetches", "first byte p50 ms", "p99", "whole p99"]);
    let mut names: Vec<&str> = Vec::new();
    for herd in &record.results {
        if !names.contains(&herd.contender.as_str()) {
            names.push(&herd.contender);
        }
    }
    for name in names {
        let of = |figure: fn(&HerdResult) -> f64| {
            let these = record.results.iter().filter(|herd| herd.contender == name);
            median_or_nan(Spread::of(these.map(figure)))
        };
        table.push_row([
            name.to_owned(),
            format!("{:.0}", of(|herd| herd.fetches as f64)),
            format!("{:.2}", of(|herd| herd.first_byte_p50)),
            format!("{:.2}", of(|herd| herd.first_byte_p99)),
            format!("{:.2}", of(|herd| herd.whole_p99)),
        ]);
    }
    format!("\n64 clients at once on one new segment of 4 MB\n{}", table.render())
}

pub(crate) fn render_memory(record: &ScenarioRecord<MemoryReading>) -> String {
    let mut table = Table::new(["contender", "what", "how many", "KiB each", "before MiB"]);
    for reading in &record.results {
        table.push_row([
            reading.contender.clone(),
            reading.state.clone(),
            reading.count.to_string(),
            format!("{:.1}", reading.bytes_each() / 1024.0),
            format!("{:.0}", reading.before as f64 / 1_048_576.0),
        ]);
    }
    format!("\nuser memory\n{}", table.render())
}

pub(crate) fn render_publications(record: &ScenarioRecord<PublishResult>) -> String {
    let mut table = Table::new([
        "edges",
        "streams",
        "written p99 ms",
        "reached p50 ms",
        "p99",
        "most",
        "newcomer ms",
        "map KiB",
    ]);
    for result in &record.results {
        table.push_row([
            result.edges.to_string(),
            result.streams.to_string(),
            format!("{:.2}", result.written_p99),
            format!("{:.2}", result.reached_p50),
            format!("{:.2}", result.reached_p99),
            format!("{:.2}", result.reached_most),
            format!("{:.1}", result.boot),
            format!("{:.0}", result.bytes as f64 / 1024.0),
        ]);
    }
    format!("\na change of the map, from the control plane to every edge\n{}", table.render())
}
