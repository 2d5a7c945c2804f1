//! [`PlaybackStatistics`]: the statistics of all players together.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::client::{PlaybackError, ResponseTiming};
use super::timeline::Timeline;
use super::viewer_summary::ViewerSummary;

/// Delays in microseconds.
pub type DelayHistogram = Histogram<u64>;

/// Statistics of all players together.
#[derive(Clone, Debug)]
pub struct PlaybackStatistics {
    /// One for each viewer, in no order.
    pub viewers: Vec<ViewerSummary>,
    pub polls: u64,
    pub segments: u64,
    /// Segments that left the playlist before a player took them.
    pub missed: u64,
    /// Number of failures by error text.
    pub failures: BTreeMap<String, u64>,
    /// Failures of the machine that the players run on: no more open files or ports.
    pub local_failures: u64,
    /// Number of responses by version of HTTP.
    pub versions: BTreeMap<String, u64>,
    /// Bytes of segments.
    pub bytes: u64,
    pub played: Duration,
    pub stalled: Duration,
    pub stalls: u64,
    pub startup_delay: DelayHistogram,
    pub playlist_delay: DelayHistogram,
    pub first_byte_delay: DelayHistogram,
    pub segment_delay: DelayHistogram,
    /// By how much timers of the players fired late: the players' own delay.
    pub timer_lag: DelayHistogram,
    pub timeline: Timeline,
}

impl PlaybackStatistics {
    /// Statistics of nobody yet, with a timeline of that duration.
    pub fn new(duration: Duration) -> Self {
        #[expect(clippy::expect_used, reason = "bounds and digits are constants that fit")]
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 3).expect("a histogram");
        Self {
            viewers: Vec::new(),
            polls: 0,
            segments: 0,
            missed: 0,
            failures: BTreeMap::new(),
            local_failures: 0,
            versions: BTreeMap::new(),
            bytes: 0,
            played: Duration::ZERO,
            stalled: Duration::ZERO,
            stalls: 0,
            startup_delay: histogram.clone(),
            playlist_delay: histogram.clone(),
            first_byte_delay: histogram.clone(),
            segment_delay: histogram.clone(),
            timer_lag: histogram,
            timeline: Timeline::new(duration),
        }
    }

    pub(super) fn record_poll(&mut self, timing: ResponseTiming) {
        self.polls += 1;
        self.playlist_delay.saturating_record(microseconds(timing.last_byte));
        self.record_version(timing.version);
    }

    /// Records a segment that arrived at `now`, a time since the simulation began.
    pub(super) fn record_segment(&mut self, now: Duration, timing: ResponseTiming) {
        self.segments += 1;
        self.bytes += timing.bytes;
        self.first_byte_delay.saturating_record(microseconds(timing.first_byte));
        self.segment_delay.saturating_record(microseconds(timing.last_byte));
        self.record_version(timing.version);
        let interval = self.timeline.interval_at(now);
        interval.segments += 1;
        interval.bytes += timing.bytes;
        interval.first_byte_delay.saturating_record(microseconds(timing.first_byte));
    }

    fn record_version(&mut self, version: http::Version) {
        *self.versions.entry(format!("{version:?}")).or_default() += 1;
    }

    pub(super) fn record_startup(&mut self, after: Duration) {
        self.startup_delay.saturating_record(microseconds(after));
    }

    pub(super) fn record_failure(&mut self, now: Duration, error: &PlaybackError) {
        *self.failures.entry(error.to_string()).or_default() += 1;
        self.local_failures += u64::from(error.is_local());
        self.timeline.interval_at(now).failures += 1;
    }

    pub(super) fn record_lag(&mut self, now: Duration, lag: Duration) {
        self.timer_lag.saturating_record(microseconds(lag));
        let interval = self.timeline.interval_at(now);
        interval.longest_lag = interval.longest_lag.max(lag);
    }

    /// Adds a viewer that leaves.
    pub(super) fn record_departure(&mut self, now: Duration, viewer: ViewerSummary) {
        self.missed += viewer.missed;
        self.played += viewer.played;
        self.stalled += viewer.stalled;
        self.stalls += viewer.stalls;
        self.viewers.push(viewer);
        self.timeline.interval_at(now).departures += 1;
    }

    /// Adds the statistics of other players of the same simulation.
    pub fn add(&mut self, other: Self) {
        self.viewers.extend(other.viewers);
        self.polls += other.polls;
        self.segments += other.segments;
        self.missed += other.missed;
        self.local_failures += other.local_failures;
        for (into, from) in
            [(&mut self.failures, other.failures), (&mut self.versions, other.versions)]
        {
            for (name, count) in from {
                *into.entry(name).or_default() += count;
            }
        }
        self.bytes += other.bytes;
        self.played += other.played;
        self.stalled += other.stalled;
        self.stalls += other.stalls;
        for (into, from) in [
            (&mut self.startup_delay, &other.startup_delay),
            (&mut self.playlist_delay, &other.playlist_delay),
            (&mut self.first_byte_delay, &other.first_byte_delay),
            (&mut self.segment_delay, &other.segment_delay),
            (&mut self.timer_lag, &other.timer_lag),
        ] {
            // All of them have the same bounds.
            let _ = into.add(from);
        }
        self.timeline.add(&other.timeline);
    }

    /// Stalled time as a share of the time since playback started, 0 to 1.
    pub fn stall_ratio(&self) -> f64 {
        let stalled = self.stalled.as_secs_f64();
        let total = stalled + self.played.as_secs_f64();
        if total > 0.0 { stalled / total } else { 0.0 }
    }

    pub fn failure_count(&self) -> u64 {
        self.failures.values().sum()
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::timeline::Interval;
    use super::*;

    fn viewer(played: u64, stalled: u64) -> ViewerSummary {
        ViewerSummary {
            played: Duration::from_secs(played),
            stalled: Duration::from_secs(stalled),
            stalls: 1,
            missed: 2,
            ..ViewerSummary::default()
        }
    }

    #[test]
    fn a_stall_ratio_is_of_the_time_after_the_start() {
        let mut statistics = PlaybackStatistics::new(Duration::from_secs(4));
        assert_eq!(statistics.stall_ratio(), 0.0);
        statistics.record_departure(Duration::from_secs(4), viewer(3, 1));
        assert_eq!((statistics.stall_ratio(), statistics.stalls), (0.25, 1));
    }

    #[test]
    fn statistics_of_two_threads_add_up() {
        let timing = ResponseTiming {
            version: http::Version::HTTP_2,
            first_byte: Duration::from_millis(3),
            last_byte: Duration::from_millis(9),
            bytes: 1000,
        };
        let [mut one, other] = [1, 3].map(|second| {
            let mut statistics = PlaybackStatistics::new(Duration::from_secs(4));
            let now = Duration::from_secs(second);
            statistics.record_segment(now, timing);
            statistics.record_failure(now, &PlaybackError::Timeout);
            statistics.record_lag(now, Duration::from_millis(second));
            statistics.record_departure(now, viewer(3, 1));
            statistics
        });
        one.add(other);
        assert_eq!((one.viewers.len(), one.segments, one.bytes, one.missed), (2, 2, 2000, 4));
        assert_eq!((one.failure_count(), one.versions.get("HTTP/2.0")), (2, Some(&2)));
        assert_eq!((one.first_byte_delay.len(), one.timer_lag.len()), (2, 2));
        let segments: Vec<_> = one.timeline.intervals().iter().map(|it| it.segments).collect();
        assert_eq!(segments, [0, 1, 0, 1]);
        let first_byte = |it: &Interval| it.first_byte_delay.max() / 1000;
        let first_bytes: Vec<_> = one.timeline.intervals().iter().map(first_byte).collect();
        assert_eq!(first_bytes, [0, 3, 0, 3]);
    }
}
