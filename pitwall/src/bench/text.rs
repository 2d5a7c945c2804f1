//! The report as text.

use std::fmt::Write;

use super::report::{BenchReport, PerViewerFigures, Quantiles};

/// Units of figures that may all be zero; a delay or a bitrate never is.
const IS_MEANINGFUL_ZERO: [&str; 1] = [" %"];

pub(super) fn render(report: &BenchReport) -> String {
    let rate = |count: u64| count as f64 / report.seconds;
    let mut text = format!(
        "stalls        {} ({:.2} % of the time after the start)\n",
        report.stalls,
        report.stall_ratio * 100.0
    );
    let delays = &report.delays_ms;
    for (name, delay) in [
        ("start", delays.startup),
        ("playlist", delays.playlist),
        ("first byte", delays.first_byte),
        ("segment", delays.segment),
    ] {
        let _ = writeln!(text, "{name:<14}{}", format_quantiles(delay, 1, " ms"));
    }
    let versions: Vec<_> =
        report.http.iter().map(|(version, count)| format!("{count} {version}")).collect();
    let _ = write!(
        text,
        "segments      {} ({} missed), {:.1} Mbit/s\n\
         playlists     {} ({:.1}/s)\n\
         responses     {}\n",
        report.segments,
        report.missed,
        report.mbps(),
        report.playlists,
        rate(report.playlists),
        if versions.is_empty() { "none".to_owned() } else { versions.join(", ") },
    );
    text += "by viewer\n";
    append_viewers(&mut text, &report.by_viewer);
    if report.streams.len() > 1 {
        for stream in &report.streams {
            let _ = writeln!(
                text,
                "{}: {}, {} stalls ({:.2} %), {} segments ({} missed), {} failures",
                stream.url,
                counted(stream.viewers, "viewer"),
                stream.stalls,
                stream.stall_ratio * 100.0,
                stream.segments,
                stream.missed,
                stream.failures
            );
            append_viewers(&mut text, &stream.by_viewer);
        }
    }
    let tester = &report.tester;
    let _ = write!(
        text,
        "tester        {:.2} of {} cores, at most {:.2}; timers {:.1} ms late (p99)",
        tester.used_cores, tester.cores, tester.most_used_cores, tester.timer_lag_p99_ms
    );
    for limit in &tester.limits {
        let _ = write!(text, "\nTESTER LIMIT  {limit}");
    }
    for (failure, count) in &report.failures {
        let _ = write!(text, "\nfailed        {count} x {failure}");
    }
    text
}

/// `1 viewer`, `2 viewers`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn append_viewers(text: &mut String, viewers: &PerViewerFigures) {
    for (name, values, digits, unit) in [
        ("start", viewers.startup_ms, 1, " ms"),
        ("stalled", viewers.stalled_percent, 2, " %"),
        ("first byte", viewers.first_byte_ms, 1, " ms"),
        ("bitrate", viewers.bitrate_mbps, 2, " Mbit/s"),
    ] {
        let _ = writeln!(text, "  {name:<12}{}", format_quantiles(values, digits, unit));
    }
    if viewers.saw_nothing > 0 {
        let _ = writeln!(text, "  {} saw nothing", viewers.saw_nothing);
    }
}

fn format_quantiles(values: Quantiles, digits: usize, unit: &str) -> String {
    if values == Quantiles::default() && !IS_MEANINGFUL_ZERO.contains(&unit) {
        return "not measured".to_owned();
    }
    let Quantiles { p50, p90, p99, worst } = values;
    format!(
        "p50 {p50:.digits$}{unit}, p90 {p90:.digits$}{unit}, p99 {p99:.digits$}{unit}, worst {worst:.digits$}{unit}"
    )
}
