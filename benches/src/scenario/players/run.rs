//! What came of one crowd.

use std::collections::HashMap;
use std::time::Duration;

use pitwall_benches::players::Outcome;
use serde::{Deserialize, Serialize};

use super::Crowd;
use crate::record::Entry;

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
    pub(super) fn of(
        contender: &str,
        crowd: Crowd,
        duration: Duration,
        outcome: &Outcome,
        counts: &HashMap<String, u64>,
        spent: Spent,
    ) -> Self {
        let (playlists, segments): (Vec<_>, Vec<_>) =
            counts.iter().partition(|(path, _)| path.ends_with(".m3u8"));
        let fetches: u64 = segments.iter().map(|(_, count)| **count).sum();
        let polls: u64 = playlists.iter().map(|(_, count)| **count).sum();
        let seconds = duration.as_secs_f64();
        let milliseconds = |microseconds: u64| microseconds as f64 / 1e3;
        Self {
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

    /// Milliseconds of processor time.
    pub(crate) fn cpu_per_viewer_second(&self) -> f64 {
        self.cpu * 1e3 / self.seconds / self.crowd.viewers as f64
    }
}

/// What it took of the machine.
pub(super) struct Spent {
    pub(super) cpu: f64,
    pub(super) client_cpu: f64,
    pub(super) memory_peak: u64,
}

impl Entry for Run {
    fn replaces(&self, older: &Self) -> bool {
        (&self.contender, self.crowd) == (&older.contender, older.crowd)
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}
