//! The list of requirements, each with the figure from its record.

use super::{Bound, Requirement};
use crate::comparison::{figure_spread, median_or_nan, ratio_spread};
use crate::peers::Workload;
use crate::record::{Measurements, Sample, ScenarioRecord, Task};
use crate::report::AllRecords;
use crate::scenario::players::{Crowd, CrowdResult};
use crate::scenario::store::slow_redis;

/// All requirements, for the Pitwall executable of that contender name.
pub(in crate::report) fn list_requirements(
    results: &AllRecords,
    pitwall: &str,
) -> Vec<Requirement> {
    let mut list = Vec::new();
    add_stored_segments(&results.segments, pitwall, &mut list);
    add_relayed_segments(&results.segments, pitwall, &mut list);
    add_playlists(&results.playlists, pitwall, &mut list);
    add_first_byte(&results.first_byte, pitwall, &mut list);
    add_players(&results.players, pitwall, &mut list);
    add_herd_and_memory(results, pitwall, &mut list);
    add_store(results, &mut list);
    list
}

const SEGMENT_SIZES: [&str; 3] = ["500KB", "1MB", "4MB"];
const CONNECTION_COUNTS: [usize; 2] = [16, 64];

fn single_thread_task(work: Workload, item: &str, connections: usize) -> Task {
    Task { work, item: item.to_owned(), connections, threads: 1 }
}

fn add_stored_segments(
    record: &ScenarioRecord<Sample>,
    pitwall: &str,
    list: &mut Vec<Requirement>,
) {
    let rate = Measurements::megabytes_per_second;
    let p99 = |figures: &Measurements| figures.whole_p99;
    for (size, nginx, varnish) in [("500KB", 1.0, 1.0), ("1MB", 1.1, 1.0), ("4MB", 1.1, 0.95)] {
        for connections in CONNECTION_COUNTS {
            let task = single_thread_task(Workload::Stored, size, connections);
            let mut add = |what: &str, base: &str, bound, figure: fn(&Measurements) -> f64| {
                let measured = median_or_nan(ratio_spread(record, &task, pitwall, base, figure));
                let what = format!("stored {size}, {connections} connections: {what} {base}");
                list.push(Requirement::new(what, bound, "x", measured));
            };
            add("MB/s vs", "nginx-cache", Bound::AtLeast(nginx), rate);
            add("MB/s vs", "varnish", Bound::AtLeast(varnish), rate);
            add("MB/s vs", "ceiling", Bound::AtLeast(0.85), rate);
            add("p99 vs", "nginx-cache", Bound::AtMost(1.0), p99);
            add("p99 vs", "varnish", Bound::AtMost(1.0), p99);
            add("CPU s/GB vs", "nginx-cache", Bound::AtMost(1.05), Measurements::cpu_per_gigabyte);
        }
    }
}

/// Relayed segments, with the segment cache disabled (`-through`) and with it enabled.
fn add_relayed_segments(
    record: &ScenarioRecord<Sample>,
    pitwall: &str,
    list: &mut Vec<Requirement>,
) {
    for (contender, how) in
        [(format!("{pitwall}-through"), ""), (pitwall.to_owned(), " and stored")]
    {
        for size in SEGMENT_SIZES {
            for connections in CONNECTION_COUNTS {
                let task = single_thread_task(Workload::Relayed, size, connections);
                let mediaflow = if size == "500KB" { 100.0 } else { 30.0 };
                for (base, least) in [
                    ("nginx", 1.15),
                    ("copy", 0.95),
                    ("haproxy", 1.3),
                    ("hls-proxy", 8.0),
                    ("mediaflow-proxy", mediaflow),
                ] {
                    // For mediaflow-proxy there is no requirement at 1 MB.
                    if base == "mediaflow-proxy" && size == "1MB" {
                        continue;
                    }
                    let rate = Measurements::megabytes_per_second;
                    let measured =
                        median_or_nan(ratio_spread(record, &task, &contender, base, rate));
                    let what =
                        format!("relayed{how} {size}, {connections} connections: MB/s vs {base}");
                    list.push(Requirement::new(what, Bound::AtLeast(least), "x", measured));
                }
            }
        }
    }
}

fn add_playlists(record: &ScenarioRecord<Sample>, pitwall: &str, list: &mut Vec<Requirement>) {
    let fresh = format!("{pitwall}-fresh");
    for (what, contender, base, task, least) in [
        (
            "live, each poll another URL",
            pitwall,
            "hls-proxy",
            single_thread_task(Workload::Playlist, "live", 16),
            3.5,
        ),
        (
            "live, each poll another URL",
            pitwall,
            "hls-proxy",
            single_thread_task(Workload::Playlist, "live", 64),
            3.5,
        ),
        (
            "live, polled by 64 at once",
            pitwall,
            "nginx-cache-1s",
            single_thread_task(Workload::Shared, "live", 64),
            1.0,
        ),
        (
            "2 000 segments, one line changed",
            &fresh,
            "hls-proxy",
            single_thread_task(Workload::Fresh, "window", 16),
            20.0,
        ),
        (
            "2 000 segments, unchanged",
            pitwall,
            "nginx-default",
            single_thread_task(Workload::Shared, "long", 16),
            2.0,
        ),
        (
            "2 000 segments, unchanged",
            pitwall,
            "nginx",
            single_thread_task(Workload::Shared, "long", 16),
            2.0,
        ),
    ] {
        let rate = Measurements::requests_per_second;
        let measured = median_or_nan(ratio_spread(record, &task, contender, base, rate));
        let connections = task.connections;
        let what = format!("playlist, {what}, {connections} connections: vs {base}");
        list.push(Requirement::new(what, Bound::AtLeast(least), "x", measured));
    }
    let task = single_thread_task(Workload::Playlist, "live", 64);
    let p99 = median_or_nan(figure_spread(record, &task, pitwall, |figures| figures.whole_p99));
    let what = "playlist, live, each poll another URL, 64 connections: p99";
    list.push(Requirement::new(what, Bound::AtMost(5.0), " ms", p99));
}

fn add_first_byte(record: &ScenarioRecord<Sample>, pitwall: &str, list: &mut Vec<Requirement>) {
    let p50 = |work, contender: &str| {
        let task = single_thread_task(work, "500KB", 1);
        median_or_nan(figure_spread(record, &task, contender, Measurements::first_byte_p50))
    };
    let direct = p50(Workload::Stored, "nginx-file");
    for (what, work, contender, most) in [
        ("stored", Workload::Stored, pitwall.to_owned(), 0.15),
        ("relayed", Workload::Relayed, format!("{pitwall}-through"), 0.4),
        ("relayed and stored", Workload::Relayed, pitwall.to_owned(), 0.4),
    ] {
        let what = format!("first byte added over direct, p50, one connection, {what}");
        let measured = p50(work, &contender) - direct;
        list.push(Requirement::new(what, Bound::AtMost(most), " ms", measured));
    }
}

fn add_players(record: &ScenarioRecord<CrowdResult>, pitwall: &str, list: &mut Vec<Requirement>) {
    let of = |crowd: &str, figure: fn(&CrowdResult) -> f64| {
        let crowd = crowd.parse::<Crowd>().ok();
        let run =
            record.results.iter().find(|run| run.contender == pitwall && Some(run.crowd) == crowd);
        run.map_or(f64::NAN, figure)
    };
    let thousand = "1000x1x500KB";
    let cost = CrowdResult::cpu_per_viewer_second;
    for (what, bound, unit, measured) in [
        // A player that joins may take a segment that has left the window for the others.
        ("origin fetches per segment", 1.01, "", of(thousand, |run| run.fetches_per_segment)),
        (
            "playlist polls at the origin per second",
            2.05,
            "",
            of(thousand, |run| run.polls_per_second),
        ),
        ("stalls", 0.0, "", of(thousand, |run| run.stalls as f64)),
        ("cost per viewer, over that of 10", 1.1, "x", of(thousand, cost) / of("10x1x500KB", cost)),
    ] {
        let what = format!("1 000 viewers of one stream: {what}");
        list.push(Requirement::new(what, Bound::AtMost(bound), unit, measured));
    }
    let growth = of("1000x1000x50KB", cost) / of("10x10x50KB", cost);
    let what = "1 000 streams of a viewer each: cost per stream, over that of 10";
    list.push(Requirement::new(what, Bound::AtMost(1.1), "x", growth));
}

fn add_herd_and_memory(results: &AllRecords, pitwall: &str, list: &mut Vec<Requirement>) {
    let herds = || results.herd.results.iter().filter(|herd| herd.contender == pitwall);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NAN, f64::max);
    let fetches = most(&mut herds().map(|herd| herd.fetches as f64));
    list.push(Requirement::new(
        "64 clients on one new 4 MB segment: fetches",
        Bound::AtMost(1.0),
        "",
        fetches,
    ));
    let first_byte = most(&mut herds().map(|herd| herd.first_byte_p50));
    list.push(Requirement::new(
        "64 clients on one new 4 MB segment: first byte p50",
        Bound::AtMost(10.0),
        " ms",
        first_byte,
    ));
    for (state, suffix, unit, divisor, bound) in [
        ("slow 4MB", "", " MB", 1e6, 5.0),
        ("slow 4MB", "-through", " KiB", 1024.0, 320.0),
        ("slow 100MB", "", " KiB", 1024.0, 320.0),
        ("idle", "", " KB", 1e3, 20.0),
    ] {
        let name = format!("{pitwall}{suffix}");
        let reading = results
            .memory
            .results
            .iter()
            .find(|reading| reading.contender == name && reading.state == state);
        let what = match state {
            "idle" => "memory of an idle connection, of 10 000".to_owned(),
            _ => format!("memory of a {state} stream, of 64, {name}"),
        };
        let measured = reading.map_or(f64::NAN, |reading| reading.bytes_each() / divisor);
        list.push(Requirement::new(what, Bound::AtMost(bound), unit, measured));
    }
}

fn add_store(results: &AllRecords, list: &mut Vec<Requirement>) {
    for publication in &results.publish.results {
        let (edges, streams) = (publication.edges, publication.streams);
        // More than 100 edges share the cores of this one machine, so nothing is required of them.
        if edges <= 100 {
            let what = format!("a change of {streams} streams reaches {edges} edges: p99");
            let p99 = publication.reached_p99;
            list.push(Requirement::new(what, Bound::AtMost(250.0), " ms", p99));
        }
    }
    let (record, p99) = (&results.slow_store, |figures: &Measurements| figures.whole_p99);
    let measured = median_or_nan(ratio_spread(
        record,
        &slow_redis::slow_redis_task(),
        slow_redis::LATE_CONTENDER,
        slow_redis::PROMPT_CONTENDER,
        p99,
    ));
    let what = "Redis 2 s late: p99 vs Redis on time";
    list.push(Requirement::new(what, Bound::AtMost(1.2), "x", measured));
}
