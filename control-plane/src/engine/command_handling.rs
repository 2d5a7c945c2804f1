//! Carries out the commands of operators.

use std::sync::Arc;
use std::time::Duration;

use pitwall_upstream_map::{Health, MapReach, StoreError, Stream};
use tokio::time::Instant;

use super::Engine;
use crate::model::UpstreamKey;
use crate::model::command::{
    Command, CommandError, ReplySender, RunStarted, StreamViewerCount, SwitchRequest, SwitchResult,
    ViewerCounts,
};
use crate::model::ranking::ActiveUpstream;
use crate::model::run_trace::RunTrace;
use crate::model::source_state::source_index;

/// How long after it was requested a switch is in the store, or is refused: a store that hangs is as
/// one that is gone, and an operator is told so in less than a second.
pub(super) const SWITCH_TIMEOUT: Duration = Duration::from_millis(600);

/// A switch that is to be published.
pub(crate) struct WaitingSwitch {
    stream: String,
    request: SwitchRequest,
    requested_at: Instant,
    reply: ReplySender<SwitchResult>,
}

/// A switch whose map is on its way to the store.
pub(crate) struct SwitchInPublication {
    pub(super) waiting: WaitingSwitch,
    result: SwitchResult,
    active: ActiveUpstream,
    /// As in that map.
    stream: Arc<Stream>,
}

impl WaitingSwitch {
    pub(super) fn refuse(self, error: CommandError) {
        drop(self.reply.send(Err(error)));
    }

    /// How much of its time is left.
    pub(super) fn time_left(&self) -> Duration {
        SWITCH_TIMEOUT.saturating_sub(self.requested_at.elapsed())
    }
}

impl Engine {
    pub(super) fn apply_command(&mut self, command: Command) {
        match command {
            Command::Run { extractor, reply } => {
                reply_unless_closed(reply, || self.request_run(&extractor));
            }
            // It waits its turn to be published.
            Command::Switch { stream, request, requested_at, reply } => {
                let waiting = WaitingSwitch { stream, request, requested_at, reply };
                if self.is_warming_up() {
                    // During warm-up a map would lack the upstreams that are not found yet.
                    waiting.refuse(CommandError::TakingOver);
                } else {
                    self.publication.waiting_switches.push_back(waiting);
                }
            }
            Command::GetTrace { extractor, reply } => {
                reply_unless_closed(reply, || self.last_run_trace(&extractor));
            }
            Command::GetViewers { reply } => {
                reply_unless_closed(reply, || Ok(self.viewer_counts()));
            }
        }
    }

    fn request_run(&mut self, extractor: &str) -> Result<RunStarted, CommandError> {
        let index = source_index(&self.sources, extractor).ok_or(CommandError::NoExtractor)?;
        let state = self.sources.get_mut(index).ok_or(CommandError::NoExtractor)?;
        state.request_run();
        let already_running = state.is_running;
        self.schedule_run(index);
        Ok(RunStarted { extractor: extractor.to_owned(), already_running })
    }

    fn last_run_trace(&self, extractor: &str) -> Result<RunTrace, CommandError> {
        let index = source_index(&self.sources, extractor).ok_or(CommandError::NoExtractor)?;
        let state = self.sources.get(index).ok_or(CommandError::NoExtractor)?;
        state.last_trace.clone().ok_or(CommandError::NoTrace)
    }

    fn viewer_counts(&self) -> ViewerCounts {
        let counts = self.known_streams.iter().map(|(id, known)| {
            let active = self.active_upstreams.get(id).filter(|active| {
                let upstream = self.upstreams.get(&active.key);
                upstream.is_some_and(|upstream| upstream.health() != Health::Down)
            });
            let source = active.and_then(|active| self.sources.get(active.key.source));
            StreamViewerCount {
                stream: id.clone(),
                feed: known.feed.clone(),
                viewers: self.viewers.get(id).copied().unwrap_or(0),
                source: source.map(|state| state.source.name.clone()),
                pinned: active.is_some_and(|active| active.pinned),
                playing_seconds: active.map(|active| active.active_since.elapsed().as_secs()),
            }
        });
        let streams: Vec<StreamViewerCount> = counts.collect();
        ViewerCounts { viewers: streams.iter().map(|one| one.viewers).sum(), streams }
    }

    /// Begins to publish a map with the switch; `false` if it was answered without one.
    pub(super) fn begin_switch(&mut self, waiting: WaitingSwitch) -> bool {
        // A caller that has left was told that the switch failed, so the switch is not made.
        if waiting.reply.is_closed() {
            return false;
        }
        if waiting.time_left().is_zero() {
            waiting.refuse(CommandError::Busy);
            return false;
        }
        let (result, mut active) =
            match self.choose_switch_target(&waiting.stream, &waiting.request) {
                Ok(chosen) => chosen,
                Err(error) => {
                    waiting.refuse(error);
                    return false;
                }
            };
        let mut map = self.next_map();
        active.switch_version = map.version;
        let Some(Ok(stream)) = self.build_map_stream(&active.key.stream, Some(&active)) else {
            waiting.refuse(CommandError::Busy);
            return false;
        };
        let stream = Arc::new(stream);
        map.streams.insert(stream.id.clone(), stream.clone());
        self.begin_publication(map, Some(SwitchInPublication { waiting, result, active, stream }));
        true
    }

    /// Refuses the switches that wait behind a map which a store that hangs does not take: at once,
    /// if the store is known to take none.
    pub(super) fn refuse_overdue_switches(&mut self) {
        let publication = &mut self.publication;
        while publication.hang_deadline().is_some_and(|hangs_at| hangs_at <= Instant::now())
            && let Some(waiting) = publication.waiting_switches.front()
            && (publication.store_failure.is_some() || waiting.time_left().is_zero())
            && let Some(waiting) = publication.waiting_switches.pop_front()
        {
            let why =
                publication.store_failure.get_or_insert_with(|| "it does not answer".to_owned());
            waiting.refuse(CommandError::StoreUnavailable(why.clone()));
        }
    }

    /// Replies to a switch whose map the store has taken, or not.
    pub(super) fn conclude_switch(
        &mut self,
        switch: SwitchInPublication,
        published: Result<MapReach, StoreError>,
    ) {
        let SwitchInPublication { waiting, result, active, stream } = switch;
        let SwitchResult { from, to, pinned, .. } = &result;
        match published {
            Ok(reach) => {
                let what = match (from.as_ref() == Some(to), pinned) {
                    (false, _) => "an operator switched the stream",
                    (true, true) => "an operator pinned the stream to its source",
                    (true, false) => "an operator took the stream's pin away",
                };
                tracing::info!(stream = %stream.id, from, to, pinned, ?reach, "{what}");
                self.persisted.forget_active_upstream(&stream.id);
                self.publication.choices.remove(&stream.id);
                self.reviews.touch(&stream.id);
                self.active_upstreams.insert(stream.id.clone(), active);
                self.publication.draft.streams.insert(stream.id.clone(), stream);
                // Saved first, as a store that dies together with this process would lose the
                // switch.
                let result = SwitchResult { reach, ..result };
                self.save_history_then(move || drop(waiting.reply.send(Ok(result))));
            }
            // The next attempt uses a version above the one that another control plane published.
            Err(StoreError::Outdated { .. }) => {
                self.publication.waiting_switches.push_front(waiting);
            }
            Err(StoreError::NotLeading) => waiting.refuse(CommandError::NotLeading),
            Err(StoreError::Unreachable(error)) => {
                tracing::warn!(
                    stream = %stream.id,
                    to,
                    error,
                    "the stream was not switched: the store did not accept the map; check the store"
                );
                waiting.refuse(CommandError::StoreUnavailable(error));
            }
            Err(error) => {
                tracing::warn!(stream = %stream.id, to, %error, "the stream was not switched: the map could not be published; send the command again");
                waiting.refuse(CommandError::Busy);
            }
        }
    }

    fn choose_switch_target(
        &self,
        stream: &str,
        request: &SwitchRequest,
    ) -> Result<(SwitchResult, ActiveUpstream), CommandError> {
        let known = self.known_streams.iter().find(|(id, _)| id.as_str() == stream);
        let (id, _) = known.ok_or(CommandError::NoStream)?;
        let ranking = self.rank_stream(id, None);
        if ranking.upstreams.is_empty() {
            return Err(CommandError::NoStream);
        }
        let active_key = ranking.active().map(|ranked| ranked.key);
        let eligible = ranking.upstreams.iter().filter(|ranked| match &request.source {
            Some(source) => ranked.source.name == *source,
            None => Some(ranked.key) != active_key,
        });
        let mut eligible = eligible.peekable();
        eligible.peek().ok_or(CommandError::NoUpstream)?;
        let chosen = eligible
            .find(|ranked| ranked.health != Health::Down)
            .ok_or(CommandError::UpstreamDown)?;
        let name =
            |key: &UpstreamKey| self.sources.get(key.source).map(|one| one.source.name.clone());
        let result = SwitchResult {
            stream: id.clone(),
            from: active_key.and_then(name),
            to: chosen.source.name.clone(),
            pinned: request.pin,
            reach: MapReach::AllEdges,
        };
        let (key, active_since) = (chosen.key.clone(), Instant::now());
        let settled_at =
            self.active_upstreams.get(stream).map_or(active_since, |active| active.settled_at);
        // The caller sets the version of the map that carries the switch, and which edges have it.
        Ok((
            result,
            ActiveUpstream {
                key,
                active_since,
                settled_at,
                pinned: request.pin,
                switch_version: 0,
            },
        ))
    }
}

/// A caller that has left needs no reply, and its command is not executed.
fn reply_unless_closed<T>(
    reply: ReplySender<T>,
    command: impl FnOnce() -> Result<T, CommandError>,
) {
    if !reply.is_closed() {
        drop(reply.send(command()));
    }
}
