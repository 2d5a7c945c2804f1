//! What an operator may want: a run, a switch, the trace of the last run.

use std::time::Duration;

use pitwall_upstream_map::{Health, StoreError, StreamId};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::order::Playing;
use super::trace::Trace;
use super::{Engine, Key};

/// Answered by the queue between two other things; nothing here waits for an upstream, and for the
/// store only a switch does.
pub(crate) enum Command {
    Run { extractor: String, reply: Reply<RunStarted> },
    Switch { stream: String, wish: Wish, asked: Instant, reply: Reply<Switched> },
    Trace { extractor: String, reply: Reply<Trace> },
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refused>>;

/// Which source is to play.
pub(crate) struct Wish {
    /// `None`: the next best one.
    pub(crate) source: Option<String>,
    /// Until it is down; else ranking goes on from there.
    pub(crate) pin: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoExtractor,
    NoStream,
    /// The stream has no upstream of that source.
    NoUpstream,
    /// It cannot play now.
    Down,
    /// No run has ended yet.
    NoTrace,
    /// The store did not take it, and why. Nothing was changed.
    NotStored(String),
    /// Another control plane leads by now.
    NotLeading,
    /// What plays by the last map is still being found.
    TakingOver,
    /// The queue came to it too late. Nothing was changed.
    Busy,
}

/// Whoever asked waits a little longer than this and the time that the store is given.
const LATEST: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RunStarted {
    pub(crate) extractor: String,
    /// It ran already when it was asked for.
    pub(crate) already_running: bool,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Switched {
    pub(crate) stream: StreamId,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
    pub(crate) pinned: bool,
}

impl Engine {
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Run { extractor, reply } => {
                answer(reply, || self.run_now(&extractor));
            }
            Command::Switch { stream, wish, asked, reply } => {
                // Whoever asked and left was told that it failed, or tells nobody what came of it.
                if !reply.is_closed() {
                    let switched = self.switch(&stream, &wish, asked).await;
                    drop(reply.send(switched));
                }
            }
            Command::Trace { extractor, reply } => {
                answer(reply, || self.trace(&extractor));
            }
        }
    }

    fn run_now(&mut self, extractor: &str) -> Result<RunStarted, Refused> {
        let mut states = self.sources.iter_mut();
        let state = states.find(|state| state.source.name == extractor);
        let state = state.ok_or(Refused::NoExtractor)?;
        state.run_now();
        Ok(RunStarted { extractor: extractor.to_owned(), already_running: state.running })
    }

    fn trace(&self, extractor: &str) -> Result<Trace, Refused> {
        let mut states = self.sources.iter();
        let state = states.find(|state| state.source.name == extractor);
        state.ok_or(Refused::NoExtractor)?.trace.clone().ok_or(Refused::NoTrace)
    }

    async fn switch(
        &mut self,
        stream: &str,
        wish: &Wish,
        asked: Instant,
    ) -> Result<Switched, Refused> {
        if asked.elapsed() > LATEST {
            return Err(Refused::Busy);
        }
        // A map of what was found so far would take away the rest.
        if self.is_finding_its_feet() {
            return Err(Refused::TakingOver);
        }
        let (switched, word) = self.choose(stream, wish)?;
        let mut published = self.publish(Some(word.clone())).await;
        // Somebody else's version, which the next attempt goes past.
        if matches!(published, Err(StoreError::Outdated { .. })) && asked.elapsed() <= LATEST {
            published = self.publish(Some(word)).await;
        }
        let Switched { from, to, pinned, .. } = &switched;
        match published {
            Ok(()) => {}
            Err(StoreError::NotLeading) => return Err(Refused::NotLeading),
            Err(StoreError::Unreachable(error)) => {
                tracing::warn!(stream, to, error, "not switched: the store did not take it");
                return Err(Refused::NotStored(error));
            }
            Err(error) => {
                tracing::warn!(stream, to, %error, "not switched");
                return Err(Refused::Busy);
            }
        }
        tracing::info!(stream, from, to, pinned, "switched by an operator");
        // A store that dies together with this process may have forgotten it.
        self.remember_now().await;
        Ok(switched)
    }

    fn choose(&self, stream: &str, wish: &Wish) -> Result<(Switched, Playing), Refused> {
        let ranked = self.ranked();
        let (id, ranking) = ranked.get_key_value(stream).ok_or(Refused::NoStream)?;
        let playing = ranking.active().map(|place| place.key);
        let wanted = ranking.places.iter().filter(|place| match &wish.source {
            Some(source) => place.source.name == *source,
            None => Some(place.key) != playing,
        });
        let mut wanted = wanted.peekable();
        wanted.peek().ok_or(Refused::NoUpstream)?;
        let chosen = wanted.find(|place| place.health != Health::Down).ok_or(Refused::Down)?;
        let name = |key: &Key| self.sources.get(key.source).map(|one| one.source.name.clone());
        let switched = Switched {
            stream: id.clone(),
            from: playing.and_then(name),
            to: chosen.source.name.clone(),
            pinned: wish.pin,
        };
        let (key, since) = (chosen.key.clone(), Instant::now());
        let settled_at = self.playing.get(stream).map_or(since, |playing| playing.settled_at);
        // It is switched by the map that says so.
        Ok((switched, Playing { key, since, settled_at, pinned: wish.pin, switched: 0 }))
    }
}

/// Whoever asked and left needs no answer, and nothing done.
fn answer<T>(reply: Reply<T>, command: impl FnOnce() -> Result<T, Refused>) {
    if !reply.is_closed() {
        drop(reply.send(command()));
    }
}
