//! The reader's loop: deltas as notices arrive, the full map after each reconnect, and regular
//! checks for missed notices.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::StoreError;
use super::baseline::DIGEST_FIELD;
use super::disk_snapshot;
use super::map_reader::MapReadState;
use super::map_writer::ChangeNotice;
use super::redis::RedisStore;
use super::redis_connector::NoticeStream;

const RECONNECT_BACKOFF_MIN: Duration = Duration::from_millis(100);
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Minimum interval between saved maps: disks are slow and maps change often, and the saved map
/// only serves a start without Redis, where the last seconds do not matter.
const SNAPSHOT_SAVE_INTERVAL: Duration = Duration::from_secs(5);

impl RedisStore {
    /// Keeps the current map up to date in memory and on disk, and exchanges feedback, until `stop`
    /// completes. Redis may come and go meanwhile.
    pub async fn run_sync(self: Arc<Self>, stop: impl Future<Output = ()> + Send) {
        let all_tasks = async {
            let savers = async {
                tokio::join!(
                    self.run_map_saver(),
                    self.run_registry_saver(),
                    self.registry_file.run_journal()
                )
            };
            tokio::join!(
                self.run_reader(),
                savers,
                self.run_feedback_sync(),
                self.run_registry_connection()
            )
        };
        tokio::select! {
            _ = all_tasks => {}
            () = stop => {}
        }
        self.save_map().await;
        self.registry_file.write(&self.splice_registry).await;
    }

    async fn run_reader(&self) -> Infallible {
        let mut backoff = RECONNECT_BACKOFF_MIN;
        let mut has_warned = false;
        loop {
            let started_at = Instant::now();
            let Err(error) = self.read_until_disconnected(&mut has_warned).await;
            self.metrics.connected.set(0);
            if !has_warned {
                tracing::warn!(%error, "the connection to the store is lost: the last good map is served; check the Redis server");
                has_warned = true;
            }
            if started_at.elapsed() > RECONNECT_BACKOFF_MAX {
                backoff = RECONNECT_BACKOFF_MIN;
            }
            // Random jitter, so that edges that lost the same Redis do not all reconnect at once.
            sleep(backoff.mul_f64(0.5 + rand::random::<f64>())).await;
            backoff = (backoff * 2).min(RECONNECT_BACKOFF_MAX);
        }
    }

    async fn read_until_disconnected(
        &self,
        has_warned: &mut bool,
    ) -> Result<Infallible, StoreError> {
        // Subscribes before reading, so that no change in between is missed.
        let (connection, mut notices) =
            self.connector.subscribe(&self.keys.changes_channel).await?;
        let mut session = MapReadState { connection, rejected_digest: None };
        self.read_full(&mut session).await?;
        if std::mem::take(has_warned) {
            tracing::info!(version = self.current_map.version(), "the store can be reached again");
        }
        self.metrics.connected.set(1);
        let mut checks = interval(self.check_interval);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                notice = notices.next() => {
                    let notice = notice.ok_or_else(connection_closed_error)?;
                    self.apply_notices(&mut session, &notice, &mut notices).await?;
                }
                _ = checks.tick() => self.check_for_missed_notice(&mut session).await?,
            }
        }
    }

    /// Applies the first notice and all that have arrived since, as long as each continues the one
    /// before; else reads the full map.
    async fn apply_notices(
        &self,
        session: &mut MapReadState,
        first: &[u8],
        notices: &mut NoticeStream,
    ) -> Result<(), StoreError> {
        let (map, baseline) = self.map_and_baseline();
        let mut version = map.version;
        let mut fields = Vec::new();
        let mut needs_full_read = baseline.sealed_digest.is_empty();
        let mut next = Some(first.to_vec());
        while let Some(bytes) = next {
            match serde_json::from_slice::<ChangeNotice>(&bytes) {
                Ok(ChangeNotice { delta: Some(_), version: notice_version })
                    if notice_version <= version => {}
                Ok(ChangeNotice { delta: Some(delta), version: notice_version })
                    if delta.from == version =>
                {
                    version = notice_version;
                    fields.extend(delta.fields);
                }
                _ => needs_full_read = true,
            }
            next = notices.try_next();
        }
        if needs_full_read {
            session.rejected_digest = None;
            return self.read_full(session).await;
        }
        if fields.is_empty() && version == map.version {
            return Ok(());
        }
        if self.read_delta(session, &map, baseline, &fields).await? {
            return Ok(());
        }
        self.read_full(session).await
    }

    /// Reads the full map if the stored digest is not the known one, because a notice was missed.
    async fn check_for_missed_notice(&self, session: &mut MapReadState) -> Result<(), StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(&self.keys.map).arg(DIGEST_FIELD);
        let digest: Option<Vec<u8>> = command.query_async(&mut session.connection).await?;
        let digest = digest.unwrap_or_default();
        if !digest.is_empty() && self.lock_baseline().sealed_digest == digest {
            session.rejected_digest = None;
            self.mark_synced();
            return Ok(());
        }
        if session.rejected_digest.as_ref() == Some(&digest) {
            return Ok(());
        }
        self.read_full(session).await
    }

    async fn run_map_saver(self: &Arc<Self>) -> Infallible {
        let mut changes = self.current_map.subscribe_versions();
        loop {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            let began_at = Instant::now();
            self.save_map().await;
            sleep(disk_snapshot::pause_after_save(SNAPSHOT_SAVE_INTERVAL, began_at.elapsed()))
                .await;
        }
    }

    async fn run_registry_saver(self: &Arc<Self>) -> Infallible {
        loop {
            self.registry_file.wait_for_write_request().await;
            self.registry_file.write(&self.splice_registry).await;
        }
    }

    pub(super) async fn save_map(&self) {
        self.disk_snapshot.save_map_or_warn(self.current_map.map(), &self.cipher).await;
    }
}

fn connection_closed_error() -> StoreError {
    StoreError::Unreachable("the connection is closed".to_owned())
}
