//! Runs h2load, nghttp2's load generator, for TLS and HTTP/2, which [`crate::load`] does not
//! support.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use hdrhistogram::Histogram;

/// The responses of one run.
#[derive(Debug, PartialEq)]
pub(crate) struct H2loadResult {
    pub(crate) responses: u64,
    /// Bytes of bodies, including those that were incomplete at the end.
    pub(crate) bytes: u64,
    /// From a request to the last byte of its response, in microseconds.
    pub(crate) last_byte: Histogram<u64>,
}

/// The protocol of all connections of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/2 with so many concurrent streams per connection.
    Http2(usize),
}

/// Requests `path` repeatedly on so many connections for `duration`; h2load's log is written to
/// `directory`.
///
/// # Errors
/// When h2load fails, logs a status other than 200, or negotiates another protocol.
pub(crate) fn run_h2load(
    address: SocketAddr,
    path: &str,
    protocol: Protocol,
    connections: usize,
    duration: Duration,
    directory: &Path,
) -> anyhow::Result<H2loadResult> {
    let log = directory.join("h2load.log");
    // h2load appends to an existing log, whose requests would be counted again.
    let _ = std::fs::remove_file(&log);
    let mut command = Command::new("h2load");
    command.arg(format!("--duration={}ms", duration.as_millis()));
    command.arg(format!("--clients={connections}")).arg("--log-file").arg(&log);
    match protocol {
        Protocol::Http1 => command.arg("--h1"),
        Protocol::Http2(streams) => command.arg(format!("--max-concurrent-streams={streams}")),
    };
    command.arg(format!("https://{address}{path}"));
    let output = command.output().context("h2load, of the package nghttp2-client")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("h2load: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let log = std::fs::read_to_string(&log).context("h2load has logged nothing")?;
    let result = parse_output(&text, &log)?;
    let is_http2 = matches!(protocol, Protocol::Http2(_));
    if is_http2 != text.contains("Application protocol: h2\n") {
        bail!("another protocol than asked for: {text}");
    }
    Ok(result)
}

fn parse_output(text: &str, log: &str) -> anyhow::Result<H2loadResult> {
    let line = |start: &str| {
        text.lines().find_map(|line| line.strip_prefix(start)).with_context(|| {
            format!("h2load says nothing of {start:?}: {}", text.lines().last().unwrap_or_default())
        })
    };
    // "traffic: 382.12MB (400682914) total, ..., 478.74MB (502000000) data"
    let data = line("traffic: ")?.rsplit_once('(').and_then(|(_, data)| data.split_once(')'));
    let bytes = data.and_then(|(bytes, _)| bytes.parse().ok()).context("h2load's traffic")?;
    let minute = 60_000_000;
    let mut last_byte = Histogram::new_with_bounds(1, minute, 3)?;
    for line in log.lines() {
        // Columns: start of the request, status, duration in microseconds.
        let mut columns = line.split('\t').skip(1);
        if columns.next() != Some("200") {
            bail!("h2load got {line:?}");
        }
        let duration = columns.next().and_then(|duration| duration.parse().ok());
        last_byte.saturating_record(duration.with_context(|| format!("h2load's log: {line:?}"))?);
    }
    Ok(H2loadResult { responses: last_byte.len(), bytes, last_byte })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Application protocol: h2\n\nfinished in 1.40s, 801.00 req/s, 382.12MB/s\n\
        traffic: 382.12MB (400682914) total, 109.81KB (112448) headers (space savings 38.80%), \
        478.74MB (502000000) data\n";

    #[test]
    fn bytes_come_from_the_output_and_times_from_the_log() {
        let log = "1795275633619058\t200\t43599\n1795275633619060\t200\t44157\n";
        let result = parse_output(SAID, log).unwrap();
        assert_eq!((result.responses, result.bytes), (2, 502_000_000));
        assert_eq!(result.last_byte.min() / 100, 435);
    }

    #[test]
    fn output_or_log_that_cannot_be_parsed_is_an_error() {
        for (text, log, error) in [
            ("", "", "h2load says nothing of \"traffic: \": "),
            (SAID, "1\t503\t1\n", "h2load got \"1\\t503\\t1\""),
            (SAID, "1\t200\n", "h2load's log: \"1\\t200\""),
        ] {
            assert_eq!(parse_output(text, log).unwrap_err().to_string(), error);
        }
    }
}
