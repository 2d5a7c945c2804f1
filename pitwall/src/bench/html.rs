//! The report as one page that needs nothing else: no script, no font, no picture.

use std::fmt::Write;

use super::chart::{Line, render as render_chart};
use super::report::{BenchReport, IntervalReport, Quantiles};
use super::text::counted;

const STYLE: &str = include_str!("report.css");

/// The page; no URL of it leads anywhere.
pub(super) fn render(report: &BenchReport) -> String {
    let mut body = format!("<h1>pitwall bench</h1><p class=\"sum\">{}</p>", summary(report));
    if report.tester.limits.is_empty() {
        body += "<p class=\"fine\">The tester was not the limit. ";
    } else {
        body += "<p class=\"limit\"><strong>The tester itself was the limit.</strong> ";
        for limit in &report.tester.limits {
            let _ = write!(body, "{}. ", escape(limit));
        }
    }
    let tester = &report.tester;
    let _ = write!(
        body,
        "It used {:.2} of {} cores (at most {:.2}), and its timers were {:.1} ms late (p99).</p>",
        tester.used_cores, tester.cores, tester.most_used_cores, tester.timer_lag_p99_ms
    );
    body += &viewer_table(report);
    body += &request_table(report);
    body += &charts(report);
    body += &stream_table(report);
    body += &failure_table(report);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>pitwall bench</title>\
         <style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
}

fn summary(report: &BenchReport) -> String {
    let versions = report.http.iter().map(|(version, count)| format!("{count} {version}"));
    format!(
        "{}, by pitwall {}: {} of {}, {:.0} s with arrivals over {:.0} s: {} stalls, {:.2} % of the time \
         after the start; {:.1} Mbit/s in {} segments ({} missed); responses: {}",
        report.started_at,
        escape(report.pitwall_version),
        counted(report.viewers, "viewer"),
        counted(report.streams.len(), "playlist"),
        report.seconds,
        report.ramp_seconds,
        report.stalls,
        report.stall_ratio * 100.0,
        report.mbps(),
        report.segments,
        report.missed,
        escape(&versions.collect::<Vec<_>>().join(", "))
    )
}

fn viewer_table(report: &BenchReport) -> String {
    let viewers = &report.by_viewer;
    let mut rows = vec![
        ("start, ms".to_owned(), viewers.startup_ms),
        ("stalled, % of the time".to_owned(), viewers.stalled_percent),
        ("first byte, ms (mean of a viewer)".to_owned(), viewers.first_byte_ms),
        ("bitrate, Mbit/s (lowest is worst)".to_owned(), viewers.bitrate_mbps),
    ];
    let title = match viewers.saw_nothing {
        0 => "By viewer".to_owned(),
        count => format!("By viewer ({count} saw nothing)"),
    };
    quantile_table(&title, &mut rows)
}

fn request_table(report: &BenchReport) -> String {
    let delays = &report.delays_ms;
    let mut rows = vec![
        ("playlist, ms".to_owned(), delays.playlist),
        ("first byte of a segment, ms".to_owned(), delays.first_byte),
        ("segment, ms".to_owned(), delays.segment),
    ];
    quantile_table("By request", &mut rows)
}

fn quantile_table(title: &str, rows: &mut Vec<(String, Quantiles)>) -> String {
    let mut table = format!(
        "<h2>{title}</h2><table><tr><th></th><th>p50</th><th>p90</th><th>p99</th><th>worst</th></tr>"
    );
    for (name, quantiles) in rows.drain(..) {
        let Quantiles { p50, p90, p99, worst } = quantiles;
        if quantiles == Quantiles::default() && !name.contains('%') {
            let _ = write!(table, "<tr><th>{name}</th><td colspan=\"4\">not measured</td></tr>");
            continue;
        }
        let _ = write!(
            table,
            "<tr><th>{name}</th><td>{p50:.2}</td><td>{p90:.2}</td><td>{p99:.2}</td><td>{worst:.2}</td></tr>"
        );
    }
    table + "</table>"
}

fn charts(report: &BenchReport) -> String {
    let values = |of: fn(&IntervalReport) -> f64| report.intervals.iter().map(of).collect();
    let line = |name, class, of| Line { name, class, values: values(of) };
    let end = format!("{:.0} s", report.seconds);
    let axis = ("0 s", end.as_str());
    let mut text = "<h2>Over time</h2>".to_owned();
    text += &render_chart(
        "Viewers",
        "number",
        axis,
        &[
            line("watching", "one", |it| it.viewers as f64),
            line("stalled", "two", |it| it.stalled_viewers),
        ],
    );
    text += &render_chart(
        "First byte of segments",
        "ms",
        axis,
        &[
            line("p50", "one", |it| it.first_byte_p50_ms),
            line("p99", "two", |it| it.first_byte_p99_ms),
        ],
    );
    text += &render_chart(
        "Segments received",
        "Mbit/s",
        axis,
        &[line("all viewers", "one", |it| it.mbps)],
    );
    text += &render_chart(
        "Failures",
        "number",
        axis,
        &[line("failed requests", "two", |it| it.failures as f64)],
    );
    text += &render_chart(
        "The tester",
        "ms",
        axis,
        &[line("timers late by", "two", |it| it.tester_lag_ms)],
    );
    text
}

fn stream_table(report: &BenchReport) -> String {
    let mut table = "<h2>By playlist</h2><table><tr><th></th><th>viewers</th><th>stalls</th>\
                     <th>stalled, %</th><th>segments</th><th>missed</th><th>failures</th>\
                     <th>bitrate p50, Mbit/s</th></tr>"
        .to_owned();
    for stream in &report.streams {
        let _ = write!(
            table,
            "<tr><th>{}</th><td>{}</td><td>{}</td><td>{:.2}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}</td></tr>",
            escape(&stream.url),
            stream.viewers,
            stream.stalls,
            stream.stall_ratio * 100.0,
            stream.segments,
            stream.missed,
            stream.failures,
            stream.by_viewer.bitrate_mbps.p50
        );
    }
    table + "</table>"
}

fn failure_table(report: &BenchReport) -> String {
    if report.failures.is_empty() {
        return String::new();
    }
    let mut table = "<h2>Failures</h2><table>".to_owned();
    for (failure, count) in &report.failures {
        let _ = write!(table, "<tr><th>{}</th><td>{count}</td></tr>", escape(failure));
    }
    table + "</table>"
}

fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    html_escape::encode_text(text)
}
