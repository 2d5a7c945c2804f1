//! Feedback over Redis: edges write viewers and reports, and the leader reads them into its own
//! [`EdgeFeedback`].
//!
//! Each edge writes its viewers under a key of its own, which expires. Reports are queued in one
//! list of limited length.
//!
//! [`EdgeFeedback`]: crate::EdgeFeedback

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep};

use super::StoreError;
use super::redis::RedisStore;
use crate::feedback::{QueuedReport, VIEWER_COUNT_TTL};
use crate::stream::StreamId;

/// How often the leader reads feedback, and how often an edge writes it at most.
const FEEDBACK_SYNC_INTERVAL: Duration = Duration::from_millis(500);
/// Interval after which unchanged viewers are written again, before the key expires.
const VIEWERS_RESEND_INTERVAL: Duration = Duration::from_secs(5);
const STORED_REPORTS_MAX: isize = 1024;
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Age after which an edge leaves the set of edges: a day, because clocks may differ and the set
/// only lists keys to look up.
const EDGE_EXPIRY_MS: i64 = 24 * 60 * 60 * 1000;

type ViewersByStream = BTreeMap<StreamId, usize>;

/// Viewers as last written by this edge.
struct SentViewers {
    viewers: ViewersByStream,
    sent_at: Instant,
}

impl RedisStore {
    pub(super) async fn run_feedback_sync(&self) -> Infallible {
        let mut connection = None;
        let mut sent = None;
        loop {
            sleep(FEEDBACK_SYNC_INTERVAL).await;
            if let Err(error) = self.sync_feedback(&mut connection, &mut sent).await {
                tracing::debug!(%error, "feedback cannot be exchanged with the store");
                connection = None;
                sent = None;
                sleep(RETRY_DELAY).await;
            }
        }
    }

    async fn sync_feedback(
        &self,
        connection_slot: &mut Option<MultiplexedConnection>,
        sent: &mut Option<SentViewers>,
    ) -> Result<(), StoreError> {
        let connection = match connection_slot {
            Some(connection) => connection,
            None => connection_slot.insert(self.connector.connect().await?),
        };
        if self.current_map.fence.borrow().is_some() {
            // The leader's own feedback is already in its `EdgeFeedback`.
            *sent = None;
            return self.collect_feedback(connection).await;
        }
        let viewers = self.current_map.feedback.local_viewers_by_stream();
        let is_unchanged = match sent {
            Some(sent) => {
                sent.viewers == viewers
                    && (sent.sent_at.elapsed() < VIEWERS_RESEND_INTERVAL || viewers.is_empty())
            }
            None => viewers.is_empty(),
        };
        if !is_unchanged {
            self.send_viewers(connection, &viewers).await?;
            *sent = Some(SentViewers { viewers, sent_at: Instant::now() });
        }
        self.send_reports(connection).await
    }

    async fn send_viewers(
        &self,
        connection: &mut MultiplexedConnection,
        viewers: &ViewersByStream,
    ) -> Result<(), StoreError> {
        let key = self.keys.viewers_key(&self.process_id);
        let sealed = self.cipher.seal(&self.process_id, &serde_json::to_vec(viewers)?);
        let ttl = u64::try_from(VIEWER_COUNT_TTL.as_millis()).unwrap_or(u64::MAX);
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SET").arg(&key).arg(sealed).arg("PX").arg(ttl).ignore();
        pipe.cmd("ZADD").arg(&self.keys.edges).arg(now_ms()).arg(&self.process_id).ignore();
        let () = pipe.query_async(connection).await?;
        Ok(())
    }

    async fn send_reports(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
        let reports = self.current_map.feedback.take_queued_reports();
        if reports.is_empty() {
            return Ok(());
        }
        let sealed = self.cipher.seal("report", &serde_json::to_vec(&reports)?);
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("LPUSH").arg(&self.keys.reports).arg(sealed).ignore();
        pipe.cmd("LTRIM").arg(&self.keys.reports).arg(0).arg(STORED_REPORTS_MAX - 1).ignore();
        let () = pipe.query_async(connection).await?;
        Ok(())
    }

    async fn collect_feedback(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), StoreError> {
        let oldest = now_ms().saturating_sub(EDGE_EXPIRY_MS);
        let mut pipe = redis::pipe();
        pipe.cmd("ZREMRANGEBYSCORE").arg(&self.keys.edges).arg("-inf").arg(oldest).ignore();
        pipe.cmd("ZRANGE").arg(&self.keys.edges).arg(0).arg(-1);
        pipe.cmd("RPOP").arg(&self.keys.reports).arg(STORED_REPORTS_MAX);
        let (mut edges, reports): (Vec<String>, Option<Vec<Vec<u8>>>) =
            pipe.query_async(connection).await?;
        edges.retain(|edge| *edge != self.process_id);
        let mut viewers_by_edge = Vec::new();
        if !edges.is_empty() {
            let keys = edges.iter().map(|edge| self.keys.viewers_key(edge)).collect::<Vec<_>>();
            let mut command = redis::cmd("MGET");
            command.arg(keys);
            viewers_by_edge = command.query_async::<Vec<Option<Vec<u8>>>>(connection).await?;
        }
        for (edge, sealed) in edges.iter().zip(viewers_by_edge) {
            let opened = sealed.as_ref().and_then(|sealed| self.cipher.open(edge, sealed));
            if sealed.is_some() && opened.is_none() {
                self.warn_of_foreign_seal_key("what an edge says of its viewers is");
            }
            let viewers: Option<ViewersByStream> =
                opened.and_then(|entry| serde_json::from_slice(&entry.plaintext).ok());
            self.current_map.feedback.set_remote_viewers(edge, viewers.unwrap_or_default());
        }
        for sealed in reports.into_iter().flatten() {
            let opened = self.cipher.open("report", &sealed);
            let reports: Option<Vec<QueuedReport>> =
                opened.and_then(|entry| serde_json::from_slice(&entry.plaintext).ok());
            reports
                .into_iter()
                .flatten()
                .for_each(|report| self.current_map.feedback.queue_remote_report(report));
        }
        Ok(())
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
