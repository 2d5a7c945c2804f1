//! Demand: edges write who watches and what failed, the leader reads it into its own [`Demand`].
//!
//! Who watches is under a key of each edge's own that ends by itself. Reports wait in one list
//! that is kept short.
//!
//! [`Demand`]: crate::Demand

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep};

use super::StoreError;
use super::redis::RedisStore;
use crate::demand::{Report, WATCHED_FOR};
use crate::map::StreamId;

/// How soon the leader hears of it, and how often an edge speaks at most.
const EVERY: Duration = Duration::from_millis(500);
/// What is still so is said again.
const AGAIN: Duration = Duration::from_secs(5);
const MOST_REPORTS: isize = 1024;
const PAUSE: Duration = Duration::from_secs(1);
/// The list of edges is only where to look, by clocks that may differ: a day.
const FORGOTTEN_MS: i64 = 24 * 60 * 60 * 1000;

type Watched = BTreeMap<StreamId, usize>;

/// What this edge said last.
struct Said {
    watched: Watched,
    at: Instant,
}

impl RedisStore {
    pub(super) async fn carry(&self) -> Infallible {
        let mut connection = None;
        let mut said = None;
        loop {
            sleep(EVERY).await;
            if let Err(error) = self.carry_once(&mut connection, &mut said).await {
                tracing::debug!(%error, "demand is not carried");
                connection = None;
                said = None;
                sleep(PAUSE).await;
            }
        }
    }

    async fn carry_once(
        &self,
        slot: &mut Option<MultiplexedConnection>,
        said: &mut Option<Said>,
    ) -> Result<(), StoreError> {
        let connection = match slot {
            Some(connection) => connection,
            None => slot.insert(self.link.connect().await?),
        };
        if self.held.fence.borrow().is_some() {
            // What this process itself sees is in its own demand already.
            *said = None;
            return self.gather(connection).await;
        }
        let watched = self.held.demand.watched_here();
        let same = match said {
            Some(said) => {
                said.watched == watched && (said.at.elapsed() < AGAIN || watched.is_empty())
            }
            None => watched.is_empty(),
        };
        if !same {
            self.tell(connection, &watched).await?;
            *said = Some(Said { watched, at: Instant::now() });
        }
        self.pass_on(connection).await
    }

    async fn tell(
        &self,
        connection: &mut MultiplexedConnection,
        watched: &Watched,
    ) -> Result<(), StoreError> {
        let key = self.names.demand(&self.name);
        let sealed = self.vault.seal(&self.name, &serde_json::to_vec(watched)?);
        let ttl = u64::try_from(WATCHED_FOR.as_millis()).unwrap_or(u64::MAX);
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SET").arg(&key).arg(sealed).arg("PX").arg(ttl).ignore();
        pipe.cmd("ZADD").arg(&self.names.edges).arg(now_ms()).arg(&self.name).ignore();
        let () = pipe.query_async(connection).await?;
        Ok(())
    }

    async fn pass_on(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
        let reports = self.held.demand.take_reports();
        if reports.is_empty() {
            return Ok(());
        }
        let sealed = self.vault.seal("report", &serde_json::to_vec(&reports)?);
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("LPUSH").arg(&self.names.reports).arg(sealed).ignore();
        pipe.cmd("LTRIM").arg(&self.names.reports).arg(0).arg(MOST_REPORTS - 1).ignore();
        let () = pipe.query_async(connection).await?;
        Ok(())
    }

    async fn gather(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
        let oldest = now_ms().saturating_sub(FORGOTTEN_MS);
        let mut pipe = redis::pipe();
        pipe.cmd("ZREMRANGEBYSCORE").arg(&self.names.edges).arg("-inf").arg(oldest).ignore();
        pipe.cmd("ZRANGE").arg(&self.names.edges).arg(0).arg(-1);
        pipe.cmd("RPOP").arg(&self.names.reports).arg(MOST_REPORTS);
        let (mut edges, reports): (Vec<String>, Option<Vec<Vec<u8>>>) =
            pipe.query_async(connection).await?;
        edges.retain(|edge| *edge != self.name);
        let mut watched = Vec::new();
        if !edges.is_empty() {
            let keys = edges.iter().map(|edge| self.names.demand(edge)).collect::<Vec<_>>();
            let mut command = redis::cmd("MGET");
            command.arg(keys);
            watched = command.query_async::<Vec<Option<Vec<u8>>>>(connection).await?;
        }
        for (edge, sealed) in edges.iter().zip(watched) {
            let opened = sealed.as_ref().and_then(|sealed| self.vault.open(edge, sealed));
            if sealed.is_some() && opened.is_none() {
                self.meet_stranger("what an edge says of its viewers is");
            }
            let watched: Option<Watched> =
                opened.and_then(|it| serde_json::from_slice(&it.plain).ok());
            self.held.demand.watched_there(edge, watched.unwrap_or_default());
        }
        for sealed in reports.into_iter().flatten() {
            let opened = self.vault.open("report", &sealed);
            let reports: Option<Vec<Report>> =
                opened.and_then(|it| serde_json::from_slice(&it.plain).ok());
            reports.into_iter().flatten().for_each(|report| self.held.demand.report(report));
        }
        Ok(())
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
