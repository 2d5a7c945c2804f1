//! nghttp2's load generator, for what ours does not speak: TLS and HTTP/2.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use hdrhistogram::Histogram;

/// What came in one run.
#[derive(Debug, PartialEq)]
pub(crate) struct Tally {
    pub(crate) responses: u64,
    /// Of bodies, those that were not complete at the end included.
    pub(crate) bytes: u64,
    /// From a request to the last byte of its response, in microseconds.
    pub(crate) whole: Histogram<u64>,
}

/// How each connection asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Http1,
    /// That many requests at once.
    Http2(usize),
}

/// Asks for `path` again and again on that many connections. Its log is kept in `room`.
pub(crate) fn run(
    address: SocketAddr,
    path: &str,
    protocol: Protocol,
    connections: usize,
    duration: Duration,
    room: &Path,
) -> anyhow::Result<Tally> {
    let log = room.join("h2load.log");
    // It adds to what is there.
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
    let tally = read(&text, &log)?;
    let spoken = matches!(protocol, Protocol::Http2(_));
    if spoken != text.contains("Application protocol: h2\n") {
        bail!("another protocol than asked for: {text}");
    }
    Ok(tally)
}

fn read(text: &str, log: &str) -> anyhow::Result<Tally> {
    let line = |start: &str| {
        text.lines().find_map(|line| line.strip_prefix(start)).with_context(|| {
            format!("h2load says nothing of {start:?}: {}", text.lines().last().unwrap_or_default())
        })
    };
    // "traffic: 382.12MB (400682914) total, ..., 478.74MB (502000000) data"
    let data = line("traffic: ")?.rsplit_once('(').and_then(|(_, data)| data.split_once(')'));
    let bytes = data.and_then(|(bytes, _)| bytes.parse().ok()).context("h2load's traffic")?;
    let minute = 60_000_000;
    let mut whole = Histogram::new_with_bounds(1, minute, 3)?;
    for line in log.lines() {
        // When it was asked, the status, how long it took.
        let mut columns = line.split('\t').skip(1);
        if columns.next() != Some("200") {
            bail!("h2load got {line:?}");
        }
        let took = columns.next().and_then(|took| took.parse().ok());
        whole.saturating_record(took.with_context(|| format!("h2load's log: {line:?}"))?);
    }
    Ok(Tally { responses: whole.len(), bytes, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Application protocol: h2\n\nfinished in 1.40s, 801.00 req/s, 382.12MB/s\n\
        traffic: 382.12MB (400682914) total, 109.81KB (112448) headers (space savings 38.80%), \
        478.74MB (502000000) data\n";

    #[test]
    fn bytes_are_what_was_said_and_times_what_was_logged() {
        let log = "1795275633619058\t200\t43599\n1795275633619060\t200\t44157\n";
        let tally = read(SAID, log).unwrap();
        assert_eq!((tally.responses, tally.bytes), (2, 502_000_000));
        assert_eq!(tally.whole.min() / 100, 435);
    }

    #[test]
    fn what_is_not_an_answer_is_an_error() {
        for (text, log, error) in [
            ("", "", "h2load says nothing of \"traffic: \": "),
            (SAID, "1\t503\t1\n", "h2load got \"1\\t503\\t1\""),
            (SAID, "1\t200\n", "h2load's log: \"1\\t200\""),
        ] {
            assert_eq!(read(text, log).unwrap_err().to_string(), error);
        }
    }
}
