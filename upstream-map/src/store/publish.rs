//! Writing a map: what changed of it, or all of it when what is stored is not what was last seen.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::StoreError;
use super::entries::{self, Entries};
use super::mirror::{Delta, HEAD, Head, Mirror};
use super::redis::RedisStore;
use super::script::{self, How, Outcome, Publication};
use crate::map::UpstreamMap;

/// Told to every reader with each publication.
#[derive(Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) version: u64,
    /// What was stored before, and what of it is different now. `None`: everything.
    pub(super) delta: Option<Changes>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Changes {
    pub(super) from: u64,
    pub(super) fields: Vec<String>,
}

/// An answer to what was written just before its deadline is on its way for so long at most.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

impl RedisStore {
    /// A Redis that stands still executes what it was sent when it goes on, which may be after
    /// whoever wanted it was told that it failed. The script therefore looks at a deadline, by the
    /// clock of Redis, which is asked for first. What remains is an answer that is lost on its way
    /// back: then the next map takes back what this one said.
    pub(super) async fn write_within(
        &self,
        map: UpstreamMap,
        limit: Duration,
    ) -> Result<(), StoreError> {
        let written = timeout(limit + ON_ITS_WAY, self.write(map, Some(Instant::now() + limit)));
        written.await.unwrap_or_else(|_| Err(too_late()))
    }

    /// `until`: when it is not wanted any more.
    pub(super) async fn write(
        &self,
        map: UpstreamMap,
        until: Option<Instant>,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let (last, mirror) = self.snapshot();
        if map.version <= last.version {
            return Err(StoreError::Outdated { offered: map.version, current: last.version });
        }
        let entries = entries::write(&map)?;
        let deadline = match until {
            Some(until) => Some(self.deadline(until, &mut writer).await?),
            None => None,
        };
        let mut connection = self.connection(&mut writer).await?;
        let written = async {
            let mut to = Target { deadline, connection: &mut connection };
            if !mirror.head.is_empty() {
                let delta = mirror.delta(&entries);
                let from = Some(last.version);
                let how = How::Delta(&mirror.head);
                match self.send(&map, &entries, &delta, how, from, &mut to).await? {
                    Some(mirror) => return Ok(mirror),
                    None => tracing::warn!("the store holds another map: everything is written"),
                }
            }
            let delta = Delta::whole(&entries);
            let sent = self.send(&map, &entries, &delta, How::Whole, None, &mut to).await?;
            sent.ok_or_else(|| StoreError::Unreachable("it refused a whole map".to_owned()))
        };
        let mirror = self.checked(written.await, &mut writer)?;
        // Somebody else's may be newer by now, which is none of this one's business.
        let _ = self.install(map, mirror);
        Ok(())
    }

    /// Writes the map that is held once more: it was lost, or damaged, over there.
    pub(super) async fn write_again(&self, how: How<'_>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let map = self.held.map();
        let entries = entries::write(&map)?;
        let mut connection = self.connection(&mut writer).await?;
        let delta = Delta::whole(&entries);
        let mut to = Target { deadline: None, connection: &mut connection };
        let sent = self.send(&map, &entries, &delta, how, None, &mut to).await;
        let mirror = self.checked(sent, &mut writer)?;
        if let Some(mirror) = mirror {
            tracing::info!(version = map.version, "the map is written again");
            let _ = self.install(UpstreamMap::clone(&map), mirror);
        }
        Ok(())
    }

    /// The head that is stored, and whether it is the one that is known.
    pub(super) async fn is_stored(&self) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.connection(&mut writer).await?;
        let asked = redis::cmd("HGET").arg(&self.names.map).arg(HEAD).to_owned();
        let head: Result<Option<Vec<u8>>, _> = asked.query_async(&mut connection).await;
        let head = self.checked(head.map_err(StoreError::from), &mut writer)?;
        Ok(head.is_some_and(|head| head == self.mirror().head))
    }

    /// `None`: a delta, but not to what is stored.
    async fn send(
        &self,
        map: &UpstreamMap,
        entries: &Entries,
        delta: &Delta<'_>,
        how: How<'_>,
        from: Option<u64>,
        to: &mut Target<'_>,
    ) -> Result<Option<Mirror>, StoreError> {
        let fence = self.held.fence.borrow().ok_or(StoreError::NotLeading)?;
        let mut mirror = Mirror::of(entries);
        let head: Head = mirror.head(map.version);
        mirror.head = self.vault.seal(HEAD, &serde_json::to_vec(&head)?);
        let changes = |from| {
            let fields = delta.fields().into_iter().map(str::to_owned).collect();
            Changes { from, fields }
        };
        let notice = Notice { version: map.version, delta: from.map(changes) };
        let sealed = delta.set.iter().map(|(field, plain)| self.vault.seal(field, plain));
        let publication = Publication {
            how,
            version: map.version,
            fence,
            delta,
            sealed: sealed.collect(),
            head: &mirror.head,
            notice: serde_json::to_vec(&notice)?,
            deadline: to.deadline,
        };
        match publication.run(&self.names, to.connection).await? {
            Outcome::Written => {
                let kind = if from.is_some() { "delta" } else { "whole" };
                self.metrics.publications.with_label_values(&[kind]).inc();
                Ok(Some(mirror))
            }
            Outcome::Elsewhere => Ok(None),
            Outcome::Late => Err(too_late()),
            Outcome::Outdated(current) => {
                Err(StoreError::Outdated { offered: map.version, current })
            }
            Outcome::Fenced => {
                self.step_down("another control plane has a higher fence");
                Err(StoreError::NotLeading)
            }
        }
    }

    /// The clock of Redis at `until`. A connection that has died since it was last used is no
    /// reason to fail: nothing was sent on it yet.
    async fn deadline(
        &self,
        until: Instant,
        writer: &mut Option<MultiplexedConnection>,
    ) -> Result<u64, StoreError> {
        let kept = writer.is_some();
        let mut now = script::now(&mut self.connection(writer).await?).await;
        if now.is_err() && kept {
            *writer = None;
            now = script::now(&mut self.connection(writer).await?).await;
        }
        let now = self.checked(now, writer)?;
        let left = until.checked_duration_since(Instant::now()).ok_or_else(too_late)?;
        Ok(now + u64::try_from(left.as_millis()).unwrap_or(0))
    }

    pub(super) async fn connection(
        &self,
        writer: &mut Option<MultiplexedConnection>,
    ) -> Result<MultiplexedConnection, StoreError> {
        if let Some(connection) = writer {
            return Ok(connection.clone());
        }
        Ok(writer.insert(self.link.connect().await?).clone())
    }

    /// A connection that failed once is not used again.
    pub(super) fn checked<T>(
        &self,
        outcome: Result<T, StoreError>,
        writer: &mut Option<MultiplexedConnection>,
    ) -> Result<T, StoreError> {
        if matches!(outcome, Err(StoreError::Unreachable(_))) {
            *writer = None;
        }
        outcome
    }
}

/// Where a map is sent, and until when it is wanted there.
struct Target<'a> {
    deadline: Option<u64>,
    connection: &'a mut MultiplexedConnection,
}

fn too_late() -> StoreError {
    StoreError::Unreachable("no answer in time".to_owned())
}
