//! [`CrowdResult`]: the result of one crowd.

use std::collections::HashMap;
use std::time::Duration;

use pitwall_benches::players::PlaybackStatistics;
use serde::{Deserialize, Serialize};

use super::Crowd;
use crate::record::RecordEntry;

/// The result of one crowd in front of one contender; delays in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CrowdResult {
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
    /// Requests at the origin per segment requested there.
    pub(crate) fetches_per_segment: f64,
    /// Playlist requests at the origin per second and stream.
    pub(crate) polls_per_second: f64,
    pub(crate) cpu: f64,
    pub(crate) client_cpu: f64,
    pub(crate) memory_peak: u64,
}

impl CrowdResult {
    pub(super) fn from_statistics(
        contender: &str,
        crowd: Crowd,
        duration: Duration,
        statistics: &PlaybackStatistics,
        counts: &HashMap<String, u64>,
        usage: ResourceUsage,
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
            polls: statistics.polls,
            segments: statistics.segments,
            missed: statistics.missed,
            failures: statistics.failure_count(),
            stalls: statistics.stalls,
            stall_ratio: statistics.stall_ratio(),
            startup_p50: milliseconds(statistics.startup_delay.value_at_quantile(0.5)),
            startup_p99: milliseconds(statistics.startup_delay.value_at_quantile(0.99)),
            playlist_p99: milliseconds(statistics.playlist_delay.value_at_quantile(0.99)),
            first_byte_p50: milliseconds(statistics.first_byte_delay.value_at_quantile(0.5)),
            first_byte_p99: milliseconds(statistics.first_byte_delay.value_at_quantile(0.99)),
            megabytes_per_second: statistics.bytes as f64 / 1e6 / seconds,
            fetches_per_segment: fetches as f64 / segments.len().max(1) as f64,
            polls_per_second: polls as f64 / seconds / crowd.streams as f64,
            cpu: usage.cpu,
            client_cpu: usage.client_cpu,
            memory_peak: usage.memory_peak,
        }
    }

    /// Milliseconds of processor time per viewer and second.
    pub(crate) fn cpu_per_viewer_second(&self) -> f64 {
        self.cpu * 1e3 / self.seconds / self.crowd.viewers as f64
    }
}

/// Processor seconds of contender and client, and the contender's peak memory in bytes.
pub(super) struct ResourceUsage {
    pub(super) cpu: f64,
    pub(super) client_cpu: f64,
    pub(super) memory_peak: u64,
}

impl RecordEntry for CrowdResult {
    fn supersedes(&self, older: &Self) -> bool {
        (&self.contender, self.crowd) == (&older.contender, older.crowd)
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}
