//! What an operator may want: a run, a switch, the trace of the last run.

use pitwall_upstream_map::{Health, StreamId, UpstreamMap};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::order::Playing;
use super::trace::Trace;
use super::{Engine, Key};

/// Answered by the queue between two other things; nothing here waits for an upstream.
pub(crate) enum Command {
    Run { extractor: String, reply: Reply<RunStarted> },
    Switch { stream: String, wish: Wish, reply: Reply<Switched> },
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoExtractor,
    NoStream,
    /// The stream has no upstream of that source.
    NoUpstream,
    /// It cannot play now.
    Down,
    /// No run has ended yet.
    NoTrace,
}

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
    pub(super) fn obey(&mut self, command: Command) {
        // Whoever asked and left needs no answer.
        match command {
            Command::Run { extractor, reply } => drop(reply.send(self.run_now(&extractor))),
            Command::Switch { stream, wish, reply } => {
                drop(reply.send(self.switch(&stream, &wish)));
            }
            Command::Trace { extractor, reply } => drop(reply.send(self.trace(&extractor))),
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

    fn switch(&mut self, stream: &str, wish: &Wish) -> Result<Switched, Refused> {
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
        let (key, now) = (chosen.key.clone(), Instant::now());
        let settled_at = self.playing.get(stream).map_or(now, |playing| playing.settled_at);
        let last = self.version.max(self.store.current().version);
        let switched_with = UpstreamMap::next_version(last, self.clock.now());
        let playing =
            Playing { key, since: now, settled_at, pinned: wish.pin, switched: switched_with };
        self.memory.playing.remove(stream);
        self.playing.insert(switched.stream.clone(), playing);
        self.dirty = true;
        tracing::info!(stream, from = switched.from, to = switched.to, "switched by an operator");
        Ok(switched)
    }
}
