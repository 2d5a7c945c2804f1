//! Feedback of the edges: viewers per stream, and reports of failed or stalled upstreams.
//!
//! Giving feedback never waits and never fails, also when no control plane reads it. A report
//! lowers an upstream's score or hastens a check, but never decides: the control plane runs its own
//! checks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::stream::StreamId;

/// Feedback of all edges, written by edges and read by the control plane.
#[derive(Default)]
pub struct EdgeFeedback {
    local_viewers: Mutex<BTreeMap<StreamId, ViewerCount>>,
    /// Feedback of other edges by process id, as received from the store.
    remote_edges: Mutex<BTreeMap<String, RemoteViewerCounts>>,
    reports: Mutex<VecDeque<QueuedReport>>,
    notify: Notify,
}

struct ViewerCount {
    viewers: usize,
    updated_at: Instant,
}

struct RemoteViewerCounts {
    viewers_by_stream: BTreeMap<StreamId, usize>,
    updated_at: Instant,
}

/// An edge's observation of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamReport {
    pub stream: StreamId,
    pub source: String,
    /// Generation of the upstream that was used, so that its successor is not blamed.
    pub generation: u64,
    pub what: Observation,
}

/// A report on its way to the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedReport {
    #[serde(flatten)]
    pub report: UpstreamReport,
    /// When the edge queued it, by the edge's clock in Unix milliseconds; 0: not known.
    #[serde(default)]
    pub queued_at: i64,
}

impl QueuedReport {
    /// How long ago it was queued. The clocks of edge and control plane may differ: what seems to
    /// come from the future has just been queued.
    pub fn age(&self) -> Option<Duration> {
        let age = Timestamp::now().as_millisecond().checked_sub(self.queued_at)?;
        (self.queued_at > 0).then(|| Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observation {
    /// A playlist or segment request failed; `status` is the HTTP status if there was a response.
    Failed { status: Option<u16> },
    /// Of `of` playback reports from players, `stalls` reported an empty buffer.
    Stalled { stalls: u32, of: u32 },
}

/// Lifetime of a viewer count that is not renewed.
pub const VIEWER_COUNT_TTL: Duration = Duration::from_secs(30);
/// Limit on queued reports; the oldest are dropped when the control plane does not read them.
const PENDING_REPORTS_MAX: usize = 1024;

impl EdgeFeedback {
    /// Sets the number of viewers that watch the stream on this edge; must be renewed at least
    /// every ten seconds.
    pub fn set_local_viewers(&self, stream: &StreamId, viewers: usize) {
        let mut counts = self.local_viewers.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match counts.get_mut(stream) {
            Some(count) => *count = ViewerCount { viewers, updated_at: now },
            None => {
                counts.insert(stream.clone(), ViewerCount { viewers, updated_at: now });
                self.notify.notify_one();
            }
        }
    }

    /// Queues a report for the control plane.
    pub fn push_report(&self, report: UpstreamReport) {
        let queued_at = Timestamp::now().as_millisecond();
        self.queue_remote_report(QueuedReport { report, queued_at });
    }

    /// Queues a report that another edge has queued.
    pub(crate) fn queue_remote_report(&self, report: QueuedReport) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() == PENDING_REPORTS_MAX {
            reports.pop_front();
        }
        reports.push_back(report);
        self.notify.notify_one();
    }

    /// Number of viewers of each watched stream, over all edges.
    pub fn viewers_by_stream(&self) -> BTreeMap<StreamId, usize> {
        let mut total = self.local_viewers_by_stream();
        let mut remote_edges = self.remote_edges.lock().unwrap_or_else(PoisonError::into_inner);
        remote_edges.retain(|_, edge| edge.updated_at.elapsed() < VIEWER_COUNT_TTL);
        for (stream, viewers) in remote_edges.values().flat_map(|edge| &edge.viewers_by_stream) {
            *total.entry(stream.clone()).or_default() += viewers;
        }
        total
    }

    /// Number of viewers of each stream that is watched on this edge.
    pub(crate) fn local_viewers_by_stream(&self) -> BTreeMap<StreamId, usize> {
        let mut counts = self.local_viewers.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| count.updated_at.elapsed() < VIEWER_COUNT_TTL);
        let watched = counts.iter().filter(|(_, count)| count.viewers > 0);
        watched.map(|(stream, count)| (stream.clone(), count.viewers)).collect()
    }

    /// Replaces the viewer counts of another edge; `viewers` holds all streams that are watched
    /// there.
    pub(crate) fn set_remote_viewers(&self, edge: &str, viewers: BTreeMap<StreamId, usize>) {
        let mut remote_edges = self.remote_edges.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = match viewers.is_empty() {
            true => remote_edges.remove(edge),
            false => {
                let now = Instant::now();
                let remote_edge =
                    RemoteViewerCounts { viewers_by_stream: viewers.clone(), updated_at: now };
                remote_edges.insert(edge.to_owned(), remote_edge)
            }
        };
        let previously_watched = previous.map(|edge| edge.viewers_by_stream).unwrap_or_default();
        if viewers.keys().any(|stream| !previously_watched.contains_key(stream)) {
            self.notify.notify_one();
        }
    }

    /// Takes the reports queued since the last call.
    pub fn take_queued_reports(&self) -> Vec<QueuedReport> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.drain(..).collect()
    }

    /// As [`take_queued_reports`](Self::take_queued_reports), without their times.
    pub fn take_reports(&self) -> Vec<UpstreamReport> {
        self.take_queued_reports().into_iter().map(|queued| queued.report).collect()
    }

    /// Waits until a stream gets its first viewers or a report is queued.
    pub async fn wait_for_feedback(&self) {
        self.notify.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn viewer_counts_expire_unless_renewed() {
        let (feedback, stream) =
            (EdgeFeedback::default(), StreamId::of_feed("World feed").unwrap());
        feedback.set_local_viewers(&stream, 2);
        feedback.wait_for_feedback().await;
        for (seconds, expected) in [(0, Some(2)), (29, Some(2)), (2, None)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(
                feedback.viewers_by_stream().get(&stream).copied(),
                expected,
                "after {seconds} s more"
            );
        }
        feedback.set_local_viewers(&stream, 1);
        feedback.set_local_viewers(&stream, 0);
        assert!(feedback.viewers_by_stream().is_empty(), "the last viewer left");
    }

    #[tokio::test(start_paused = true)]
    async fn edges_add_up_and_expire_one_by_one() {
        let (feedback, stream) =
            (EdgeFeedback::default(), StreamId::of_feed("World feed").unwrap());
        let counts = |viewers| BTreeMap::from([(stream.clone(), viewers)]);
        feedback.set_local_viewers(&stream, 1);
        feedback.set_remote_viewers("a", counts(2));
        feedback.wait_for_feedback().await;
        tokio::time::advance(Duration::from_secs(20)).await;
        feedback.set_remote_viewers("b", counts(4));
        assert_eq!(
            (feedback.viewers_by_stream(), feedback.local_viewers_by_stream()),
            (counts(7), counts(1))
        );
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(feedback.viewers_by_stream(), counts(4));
        feedback.set_remote_viewers("b", BTreeMap::new());
        assert!(feedback.viewers_by_stream().is_empty());
    }

    /// Edges and control planes of two versions exchange reports while they are upgraded.
    #[test]
    fn reports_of_another_version_are_read() {
        let report = UpstreamReport {
            stream: StreamId::of_feed("f").unwrap(),
            source: "s".into(),
            generation: 1,
            what: Observation::Failed { status: None },
        };
        let old = serde_json::to_string(&report).unwrap();
        let read: QueuedReport = serde_json::from_str(&old).unwrap();
        assert_eq!((&read.report, read.age()), (&report, None));
        let new = QueuedReport { report: report.clone(), queued_at: i64::MAX };
        let new = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<UpstreamReport>(&new).unwrap(), report);
        let read: QueuedReport = serde_json::from_str(&new).unwrap();
        assert_eq!(read.age(), Some(Duration::ZERO), "a clock that is ahead");
    }

    #[test]
    fn the_report_queue_is_limited() {
        let feedback = EdgeFeedback::default();
        for generation in 0..2000 {
            feedback.push_report(UpstreamReport {
                stream: StreamId::of_feed("f").unwrap(),
                source: "s".into(),
                generation,
                what: Observation::Failed { status: Some(403) },
            });
        }
        let reports = feedback.take_reports();
        assert_eq!((reports.len(), reports[0].generation), (1024, 976));
        assert!(feedback.take_reports().is_empty());
    }
}
