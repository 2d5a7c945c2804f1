//! A table for each task: everybody who did it, beside one of them.

use super::{Table, median};
use crate::compare::{figure, ratio};
use crate::peers::Work;
use crate::record::{Figures, Record, Sample, Task};

type Figure = fn(&Figures) -> f64;

pub(crate) fn task(record: &Record<Sample>, task: &Task) -> String {
    let contenders = record.contenders(task);
    let base = base_of(task);
    // Whoever stands first is compared to when the usual one was not asked for.
    let base = contenders.iter().find(|name| **name == base).or(contenders.first());
    let Some(base) = base.copied() else { return String::new() };
    let segments = task.work.is_segment();
    let (rate, cpu, client): (Figure, Figure, Figure) = if segments {
        (Figures::megabytes_per_second, Figures::cpu_per_gigabyte, Figures::client_cpu_per_gigabyte)
    } else {
        (Figures::requests_per_second, Figures::cpu_per_request, Figures::client_cpu_per_request)
    };
    let mut table = Table::new([
        "contender",
        "requests/s",
        "MB/s",
        "ratio",
        "(least-most)",
        if segments { "CPU s/GB" } else { "CPU us/request" },
        "client's",
        "first byte p50 ms",
        "p99",
        "whole p50 ms",
        "p99",
        "MiB",
        "peak",
    ]);
    for contender in contenders {
        let of = |what: Figure| median(figure(record, task, contender, what));
        let ratio = ratio(record, task, contender, base, rate);
        table.row([
            contender.to_owned(),
            format!("{:.0}", of(Figures::requests_per_second)),
            format!("{:.0}", of(Figures::megabytes_per_second)),
            ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.median)),
            ratio.map_or_else(String::new, |ratio| format!("{:.2}-{:.2}", ratio.least, ratio.most)),
            format!("{:.3}", of(cpu)),
            format!("{:.3}", of(client)),
            or_unknown(of(Figures::first_byte_p50)),
            or_unknown(of(Figures::first_byte_p99)),
            format!("{:.3}", of(|figures| figures.whole_p50)),
            format!("{:.3}", of(|figures| figures.whole_p99)),
            format!("{:.0}", of(|figures| figures.memory as f64) / 1_048_576.0),
            format!("{:.0}", of(|figures| figures.memory_peak as f64) / 1_048_576.0),
        ]);
    }
    format!("\n{task} (ratio to {base})\n{}", table.render())
}

fn or_unknown(figure: f64) -> String {
    if figure.is_nan() { "-".to_owned() } else { format!("{figure:.3}") }
}

fn base_of(task: &Task) -> &'static str {
    match task.work {
        Work::Stored | Work::Relayed => "ceiling",
        Work::Tls | Work::Http2 => "nginx-cache-tls",
        Work::Shared if task.item == "live" => "nginx-cache-1s",
        Work::Shared | Work::Playlist | Work::Fresh => "nginx",
    }
}
