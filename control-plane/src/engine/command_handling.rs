//! Carries out the commands of operators.

use std::time::Duration;

use pitwall_upstream_map::{Health, StoreError};
use tokio::time::Instant;

use super::Engine;
use crate::model::UpstreamKey;
use crate::model::command::{
    Command, CommandError, ReplySender, RunStarted, SwitchRequest, SwitchResult,
};
use crate::model::ranking::ActiveUpstream;
use crate::model::run_trace::RunTrace;

/// A switch older than this is not begun. The caller's timeout exceeds it by more than the store's
/// timeout, so that no switch takes effect after its caller was told that it failed.
const SWITCH_QUEUE_TIMEOUT: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) async fn apply_command(&mut self, command: Command) {
        match command {
            Command::Run { extractor, reply } => {
                reply_unless_closed(reply, || self.request_run(&extractor));
            }
            Command::Switch { stream, request, requested_at, reply } => {
                // A caller that has left was told that the switch failed, so the switch is not
                // made.
                if !reply.is_closed() {
                    let result = self.switch_upstream(&stream, &request, requested_at).await;
                    drop(reply.send(result));
                }
            }
            Command::GetTrace { extractor, reply } => {
                reply_unless_closed(reply, || self.last_run_trace(&extractor));
            }
        }
    }

    fn request_run(&mut self, extractor: &str) -> Result<RunStarted, CommandError> {
        let mut states = self.sources.iter_mut();
        let state = states.find(|state| state.source.name == extractor);
        let state = state.ok_or(CommandError::NoExtractor)?;
        state.request_run();
        Ok(RunStarted { extractor: extractor.to_owned(), already_running: state.is_running })
    }

    fn last_run_trace(&self, extractor: &str) -> Result<RunTrace, CommandError> {
        let mut states = self.sources.iter();
        let state = states.find(|state| state.source.name == extractor);
        state.ok_or(CommandError::NoExtractor)?.last_trace.clone().ok_or(CommandError::NoTrace)
    }

    async fn switch_upstream(
        &mut self,
        stream: &str,
        request: &SwitchRequest,
        requested_at: Instant,
    ) -> Result<SwitchResult, CommandError> {
        if requested_at.elapsed() > SWITCH_QUEUE_TIMEOUT {
            return Err(CommandError::Busy);
        }
        // During warm-up a map would lack the upstreams that are not found yet.
        if self.is_warming_up() {
            return Err(CommandError::TakingOver);
        }
        let (result, switch) = self.choose_upstream(stream, request)?;
        let mut published = self.publish(Some(switch.clone())).await;
        // The second attempt uses a version above the one that another control plane published.
        if matches!(published, Err(StoreError::Outdated { .. }))
            && requested_at.elapsed() <= SWITCH_QUEUE_TIMEOUT
        {
            published = self.publish(Some(switch)).await;
        }
        let SwitchResult { from, to, pinned, .. } = &result;
        match published {
            Ok(()) => {}
            Err(StoreError::NotLeading) => return Err(CommandError::NotLeading),
            Err(StoreError::Unreachable(error)) => {
                tracing::warn!(
                    stream,
                    to,
                    error,
                    "the stream was not switched: the store did not accept the map; check the store"
                );
                return Err(CommandError::StoreUnavailable(error));
            }
            Err(error) => {
                tracing::warn!(stream, to, %error, "the stream was not switched: the map could not be published; send the command again");
                return Err(CommandError::Busy);
            }
        }
        tracing::info!(stream, from, to, pinned, "an operator switched the stream");
        // Saved at once, as a store that dies together with this process would lose the switch.
        self.save_history_now().await;
        Ok(result)
    }

    fn choose_upstream(
        &self,
        stream: &str,
        request: &SwitchRequest,
    ) -> Result<(SwitchResult, ActiveUpstream), CommandError> {
        let rankings = self.rank_streams();
        let (id, ranking) = rankings.get_key_value(stream).ok_or(CommandError::NoStream)?;
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
        };
        let (key, active_since) = (chosen.key.clone(), Instant::now());
        let settled_at =
            self.active_upstreams.get(stream).map_or(active_since, |active| active.settled_at);
        // `publish` sets the version of the map that carries the switch.
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
