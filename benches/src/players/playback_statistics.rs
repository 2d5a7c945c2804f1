//! [`PlaybackStatistics`]: the statistics of all players together.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::buffer::PlaybackBuffer;
use super::client::{PlaybackError, ResponseTiming};

/// Delays in microseconds.
pub type DelayHistogram = Histogram<u64>;

/// Statistics of all players together.
#[derive(Clone, Debug)]
pub struct PlaybackStatistics {
    pub viewers: u64,
    pub polls: u64,
    pub segments: u64,
    /// Segments that left the playlist before a player took them.
    pub missed: u64,
    /// Number of failures by error text.
    pub failures: BTreeMap<String, u64>,
    /// Bytes of segments.
    pub bytes: u64,
    pub played: Duration,
    pub stalled: Duration,
    pub stalls: u64,
    pub startup_delay: DelayHistogram,
    pub playlist_delay: DelayHistogram,
    pub first_byte_delay: DelayHistogram,
    pub segment_delay: DelayHistogram,
}

impl PlaybackStatistics {
    pub(super) fn new() -> Self {
        #[expect(clippy::expect_used, reason = "bounds and digits are constants that fit")]
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 3).expect("a histogram");
        Self {
            viewers: 0,
            polls: 0,
            segments: 0,
            missed: 0,
            failures: BTreeMap::new(),
            bytes: 0,
            played: Duration::ZERO,
            stalled: Duration::ZERO,
            stalls: 0,
            startup_delay: histogram.clone(),
            playlist_delay: histogram.clone(),
            first_byte_delay: histogram.clone(),
            segment_delay: histogram,
        }
    }

    pub(super) fn record_poll(&mut self, timing: ResponseTiming) {
        self.polls += 1;
        self.playlist_delay.saturating_record(microseconds(timing.last_byte));
    }

    pub(super) fn record_segment(&mut self, timing: ResponseTiming) {
        self.segments += 1;
        self.bytes += timing.bytes;
        self.first_byte_delay.saturating_record(microseconds(timing.first_byte));
        self.segment_delay.saturating_record(microseconds(timing.last_byte));
    }

    pub(super) fn record_startup(&mut self, after: Duration) {
        self.startup_delay.saturating_record(microseconds(after));
    }

    pub(super) fn record_failure(&mut self, error: &PlaybackError) {
        *self.failures.entry(error.to_string()).or_default() += 1;
    }

    /// Adds the totals of a viewer that leaves.
    pub(super) fn record_departure(&mut self, buffer: &PlaybackBuffer, missed: u64) {
        self.viewers += 1;
        self.missed += missed;
        self.played += buffer.played;
        self.stalled += buffer.stalled;
        self.stalls += buffer.stalls;
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
    use super::*;

    #[test]
    fn a_stall_ratio_is_of_the_time_after_the_start() {
        let mut statistics = PlaybackStatistics::new();
        assert_eq!(statistics.stall_ratio(), 0.0);
        let mut buffer = PlaybackBuffer::default();
        buffer.append_media(Duration::ZERO, Duration::from_secs(3));
        buffer.advance_to(Duration::from_secs(4));
        statistics.record_departure(&buffer, 0);
        assert_eq!((statistics.stall_ratio(), statistics.stalls), (0.25, 1));
    }
}
