//! What edges agree on about splices ([`Ledger`]), over Redis. A viewer waits for it, so that it
//! has little time: when Redis is slow or gone, each edge decides by itself what must be decided,
//! from what was agreed before, and that comes to light when Redis is back.
//!
//! [`Ledger`]: super::ledger::Ledger

use std::convert::Infallible;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::StoreError;
use super::ledger::{Agreed, REMEMBERED, Word};
use super::redis::RedisStore;
use super::script::{self, Said, Written};
use crate::map::StreamId;

/// A good Redis needs a hundredth of this.
const PATIENCE: Duration = Duration::from_millis(150);
/// Between two looks whether one that was slow or gone is well again.
const PAUSE: Duration = Duration::from_secs(1);

/// The way to a Redis that answers. One viewer waits for one that does not; from then on nobody
/// asks until it was seen to answer in time.
pub(super) struct Speaker {
    connection: watch::Sender<Option<MultiplexedConnection>>,
    silent: watch::Sender<bool>,
}

impl Default for Speaker {
    fn default() -> Self {
        Self { connection: watch::Sender::new(None), silent: watch::Sender::new(false) }
    }
}

impl Speaker {
    async fn connection(&self) -> Option<MultiplexedConnection> {
        let mut connection = self.connection.subscribe();
        let there = connection.wait_for(Option::is_some).await;
        there.ok().and_then(|there| there.clone())
    }

    fn is_silent(&self) -> bool {
        *self.silent.borrow()
    }

    fn silence(&self) {
        self.silent.send_replace(true);
    }

    /// Looks after a connection until it is lost.
    async fn watch(&self, mut connection: MultiplexedConnection) {
        let mut lost = self.connection.subscribe();
        let mut silent = self.silent.subscribe();
        let care = async {
            loop {
                let ping = redis::cmd("PING");
                let answered = timeout(PATIENCE, ping.query_async::<()>(&mut connection)).await;
                match answered {
                    Ok(Ok(())) => {
                        self.silent.send_replace(false);
                        // The sender lives as long as this.
                        let _ = silent.wait_for(|silent| *silent).await;
                    }
                    Ok(Err(_)) => return,
                    Err(_) => self.silence(),
                }
                sleep(PAUSE.mul_f64(0.5 + rand::random::<f64>())).await;
            }
        };
        tokio::select! {
            () = care => {}
            _ = lost.wait_for(Option::is_none) => {}
        }
    }
}

impl RedisStore {
    /// Keeps a connection for it.
    pub(super) async fn keep_speaking(&self) -> Infallible {
        loop {
            match self.link.connect().await {
                Ok(connection) => {
                    self.speaker.connection.send_replace(Some(connection.clone()));
                    self.speaker.watch(connection).await;
                    self.speaker.connection.send_replace(None);
                }
                Err(error) => tracing::debug!(%error, "splices are not agreed on"),
            }
            sleep(PAUSE.mul_f64(0.5 + rand::random::<f64>())).await;
        }
    }

    pub(super) async fn agreed(&self, word: &Word) -> Agreed {
        if !self.speaker.is_silent() {
            let speak = self.ledger.agree_with(word, |word| self.say(word));
            match timeout(PATIENCE, speak).await {
                Ok(Ok((agreed, news))) => {
                    self.metrics.words.with_label_values(&["together"]).inc();
                    if news {
                        self.ledger_file.want();
                    }
                    return agreed;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a splice is not agreed on");
                    self.speaker.connection.send_replace(None);
                }
                Err(_) => {}
            }
            self.speaker.silence();
            self.metrics.words.with_label_values(&["late"]).inc();
        } else {
            self.metrics.words.with_label_values(&["alone"]).inc();
        }
        let agreed = self.ledger.agree_alone(word);
        self.ledger_file.cover(&word.stream, agreed.next, word.part.is_some()).await;
        agreed
    }

    async fn say(&self, word: Word) -> Result<Agreed, StoreError> {
        let gone = || StoreError::Unreachable("there is no connection".to_owned());
        let mut connection = self.speaker.connection().await.ok_or_else(gone)?;
        let field = |what| field(&word.stream, &word.rendition, what);
        let change = change_field(&word.stream);
        let seal = |field: &str, plain: &[u8]| match plain {
            [] => Vec::new(),
            plain => self.vault.seal(field, plain),
        };
        let change_before = match word.change.as_slice() {
            [] => Vec::new(),
            plain => self.vault.seal_as_before(&change, plain),
        };
        let said = Said {
            rendition: &word.rendition,
            generation: word.generation,
            next: word.next,
            newest: seal(&field("newest"), &word.newest),
            change: seal(&change, &word.change),
            change_before,
            part: word
                .part
                .as_ref()
                .map(|part| (part.published, seal(&field("part"), &part.record))),
            again: word.again,
            reserved: word.reserved,
            lives_ms: u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX),
        };
        let key = self.names.splice(word.stream.as_str());
        let Written { generation, change: sealed_change, part, next, newest, reserved } =
            script::agree(&key, &said, &mut connection).await?;
        let mut is_of_before = false;
        // What somebody else wrote there is as good as nothing.
        let mut open = |field: &str, sealed: Option<Vec<u8>>| {
            let sealed = sealed.filter(|sealed| !sealed.is_empty())?;
            let Some(opened) = self.vault.open(field, &sealed) else {
                self.meet_stranger("what another edge publishes is");
                return None;
            };
            is_of_before |= opened.previous;
            Some(opened.plain)
        };
        let agreed = Agreed {
            generation: generation.unwrap_or_default(),
            change: open(&change, sealed_change).unwrap_or_default(),
            part: open(&field("part"), part),
            next: next.unwrap_or_default(),
            newest: open(&field("newest"), newest).unwrap_or_default(),
            reserved: reserved.unwrap_or_default(),
            shared: true,
        };
        if is_of_before && let Err(error) = self.reseal(&word.stream, &mut connection).await {
            tracing::debug!(%error, "splices are still sealed with the key before");
        }
        Ok(agreed)
    }

    /// Seals with the current key what edges have agreed on about a stream: a splice is written
    /// once and may be read for days, also by edges that do not have the key before any more.
    async fn reseal(
        &self,
        stream: &StreamId,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), StoreError> {
        let key = self.names.splice(stream.as_str());
        let asked = redis::cmd("HGETALL").arg(&key).to_owned();
        let all: Vec<(String, Vec<u8>)> = asked.query_async(connection).await?;
        let of_before = all.into_iter().filter_map(|(name, sealed)| {
            let field = match name.split_once('/') {
                Some((what @ ("part" | "newest"), rendition)) => field(stream, rendition, what),
                None if name == "change" => change_field(stream),
                _ => return None,
            };
            let opened = self.vault.open(&field, &sealed).filter(|opened| opened.previous)?;
            let now = self.vault.seal(&field, &opened.plain);
            Some((name, sealed, now))
        });
        script::reseal(&key, of_before.collect(), connection).await
    }
}

/// As what the fields of a stream are sealed.
fn field(stream: &StreamId, rendition: impl std::fmt::Display, what: &str) -> String {
    format!("splice/{stream}/{rendition}/{what}")
}

fn change_field(stream: &StreamId) -> String {
    format!("splice/{stream}/change")
}
