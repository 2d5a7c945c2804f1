//! What comes back from the edges: which streams are watched, what just failed, who stalled.
//!
//! Telling is cheap and never waits; nobody listening is no error. What the edges say weakens
//! or hurries, it never decides: the control plane looks for itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::map::StreamId;

/// Edges tell, the control plane listens.
#[derive(Default)]
pub struct Demand {
    watched: Mutex<BTreeMap<StreamId, Watch>>,
    /// By other edges, as the store passes it on.
    elsewhere: Mutex<BTreeMap<String, Elsewhere>>,
    reports: Mutex<VecDeque<Report>>,
    told: Notify,
}

struct Watch {
    viewers: usize,
    last: Instant,
}

struct Elsewhere {
    watched: BTreeMap<StreamId, usize>,
    last: Instant,
}

/// Something an edge saw of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub stream: StreamId,
    pub source: String,
    /// Of the upstream that was used: its successor is not to blame.
    pub generation: u64,
    pub what: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

    /// Streams that somebody watches on any edge, and how many do.
    pub fn watched(&self) -> BTreeMap<StreamId, usize> {
        let mut all = self.watched_here();
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        elsewhere.retain(|_, edge| edge.last.elapsed() < WATCHED_FOR);
        for (stream, viewers) in elsewhere.values().flat_map(|edge| &edge.watched) {
            *all.entry(stream.clone()).or_default() += viewers;
        }
        all
    }

    /// Those that are watched on this edge.
    pub(crate) fn watched_here(&self) -> BTreeMap<StreamId, usize> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|_, watch| watch.last.elapsed() < WATCHED_FOR);
        let there = watched.iter().filter(|(_, watch)| watch.viewers > 0);
        there.map(|(stream, watch)| (stream.clone(), watch.viewers)).collect()
    }

    /// All that another edge says is watched there.
    pub(crate) fn watched_there(&self, edge: &str, watched: BTreeMap<StreamId, usize>) {
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match watched.is_empty() {
            true => elsewhere.remove(edge),
            false => {
                let last = Instant::now();
                let said = Elsewhere { watched: watched.clone(), last };
                elsewhere.insert(edge.to_owned(), said)
            }
        };
        let known = before.map(|edge| edge.watched).unwrap_or_default();
        if watched.keys().any(|stream| !known.contains_key(stream)) {
            self.told.notify_one();
        }
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

    #[tokio::test(start_paused = true)]
    async fn edges_add_up_and_are_forgotten_one_by_one() {
        let (demand, stream) = (Demand::default(), StreamId::of_feed("World feed").unwrap());
        let said = |viewers| BTreeMap::from([(stream.clone(), viewers)]);
        demand.watch(&stream, 1);
        demand.watched_there("a", said(2));
        demand.told().await;
        tokio::time::advance(Duration::from_secs(20)).await;
        demand.watched_there("b", said(4));
        assert_eq!((demand.watched(), demand.watched_here()), (said(7), said(1)));
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(demand.watched(), said(4));
        demand.watched_there("b", BTreeMap::new());
        assert!(demand.watched().is_empty());
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
