//! What comes back from the edges: which streams are watched, what just failed, who stalled.
//!
//! Telling is cheap and never waits; nobody listening is no error. What the edges say weakens
//! or hurries, it never decides: the control plane looks for itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::map::StreamId;

/// Edges tell, the control plane listens.
#[derive(Default)]
pub struct Demand {
    watched: Mutex<BTreeMap<StreamId, Watch>>,
    reports: Mutex<VecDeque<Report>>,
    told: Notify,
}

struct Watch {
    viewers: usize,
    last: Instant,
}

/// Something an edge saw of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub stream: StreamId,
    pub source: String,
    /// Of the upstream that was used: its successor is not to blame.
    pub generation: u64,
    pub what: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A playlist or a segment could not be had; the status, if there was an answer.
    Failed { status: Option<u16> },
    /// Of so many words from players, so many said that they ran dry.
    Stalled { stalls: u32, of: u32 },
}

/// A stream is watched for so long after the last word about it.
pub const WATCHED_FOR: Duration = Duration::from_secs(30);
/// Whoever does not listen loses the oldest.
const MOST_REPORTS: usize = 1024;

impl Demand {
    /// So many watch this stream now. To be said again at least every ten seconds.
    pub fn watch(&self, stream: &StreamId, viewers: usize) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let last = Instant::now();
        match watched.get_mut(stream) {
            Some(watch) => *watch = Watch { viewers, last },
            None => {
                watched.insert(stream.clone(), Watch { viewers, last });
                self.told.notify_one();
            }
        }
    }

    pub fn report(&self, report: Report) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() == MOST_REPORTS {
            reports.pop_front();
        }
        reports.push_back(report);
        self.told.notify_one();
    }

    /// Streams that somebody watches, and how many do.
    pub fn watched(&self) -> BTreeMap<StreamId, usize> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, watch| watch.last.elapsed() < WATCHED_FOR);
        let there = watched.iter().filter(|(_, watch)| watch.viewers > 0);
        there.map(|(stream, watch)| (stream.clone(), watch.viewers)).collect()
    }

    /// What has been reported since this was asked last.
    pub fn take_reports(&self) -> Vec<Report> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.drain(..).collect()
    }

    /// Waits until a stream is newly watched or something is reported.
    pub async fn told(&self) {
        self.told.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_watched_is_forgotten_unless_it_is_said_again() {
        let (demand, stream) = (Demand::default(), StreamId::of_feed("World feed").unwrap());
        demand.watch(&stream, 2);
        demand.told().await;
        for (seconds, expected) in [(0, Some(2)), (29, Some(2)), (2, None)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(demand.watched().get(&stream).copied(), expected, "after {seconds} s more");
        }
        demand.watch(&stream, 1);
        demand.watch(&stream, 0);
        assert!(demand.watched().is_empty(), "the last viewer left");
    }

    #[test]
    fn reports_are_kept_to_a_number() {
        let demand = Demand::default();
        for generation in 0..2000 {
            demand.report(Report {
                stream: StreamId::of_feed("f").unwrap(),
                source: "s".into(),
                generation,
                what: Seen::Failed { status: Some(403) },
            });
        }
        let reports = demand.take_reports();
        assert_eq!((reports.len(), reports[0].generation), (1024, 976));
        assert!(demand.take_reports().is_empty());
    }
}
