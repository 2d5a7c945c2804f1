//! The table of one task (segments, TLS, playlists, first byte): all contenders, compared with one
//! of them.

use crate::comparison::{figure_spread, median_or_nan, ratio_spread};
use crate::peers::Workload;
use crate::record::{Measurements, Sample, ScenarioRecord, Task};
use crate::table::Table;

type FigureFn = fn(&Measurements) -> f64;

pub(crate) fn render_task(record: &ScenarioRecord<Sample>, task: &Task) -> String {
    let contenders = record.contenders(task);
    let base = reference_contender(task);
    // Without the usual reference, the first contender is the reference.
    let base = contenders.iter().find(|name| **name == base).or(contenders.first());
    let Some(base) = base.copied() else { return String::new() };
    let segments = task.work.is_segment();
    let (rate, cpu, client): (FigureFn, FigureFn, FigureFn) = if segments {
        (
            Measurements::megabytes_per_second,
            Measurements::cpu_per_gigabyte,
            Measurements::client_cpu_per_gigabyte,
        )
    } else {
        (
            Measurements::requests_per_second,
            Measurements::cpu_per_request,
            Measurements::client_cpu_per_request,
        )
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
        let of = |what: FigureFn| median_or_nan(figure_spread(record, task, contender, what));
        let ratio = ratio_spread(record, task, contender, base, rate);
        table.push_row([
            contender.to_owned(),
            format!("{:.0}", of(Measurements::requests_per_second)),
            format!("{:.0}", of(Measurements::megabytes_per_second)),
            ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.median)),
            ratio.map_or_else(String::new, |ratio| format!("{:.2}-{:.2}", ratio.least, ratio.most)),
            format!("{:.3}", of(cpu)),
            format!("{:.3}", of(client)),
            format_or_dash(of(Measurements::first_byte_p50)),
            format_or_dash(of(Measurements::first_byte_p99)),
            format!("{:.3}", of(|figures| figures.whole_p50)),
            format!("{:.3}", of(|figures| figures.whole_p99)),
            format!("{:.0}", of(|figures| figures.memory as f64) / 1_048_576.0),
            format!("{:.0}", of(|figures| figures.memory_peak as f64) / 1_048_576.0),
        ]);
    }
    format!("\n{task} (ratio to {base})\n{}", table.render())
}

fn format_or_dash(figure: f64) -> String {
    if figure.is_nan() { "-".to_owned() } else { format!("{figure:.3}") }
}

/// The contender to which the others' rates are compared.
fn reference_contender(task: &Task) -> &'static str {
    match task.work {
        Workload::Stored | Workload::Relayed => "ceiling",
        Workload::Tls | Workload::Http2 => "nginx-cache-tls",
        Workload::Shared if task.item == "live" => "nginx-cache-1s",
        Workload::Shared | Workload::Playlist | Workload::Fresh => "nginx",
    }
}
