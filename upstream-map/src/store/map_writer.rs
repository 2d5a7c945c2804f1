//! Writing of maps: a delta, or the full map if the store does not hold the map that was last
//! known.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::StoreError;
use super::baseline::{Baseline, DIGEST_FIELD, MapDigest};
use super::entries::{self, Delta};
use super::record_compression::compress;
use super::redis::RedisStore;
use super::redis_scripts::{self, MapWrite, WriteMode, WriteOutcome};
use crate::map::UpstreamMap;

/// Notice that is published to every reader with each map.
#[derive(Serialize, Deserialize)]
pub(super) struct ChangeNotice {
    pub(super) version: u64,
    /// Previous version and changed fields; `None` if everything was written.
    pub(super) delta: Option<ChangedFields>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ChangedFields {
    pub(super) from: u64,
    pub(super) fields: Vec<String>,
}

/// Maximum transit time of the reply to a map that was written just before its deadline.
const REPLY_TRANSIT_TIMEOUT: Duration = Duration::from_millis(150);

impl RedisStore {
    /// Writes a map within `limit` or never. A Redis that hangs executes queued commands when it
    /// resumes, possibly after the caller was told that the write failed. The script therefore
    /// checks a deadline on the clock of Redis, which is read first. If only the reply is lost on
    /// its way back, the next map reverts what this one changed.
    pub(super) async fn write_map_within(
        &self,
        map: UpstreamMap,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let write = timeout(
            limit + REPLY_TRANSIT_TIMEOUT,
            self.write_map(map, Some(Instant::now() + limit)),
        );
        write.await.unwrap_or_else(|_| Err(reply_timeout_error()))
    }

    /// Writes a map unless `until` has passed.
    pub(super) async fn write_map(
        &self,
        map: UpstreamMap,
        until: Option<Instant>,
    ) -> Result<(), StoreError> {
        let mut writer_slot = self.writer_connection.lock().await;
        let (last, mut baseline) = self.map_and_baseline();
        if map.version <= last.version {
            return Err(StoreError::Outdated { offered: map.version, current: last.version });
        }
        let deadline = match until {
            Some(until) => Some(self.redis_deadline(until, &mut writer_slot).await?),
            None => None,
        };
        let mut connection = self.writer_connection(&mut writer_slot).await?;
        let write = async {
            let mut target = WriteTarget { deadline, connection: &mut connection };
            let stored_digest = std::mem::take(&mut baseline.sealed_digest);
            if !stored_digest.is_empty() {
                let mut delta = entries::encode_changes(&last, &map)?;
                for field in baseline.fields_with_previous_key() {
                    if let Some(entry) = entries::encode_entry(&map, field)? {
                        delta.changed.entry(field.to_owned()).or_insert(entry);
                    }
                }
                delta.removed.extend(baseline.unsupported_fields().map(str::to_owned));
                baseline.retain_unstored(&mut delta);
                baseline.apply(&delta);
                let (from, mode) = (Some(last.version), WriteMode::Delta(&stored_digest));
                match self.send_map(&map, baseline, delta, mode, from, &mut target).await? {
                    Some(baseline) => return Ok(baseline),
                    None => tracing::warn!(
                        "the store holds another map than this control plane last wrote: the full map is written"
                    ),
                }
            }
            let written = self.send_whole_map(&map, WriteMode::Full, &mut target).await?;
            written.ok_or_else(|| StoreError::Unreachable("it refused a whole map".to_owned()))
        };
        let baseline = self.discard_failed_connection(write.await, &mut writer_slot)?;
        // Another process may have published a newer map meanwhile, which then stays installed.
        let _ = self.install_map(map, baseline);
        Ok(())
    }

    /// Writes the current map again, after the store lost or damaged it.
    pub(super) async fn republish_map(&self, mode: WriteMode<'_>) -> Result<(), StoreError> {
        let mut writer_slot = self.writer_connection.lock().await;
        let map = self.current_map.map();
        let mut connection = self.writer_connection(&mut writer_slot).await?;
        let mut target = WriteTarget { deadline: None, connection: &mut connection };
        let result = self.send_whole_map(&map, mode, &mut target).await;
        let baseline = self.discard_failed_connection(result, &mut writer_slot)?;
        if let Some(baseline) = baseline {
            tracing::info!(
                version = map.version,
                "the leader has written the map to the store again"
            );
            let _ = self.install_map(UpstreamMap::clone(&map), baseline);
        }
        Ok(())
    }

    /// Whether the stored digest is that of the baseline.
    pub(super) async fn is_baseline_stored(&self) -> Result<bool, StoreError> {
        let mut writer_slot = self.writer_connection.lock().await;
        let mut connection = self.writer_connection(&mut writer_slot).await?;
        let command = redis::cmd("HGET").arg(&self.keys.map).arg(DIGEST_FIELD).to_owned();
        let digest: Result<Option<Vec<u8>>, _> = command.query_async(&mut connection).await;
        let digest =
            self.discard_failed_connection(digest.map_err(StoreError::from), &mut writer_slot)?;
        Ok(digest.is_some_and(|digest| digest == self.lock_baseline().sealed_digest))
    }

    async fn send_whole_map(
        &self,
        map: &UpstreamMap,
        mode: WriteMode<'_>,
        target: &mut WriteTarget<'_>,
    ) -> Result<Option<Baseline>, StoreError> {
        let entries = entries::encode_map(map)?;
        let baseline = Baseline::from_entries(&entries);
        let delta = Delta { changed: entries, removed: Vec::new() };
        self.send_map(map, baseline, delta, mode, None, target).await
    }

    /// Sends a map to the script and returns its `baseline`; `None` if a delta does not apply to
    /// the stored map.
    async fn send_map(
        &self,
        map: &UpstreamMap,
        mut baseline: Baseline,
        delta: Delta,
        mode: WriteMode<'_>,
        from: Option<u64>,
        target: &mut WriteTarget<'_>,
    ) -> Result<Option<Baseline>, StoreError> {
        let fence = self.current_map.fence.borrow().ok_or(StoreError::NotLeading)?;
        let digest: MapDigest = baseline.digest(map.version);
        baseline.sealed_digest = self.cipher.seal(DIGEST_FIELD, &serde_json::to_vec(&digest)?);
        let delta_fields = from.map(|from| ChangedFields { from, fields: delta.field_names() });
        let notice = ChangeNotice { version: map.version, delta: delta_fields };
        let sealed = delta.changed.iter();
        let sealed = sealed.map(|(field, plain)| self.cipher.seal(field, &compress(plain)));
        let publication = MapWrite {
            mode,
            version: map.version,
            fence,
            delta: &delta,
            sealed_entries: sealed.collect(),
            sealed_digest: &baseline.sealed_digest,
            notice: serde_json::to_vec(&notice)?,
            deadline: target.deadline,
        };
        match publication.execute(&self.keys, target.connection).await? {
            WriteOutcome::Written => {
                let kind = if from.is_some() { "delta" } else { "whole" };
                self.metrics.publications.with_label_values(&[kind]).inc();
                Ok(Some(baseline))
            }
            WriteOutcome::BaselineMismatch => Ok(None),
            WriteOutcome::DeadlineExceeded => Err(reply_timeout_error()),
            WriteOutcome::Outdated(current) => {
                Err(StoreError::Outdated { offered: map.version, current })
            }
            WriteOutcome::Fenced => {
                self.step_down("another control plane has a higher fence");
                Err(StoreError::NotLeading)
            }
        }
    }

    /// The time `until` on the clock of Redis, in Unix milliseconds. If a connection has died since
    /// its last use, the request is repeated on a new one, because nothing was written yet.
    async fn redis_deadline(
        &self,
        until: Instant,
        writer_slot: &mut Option<MultiplexedConnection>,
    ) -> Result<u64, StoreError> {
        let was_connected = writer_slot.is_some();
        let mut now =
            redis_scripts::redis_now_ms(&mut self.writer_connection(writer_slot).await?).await;
        if now.is_err() && was_connected {
            *writer_slot = None;
            now =
                redis_scripts::redis_now_ms(&mut self.writer_connection(writer_slot).await?).await;
        }
        let now = self.discard_failed_connection(now, writer_slot)?;
        let left = until.checked_duration_since(Instant::now()).ok_or_else(reply_timeout_error)?;
        Ok(now + u64::try_from(left.as_millis()).unwrap_or(0))
    }

    pub(super) async fn writer_connection(
        &self,
        writer_slot: &mut Option<MultiplexedConnection>,
    ) -> Result<MultiplexedConnection, StoreError> {
        if let Some(connection) = writer_slot {
            return Ok(connection.clone());
        }
        Ok(writer_slot.insert(self.connector.connect().await?).clone())
    }

    /// Drops the writer's connection after a failure, so that it is not reused.
    pub(super) fn discard_failed_connection<T>(
        &self,
        outcome: Result<T, StoreError>,
        writer_slot: &mut Option<MultiplexedConnection>,
    ) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Unreachable(_))) {
            *writer_slot = None;
        }
        outcome
    }
}

/// Connection and deadline of a write.
struct WriteTarget<'a> {
    deadline: Option<u64>,
    connection: &'a mut MultiplexedConnection,
}

fn reply_timeout_error() -> StoreError {
    StoreError::Unreachable("no answer in time".to_owned())
}
