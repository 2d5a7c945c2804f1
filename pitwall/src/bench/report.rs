//! [`BenchReport`]: the figures of a run, as `--json` prints them and the page and the text show them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use pitwall_benches::players::{
    DelayHistogram, Interval, PlaybackStatistics, ViewerSimulation, ViewerSummary,
};
use serde::{Serialize, Serializer};
use url::Url;

use super::tester::TesterReport;
use super::workers::RunMeasurement;
use crate::version::VERSION;

/// The figures of a run. Names end in their unit.
#[derive(Debug, Serialize)]
pub(super) struct BenchReport {
    /// When the first viewer arrived, in UTC.
    pub(super) started_at: String,
    /// Of the tester.
    pub(super) pitwall_version: &'static str,
    pub(super) viewers: usize,
    pub(super) seconds: f64,
    pub(super) ramp_seconds: f64,
    /// Responses by version of HTTP.
    pub(super) http: BTreeMap<String, u64>,
    pub(super) stalls: u64,
    /// Stalled time as a share of the time since playback started, 0 to 1.
    pub(super) stall_ratio: f64,
    pub(super) segments: u64,
    /// Segments that left the playlist before a player took them.
    pub(super) missed: u64,
    pub(super) segment_bytes: u64,
    pub(super) playlists: u64,
    /// Number of failures by what failed.
    pub(super) failures: BTreeMap<String, u64>,
    pub(super) delays_ms: Delays,
    pub(super) by_viewer: PerViewerFigures,
    pub(super) streams: Vec<StreamReport>,
    pub(super) intervals: Vec<IntervalReport>,
    pub(super) tester: TesterReport,
}

/// Delays of single requests; of a start: from a viewer's arrival to its first media.
#[derive(Debug, Serialize)]
pub(super) struct Delays {
    #[serde(serialize_with = "measured_or_null")]
    pub(super) startup: Quantiles,
    #[serde(serialize_with = "measured_or_null")]
    pub(super) playlist: Quantiles,
    #[serde(serialize_with = "measured_or_null")]
    pub(super) first_byte: Quantiles,
    #[serde(serialize_with = "measured_or_null")]
    pub(super) segment: Quantiles,
}

/// Of 100 viewers, `p90` is what the ninetieth saw, ordered from the one who fared best; `worst` is
/// the last one. Zeros where nothing was measured, which is `null` in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) worst: f64,
}

/// No delay and no bit rate is zero.
fn measured_or_null<S: Serializer>(
    quantiles: &Quantiles,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    (*quantiles != Quantiles::default()).then_some(quantiles).serialize(serializer)
}

/// Figures of which each viewer has one.
#[derive(Debug, Serialize)]
pub(super) struct PerViewerFigures {
    /// Of those who saw something.
    #[serde(serialize_with = "measured_or_null")]
    pub(super) startup_ms: Quantiles,
    /// Percent of the time since the start; 100 for who saw nothing.
    pub(super) stalled_percent: Quantiles,
    /// Mean of the viewer's segments.
    #[serde(serialize_with = "measured_or_null")]
    pub(super) first_byte_ms: Quantiles,
    /// Of the media that a viewer fetched; the lowest is the worst.
    #[serde(serialize_with = "measured_or_null")]
    pub(super) bitrate_mbps: Quantiles,
    pub(super) saw_nothing: usize,
}

/// The viewers of one playlist.
#[derive(Debug, Serialize)]
pub(super) struct StreamReport {
    /// Without its query, which may hold a key.
    pub(super) url: String,
    pub(super) viewers: usize,
    pub(super) stall_ratio: f64,
    pub(super) stalls: u64,
    pub(super) segments: u64,
    pub(super) missed: u64,
    pub(super) failures: u64,
    pub(super) by_viewer: PerViewerFigures,
}

/// One interval of the time since the first arrival.
#[derive(Debug, Serialize)]
pub(super) struct IntervalReport {
    /// When it began.
    pub(super) second: f64,
    pub(super) viewers: u64,
    /// On average over the interval.
    pub(super) stalled_viewers: f64,
    pub(super) mbps: f64,
    /// Not a number, and null in JSON, where no segment came in this interval.
    pub(super) first_byte_p50_ms: f64,
    pub(super) first_byte_p99_ms: f64,
    pub(super) failures: u64,
    pub(super) tester_lag_ms: f64,
}

impl BenchReport {
    pub(super) fn new(
        simulation: &ViewerSimulation,
        measured: &RunMeasurement,
        started: SystemTime,
        open_files: usize,
    ) -> Self {
        let statistics = &measured.statistics;
        let streams = simulation.playlists.iter().enumerate().map(|(index, url)| {
            let viewers: Vec<_> =
                statistics.viewers.iter().filter(|viewer| viewer.playlist == index).collect();
            StreamReport::new(url, &viewers)
        });
        Self {
            started_at: humantime::format_rfc3339_seconds(started).to_string(),
            pitwall_version: VERSION,
            viewers: simulation.viewers,
            seconds: measured.elapsed.as_secs_f64(),
            ramp_seconds: simulation.arrival_period.as_secs_f64(),
            http: statistics.versions.clone(),
            stalls: statistics.stalls,
            stall_ratio: statistics.stall_ratio(),
            segments: statistics.segments,
            missed: statistics.missed,
            segment_bytes: statistics.bytes,
            playlists: statistics.polls,
            failures: statistics.failures.clone(),
            delays_ms: Delays {
                startup: Quantiles::of_delays(&statistics.startup_delay),
                playlist: Quantiles::of_delays(&statistics.playlist_delay),
                first_byte: Quantiles::of_delays(&statistics.first_byte_delay),
                segment: Quantiles::of_delays(&statistics.segment_delay),
            },
            by_viewer: PerViewerFigures::new(&statistics.viewers.iter().collect::<Vec<_>>()),
            streams: streams.collect(),
            intervals: interval_reports(statistics, measured.elapsed),
            tester: TesterReport::new(measured, simulation.viewers, open_files),
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    pub(super) fn mbps(&self) -> f64 {
        megabits(self.segment_bytes) / self.seconds.max(f64::MIN_POSITIVE)
    }
}

impl Quantiles {
    fn of_delays(histogram: &DelayHistogram) -> Self {
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), worst: milliseconds(histogram.max()) }
    }

    /// Quantiles of values where a higher one is worse.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |quantile: f64| {
            let rank = (values.len() as f64 * quantile).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), worst: at(1.0) }
    }

    /// Quantiles of values where a lower one is worse.
    fn of_lower_is_worse(values: impl Iterator<Item = f64>) -> Self {
        let negated = Self::of(values.map(|value| -value));
        // Not -0.0, which JSON would show.
        let positive = |value: f64| 0.0 - value;
        Self {
            p50: positive(negated.p50),
            p90: positive(negated.p90),
            p99: positive(negated.p99),
            worst: positive(negated.worst),
        }
    }
}

impl PerViewerFigures {
    fn new(viewers: &[&ViewerSummary]) -> Self {
        let in_milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let startups = viewers.iter().filter_map(|viewer| viewer.startup);
        let first_bytes = viewers.iter().filter_map(|viewer| viewer.mean_first_byte_delay());
        let bitrates = viewers.iter().filter_map(|viewer| viewer.bitrate());
        Self {
            startup_ms: Quantiles::of(startups.map(in_milliseconds)),
            stalled_percent: Quantiles::of(viewers.iter().map(|viewer| viewer.stall_ratio() * 1e2)),
            first_byte_ms: Quantiles::of(first_bytes.map(in_milliseconds)),
            bitrate_mbps: Quantiles::of_lower_is_worse(bitrates.map(|bits| bits / 1e6)),
            saw_nothing: viewers.iter().filter(|viewer| viewer.startup.is_none()).count(),
        }
    }
}

impl StreamReport {
    fn new(url: &Url, viewers: &[&ViewerSummary]) -> Self {
        let mut shown = url.clone();
        shown.set_query(None);
        // A name and password are not shown either; a URL of HTTP always has room for none.
        let _ = (shown.set_username(""), shown.set_password(None));
        let seconds = |of: fn(&ViewerSummary) -> Duration| -> f64 {
            viewers.iter().map(|viewer| of(viewer).as_secs_f64()).sum()
        };
        let count =
            |of: fn(&ViewerSummary) -> u64| -> u64 { viewers.iter().map(|it| of(it)).sum() };
        let stalled = seconds(|viewer| viewer.stalled);
        let total = stalled + seconds(|viewer| viewer.played);
        Self {
            url: shown.into(),
            viewers: viewers.len(),
            stall_ratio: if total > 0.0 { stalled / total } else { 0.0 },
            stalls: count(|viewer| viewer.stalls),
            segments: count(|viewer| viewer.segments),
            missed: count(|viewer| viewer.missed),
            failures: count(|viewer| viewer.failures),
            by_viewer: PerViewerFigures::new(viewers),
        }
    }
}

/// The intervals that have begun.
fn interval_reports(statistics: &PlaybackStatistics, elapsed: Duration) -> Vec<IntervalReport> {
    let length = statistics.timeline.interval().as_secs_f64();
    let mut present = 0;
    let reports = statistics.timeline.intervals().iter().enumerate().map(|(index, interval)| {
        present += interval.arrivals;
        let report = IntervalReport::new(interval, index as f64 * length, length, present);
        present -= interval.departures.min(present);
        report
    });
    reports.take_while(|report| report.second <= elapsed.as_secs_f64()).collect()
}

impl IntervalReport {
    fn new(interval: &Interval, second: f64, length: f64, viewers: u64) -> Self {
        let delays = &interval.first_byte_delay;
        let first_byte = |quantile| match delays.len() {
            0 => f64::NAN,
            _ => milliseconds(delays.value_at_quantile(quantile)),
        };
        Self {
            second,
            viewers,
            stalled_viewers: interval.stalled.as_secs_f64() / length,
            mbps: megabits(interval.bytes) / length,
            first_byte_p50_ms: first_byte(0.5),
            first_byte_p99_ms: first_byte(0.99),
            failures: interval.failures,
            tester_lag_ms: interval.longest_lag.as_secs_f64() * 1e3,
        }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}

fn megabits(bytes: u64) -> f64 {
    bytes as f64 * 8.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ordered_by_who_fared_worse() {
        for (values, expected) in [
            (vec![], [0.0; 4]),
            (vec![7.0], [7.0; 4]),
            ((1..=100).rev().map(f64::from).collect(), [50.0, 90.0, 99.0, 100.0]),
        ] {
            let quantiles = Quantiles::of(values.iter().copied());
            let Quantiles { p50, p90, p99, worst } = quantiles;
            assert_eq!([p50, p90, p99, worst], expected);
        }
        let bitrates = Quantiles::of_lower_is_worse((1..=100).map(f64::from));
        assert_eq!(bitrates, Quantiles { p50: 51.0, p90: 11.0, p99: 2.0, worst: 1.0 });
    }

    #[test]
    fn a_stream_is_shown_without_its_secrets() {
        let url = Url::parse("https://me:word@tv.example/live/a/index.m3u8?key=secret").unwrap();
        let report = StreamReport::new(&url, &[]);
        assert_eq!(report.url, "https://tv.example/live/a/index.m3u8");
    }

    #[test]
    fn what_was_not_measured_is_null() {
        let url = Url::parse("https://tv.example/live/a/index.m3u8").unwrap();
        let report = serde_json::to_value(StreamReport::new(&url, &[])).unwrap();
        for figure in ["startup_ms", "first_byte_ms", "bitrate_mbps"] {
            assert!(report["by_viewer"][figure].is_null(), "{report}");
        }
    }
}
