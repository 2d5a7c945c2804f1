//! The tables of all that is not one task after the other.

use pitwall_benches::statistics::Spread;

use super::{Table, median};
use crate::record::Record;
use crate::scenario::herd::Herd;
use crate::scenario::memory::Reading;
use crate::scenario::players::Run;
use crate::scenario::store::publish::Publication;

pub(crate) fn players(record: &Record<Run>) -> String {
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
        table.row([
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

pub(crate) fn herd(record: &Record<Herd>) -> String {
    let mut table = Table::new(["contender", "fetches", "first byte p50 ms", "p99", "whole p99"]);
    let mut names: Vec<&str> = Vec::new();
    for herd in &record.results {
        if !names.contains(&herd.contender.as_str()) {
            names.push(&herd.contender);
        }
    }
    for name in names {
        let of = |figure: fn(&Herd) -> f64| {
            let these = record.results.iter().filter(|herd| herd.contender == name);
            median(Spread::of(these.map(figure)))
        };
        table.row([
            name.to_owned(),
            format!("{:.0}", of(|herd| herd.fetches as f64)),
            format!("{:.2}", of(|herd| herd.first_byte_p50)),
            format!("{:.2}", of(|herd| herd.first_byte_p99)),
            format!("{:.2}", of(|herd| herd.whole_p99)),
        ]);
    }
    format!("\n64 clients at once on one new segment of 4 MB\n{}", table.render())
}

pub(crate) fn memory(record: &Record<Reading>) -> String {
    let mut table = Table::new(["contender", "what", "how many", "KiB each", "before MiB"]);
    for reading in &record.results {
        table.row([
            reading.contender.clone(),
            reading.state.clone(),
            reading.count.to_string(),
            format!("{:.1}", reading.each() / 1024.0),
            format!("{:.0}", reading.before as f64 / 1_048_576.0),
        ]);
    }
    format!("\nuser memory\n{}", table.render())
}

pub(crate) fn publish(record: &Record<Publication>) -> String {
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
    for one in &record.results {
        table.row([
            one.edges.to_string(),
            one.streams.to_string(),
            format!("{:.2}", one.written_p99),
            format!("{:.2}", one.reached_p50),
            format!("{:.2}", one.reached_p99),
            format!("{:.2}", one.reached_most),
            format!("{:.1}", one.boot),
            format!("{:.0}", one.bytes as f64 / 1024.0),
        ]);
    }
    format!("\na change of the map, from the control plane to every edge\n{}", table.render())
}
