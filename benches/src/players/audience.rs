//! Many players, and what came of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use hdrhistogram::Histogram;
use tokio::time::Instant;
use url::Url;

use super::buffer::Buffer;
use super::client::{CannotPlay, Connector, Timing};
use super::viewer::Viewer;

/// Who watches what, for how long.
#[derive(Clone, Debug)]
pub struct Audience {
    /// Viewers spread over them evenly.
    pub playlists: Vec<Url>,
    pub viewers: usize,
    pub duration: Duration,
    /// They come one after the other within that time.
    pub arrival: Duration,
}

/// In microseconds.
pub type Delays = Histogram<u64>;

/// What all of them have seen.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub viewers: u64,
    pub polls: u64,
    pub segments: u64,
    /// Segments that fell out of the playlist before they were taken.
    pub missed: u64,
    /// What went wrong, and how often.
    pub failures: BTreeMap<String, u64>,
    /// Of segments.
    pub bytes: u64,
    pub played: Duration,
    pub stalled: Duration,
    pub stalls: u64,
    pub startup: Delays,
    pub playlist: Delays,
    pub first_byte: Delays,
    pub segment: Delays,
}

impl Audience {
    /// Runs them all, on this thread.
    pub async fn watch(&self, connector: &Connector) -> Outcome {
        let outcome = RefCell::new(Outcome::new());
        let began = Instant::now();
        let end = began + self.duration;
        let count = u32::try_from(self.viewers).unwrap_or(u32::MAX);
        let viewers = (0..count).zip(self.playlists.iter().cycle()).map(|(number, playlist)| {
            let outcome = &outcome;
            let arrival = began + self.arrival * number / count;
            async move {
                tokio::time::sleep_until(arrival).await;
                Viewer::new(connector, playlist.clone(), outcome).watch(end).await;
            }
        });
        join_all(viewers).await;
        outcome.into_inner()
    }
}

impl Outcome {
    fn new() -> Self {
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
            startup: histogram.clone(),
            playlist: histogram.clone(),
            first_byte: histogram.clone(),
            segment: histogram,
        }
    }

    pub(super) fn polled(&mut self, timing: Timing) {
        self.polls += 1;
        self.playlist.saturating_record(microseconds(timing.whole));
    }

    pub(super) fn took(&mut self, timing: Timing) {
        self.segments += 1;
        self.bytes += timing.bytes;
        self.first_byte.saturating_record(microseconds(timing.first_byte));
        self.segment.saturating_record(microseconds(timing.whole));
    }

    pub(super) fn started(&mut self, after: Duration) {
        self.startup.saturating_record(microseconds(after));
    }

    pub(super) fn failed(&mut self, error: &CannotPlay) {
        *self.failures.entry(error.to_string()).or_default() += 1;
    }

    /// A viewer leaves.
    pub(super) fn left(&mut self, buffer: &Buffer, missed: u64) {
        self.viewers += 1;
        self.missed += missed;
        self.played += buffer.played;
        self.stalled += buffer.stalled;
        self.stalls += buffer.stalls;
    }

    /// Of the time after the start, the part in which nothing moved.
    pub fn stall_ratio(&self) -> f64 {
        let stalled = self.stalled.as_secs_f64();
        let all = stalled + self.played.as_secs_f64();
        if all > 0.0 { stalled / all } else { 0.0 }
    }

    pub fn failure_count(&self) -> u64 {
        self.failures.values().sum()
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
