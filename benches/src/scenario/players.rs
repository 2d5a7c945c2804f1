//! Virtual players in front of one edge: what they see, and what that costs per viewer and per
//! stream. It must stay flat.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use pitwall_benches::players::{Audience, Connector, Outcome};
use serde::{Deserialize, Serialize};
use url::Url;

use super::segments::Size;
use super::{Terms, start};
use crate::origin::MADE;
use crate::peers::{Contender, Kind, Link, Work};
use crate::record::{Entry, Record};
use crate::say;
use crate::serve::origin::TARGET;
use crate::stage::Stage;
use crate::usage::{Cpu, Memory};

/// Viewers, and over how many streams they are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) viewers: usize,
    pub(crate) streams: usize,
    /// Of a segment.
    pub(crate) bytes: usize,
}

impl Crowd {
    /// More and more viewers of one stream, then more and more streams of a viewer each.
    pub(crate) const ALL: [&str; 7] = [
        "10x1x500KB",
        "100x1x500KB",
        "1000x1x500KB",
        "1x1x50KB",
        "10x10x50KB",
        "100x100x50KB",
        "1000x1000x50KB",
    ];
}

/// VIEWERSxSTREAMSxSIZE.
impl FromStr for Crowd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let mut parts = text.split('x');
            let mut count = || parts.next()?.parse().ok().filter(|count: &usize| *count > 0);
            let (viewers, streams) = (count()?, count()?);
            let size: Size = parts.next()?.parse().ok()?;
            parts.next().is_none().then_some(Self { viewers, streams, bytes: size.bytes })
        };
        parse().ok_or_else(|| "write 1000x1x500KB".to_owned())
    }
}

/// One crowd in front of one contender. Delays in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) contender: String,
    #[serde(flatten)]
    pub(crate) crowd: Crowd,
    pub(crate) seconds: f64,
    pub(crate) polls: u64,
    pub(crate) segments: u64,
    pub(crate) missed: u64,
    pub(crate) failures: u64,
    pub(crate) stalls: u64,
    pub(crate) stall_ratio: f64,
    pub(crate) startup_p50: f64,
    pub(crate) startup_p99: f64,
    pub(crate) playlist_p99: f64,
    pub(crate) first_byte_p50: f64,
    pub(crate) first_byte_p99: f64,
    pub(crate) megabytes_per_second: f64,
    /// At the origin, of each segment that viewers have seen.
    pub(crate) fetches_per_segment: f64,
    /// At the origin, of each stream's playlist.
    pub(crate) polls_per_second: f64,
    pub(crate) cpu: f64,
    pub(crate) client_cpu: f64,
    pub(crate) memory_peak: u64,
}

impl Run {
    /// Milliseconds of processor time.
    pub(crate) fn cpu_per_viewer_second(&self) -> f64 {
        self.cpu * 1e3 / self.seconds / self.crowd.viewers as f64
    }
}

impl Entry for Run {
    fn replaces(&self, older: &Self) -> bool {
        (&self.contender, self.crowd) == (&older.contender, older.crowd)
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}

pub(crate) fn run(stage: &Stage, terms: &Terms, crowds: &[Crowd]) -> anyhow::Result<Record<Run>> {
    let mut record = Record::new();
    let connector = Connector::new()?;
    for crowd in crowds {
        // One after the other, each new: nothing of the last crowd is stored.
        let contenders = start(stage, terms, &[Work::Shared], 1, &mut record.skipped);
        // The others would only show that they fetch everything for everybody; who wants to see
        // that names them.
        let wanted = |contender: &&Contender| match terms.only.is_empty() {
            true => contender.link == Link::Pitwall,
            false => contender.link != Link::Path,
        };
        for contender in contenders.iter().filter(wanted) {
            let run = one(stage, contender, &connector, *crowd, terms.duration);
            let run = run.with_context(|| format!("{} with {crowd:?}", contender.name))?;
            record.results.push(run);
        }
    }
    Ok(record)
}

fn one(
    stage: &Stage,
    contender: &Contender,
    connector: &Connector,
    crowd: Crowd,
    duration: Duration,
) -> anyhow::Result<Run> {
    let playlists = (0..crowd.streams).map(|stream| {
        let path = format!("{MADE}live/{}-{stream}/index.m3u8", crowd.bytes);
        let path = contender.link.to(stage.origin.of(&path), &path, Kind::Playlist);
        Url::parse(&format!("http://{}{path}", contender.address))
    });
    let audience = Audience {
        playlists: playlists.collect::<Result<_, _>>()?,
        viewers: crowd.viewers,
        duration,
        arrival: TARGET,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let process = contender.process.id();
    stage.origin.counts()?;
    let before = (Cpu::of(process), Cpu::of_only(std::process::id()));
    let outcome = runtime.block_on(audience.watch(connector));
    let after = (Cpu::of(process), Cpu::of_only(std::process::id()));
    let counts = stage.origin.counts()?;
    if let Some((failure, count)) = outcome.failures.iter().max_by_key(|(_, count)| **count) {
        say(&format!(
            "{}: {} failures, mostly {failure:?} ({count})",
            contender.name,
            outcome.failure_count()
        ));
    }
    if outcome.segments == 0 {
        bail!("no segment came");
    }
    let spent = Spent {
        cpu: after.0.since(&before.0),
        client_cpu: after.1.since(&before.1),
        memory_peak: Memory::of(process).peak,
    };
    Ok(of(&contender.name, crowd, duration, &outcome, &counts, spent))
}

struct Spent {
    cpu: f64,
    client_cpu: f64,
    memory_peak: u64,
}

fn of(
    contender: &str,
    crowd: Crowd,
    duration: Duration,
    outcome: &Outcome,
    counts: &HashMap<String, u64>,
    spent: Spent,
) -> Run {
    let (playlists, segments): (Vec<_>, Vec<_>) =
        counts.iter().partition(|(path, _)| path.ends_with(".m3u8"));
    let fetches: u64 = segments.iter().map(|(_, count)| **count).sum();
    let polls: u64 = playlists.iter().map(|(_, count)| **count).sum();
    let seconds = duration.as_secs_f64();
    let milliseconds = |microseconds: u64| microseconds as f64 / 1e3;
    Run {
        contender: contender.to_owned(),
        crowd,
        seconds,
        polls: outcome.polls,
        segments: outcome.segments,
        missed: outcome.missed,
        failures: outcome.failure_count(),
        stalls: outcome.stalls,
        stall_ratio: outcome.stall_ratio(),
        startup_p50: milliseconds(outcome.startup.value_at_quantile(0.5)),
        startup_p99: milliseconds(outcome.startup.value_at_quantile(0.99)),
        playlist_p99: milliseconds(outcome.playlist.value_at_quantile(0.99)),
        first_byte_p50: milliseconds(outcome.first_byte.value_at_quantile(0.5)),
        first_byte_p99: milliseconds(outcome.first_byte.value_at_quantile(0.99)),
        megabytes_per_second: outcome.bytes as f64 / 1e6 / seconds,
        fetches_per_segment: fetches as f64 / segments.len().max(1) as f64,
        polls_per_second: polls as f64 / seconds / crowd.streams as f64,
        cpu: spent.cpu,
        client_cpu: spent.client_cpu,
        memory_peak: spent.memory_peak,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowds_are_viewers_streams_and_a_size() {
        let crowd = Crowd { viewers: 1000, streams: 10, bytes: 50_000 };
        assert_eq!("1000x10x50KB".parse(), Ok(crowd));
        for bad in ["1000x10", "0x1x50KB", "1x1x50KBx1", "axbxc", ""] {
            assert!(bad.parse::<Crowd>().is_err(), "{bad}");
        }
    }
}
