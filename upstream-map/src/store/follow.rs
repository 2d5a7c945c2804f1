//! Reading: what changed as soon as it is told, everything after each reconnect, and a look now
//! and then whether something was not told.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::StoreError;
use super::link::Notices;
use super::mirror::HEAD;
use super::publish::Notice;
use super::read::Session;
use super::redis::RedisStore;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Disks are slow and maps come often; it is for a start without Redis, where the last seconds are
/// no matter.
const SAVE_EVERY: Duration = Duration::from_secs(5);

impl RedisStore {
    /// Keeps the map that is held the newest there is, in memory and on disk, and carries demand,
    /// until `stop` completes. Redis may come and go meanwhile.
    pub async fn follow(self: Arc<Self>, stop: impl Future<Output = ()> + Send) {
        let everything = async {
            let kept = async { tokio::join!(self.keep(), self.keep_splices()) };
            tokio::join!(self.keep_reading(), kept, self.carry(), self.keep_speaking())
        };
        tokio::select! {
            _ = everything => {}
            () = stop => {}
        }
        self.save().await;
        self.ledger_file.write(&self.ledger).await;
    }

    async fn keep_reading(&self) -> Infallible {
        let mut pause = FIRST_PAUSE;
        let mut complained = false;
        loop {
            let began = Instant::now();
            let Err(error) = self.session(&mut complained).await;
            self.metrics.connected.set(0);
            if !complained {
                tracing::warn!(%error, "the store is gone: the last good map is served");
                complained = true;
            }
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            // Edges that lost the same Redis do not all come back at once.
            sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn session(&self, complained: &mut bool) -> Result<Infallible, StoreError> {
        // Subscribed before it is read, so that nothing happens in between.
        let (connection, mut notices) = self.link.subscribe(&self.names.news).await?;
        let mut session = Session { connection, refused: None };
        self.read_whole(&mut session).await?;
        if std::mem::take(complained) {
            tracing::info!(version = self.held.version(), "the store is back");
        }
        self.metrics.connected.set(1);
        let mut checks = interval(self.check_every);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                notice = notices.next() => {
                    let notice = notice.ok_or_else(closed)?;
                    self.heed(&mut session, &notice, &mut notices).await?;
                }
                _ = checks.tick() => self.check(&mut session).await?,
            }
        }
    }

    /// All notices that are there, as long as each follows on from the one before.
    async fn heed(
        &self,
        session: &mut Session,
        first: &[u8],
        notices: &mut Notices,
    ) -> Result<(), StoreError> {
        let (held, mirror) = self.snapshot();
        let mut version = held.version;
        let mut fields = Vec::new();
        let mut whole = mirror.head.is_empty();
        let mut next = Some(first.to_vec());
        while let Some(bytes) = next {
            match serde_json::from_slice::<Notice>(&bytes) {
                Ok(Notice { delta: Some(_), version: told }) if told <= version => {}
                Ok(Notice { delta: Some(delta), version: told }) if delta.from == version => {
                    version = told;
                    fields.extend(delta.fields);
                }
                _ => whole = true,
            }
            next = notices.ready();
        }
        if whole {
            session.refused = None;
            return self.read_whole(session).await;
        }
        if fields.is_empty() && version == held.version {
            return Ok(());
        }
        if self.read_fields(session, &held, mirror, &fields).await? {
            return Ok(());
        }
        self.read_whole(session).await
    }

    /// Was something not told?
    async fn check(&self, session: &mut Session) -> Result<(), StoreError> {
        let mut command = redis::cmd("HGET");
        command.arg(&self.names.map).arg(HEAD);
        let head: Option<Vec<u8>> = command.query_async(&mut session.connection).await?;
        let head = head.unwrap_or_default();
        if !head.is_empty() && self.mirror().head == head {
            session.refused = None;
            self.heard();
            return Ok(());
        }
        if session.refused.as_ref() == Some(&head) {
            return Ok(());
        }
        self.read_whole(session).await
    }

    async fn keep(self: &Arc<Self>) -> Infallible {
        let mut changes = self.held.changes();
        loop {
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
            self.save().await;
            sleep(SAVE_EVERY).await;
        }
    }

    async fn keep_splices(self: &Arc<Self>) -> Infallible {
        loop {
            self.ledger_file.wanted().await;
            self.ledger_file.write(&self.ledger).await;
        }
    }

    async fn save(&self) {
        self.disk.keep_map(self.held.map(), &self.vault).await;
    }
}

fn closed() -> StoreError {
    StoreError::Unreachable("the connection is closed".to_owned())
}
