//! Follows the configuration while it runs: sources come, change and go, and others are not
//! disturbed.
//!
//! What a changed source plays goes on until a complete run shows what it has now, so that no viewer
//! is interrupted by a change of a label.

use std::sync::Arc;

use super::{Engine, EngineSettings};
use crate::extract::ConfiguredSource;
use crate::model::UpstreamKey;
use crate::model::source_state::SourceState;
use crate::publish;
use crate::refresh::TokenLifetimes;

impl Engine {
    /// Applies the settings if they have changed since they were last applied.
    pub(super) fn apply_settings(&mut self) {
        let settings = self.settings.borrow_and_update().clone();
        let EngineSettings { sources, rank, webhooks } = &*settings;
        self.notifier.set_webhooks(webhooks);
        let is_rank_same = self.rank_config == *rank;
        self.rank_config = rank.clone();
        let mut is_same = is_rank_same;
        for (position, source) in sources.iter().enumerate() {
            is_same &= self.apply_source(position, source);
        }
        let is_gone = |state: &SourceState| {
            state.is_configured() && sources.iter().all(|one| one.name != state.source.name)
        };
        let indices = 0..self.sources.len();
        let gone: Vec<usize> =
            indices.filter(|index| self.sources.get(*index).is_some_and(is_gone)).collect();
        if is_same && gone.is_empty() {
            return;
        }
        gone.iter().for_each(|index| self.remove_source(*index));
        for stream in self.known_streams.replace_configured_streams(&self.sources) {
            self.metrics.remove_stream(&stream);
        }
        let viewers = |stream| self.viewers.get(stream).copied().unwrap_or_default();
        for stream in self.known_streams.configured() {
            self.metrics.register_stream(stream);
            self.metrics.set_stream_viewers(stream, viewers(stream));
        }
        self.publication.is_list_outdated = true;
        self.publication.is_status_outdated = true;
        self.touch_all();
    }

    /// Applies one source of the configuration; `true` if it is the same as before.
    fn apply_source(&mut self, position: usize, source: &Arc<ConfiguredSource>) -> bool {
        let mut states = self.sources.iter();
        let Some(index) = states.position(|state| state.source.name == source.name) else {
            tracing::info!(source = source.name, "a source is added");
            self.metrics.register_source(&source.name, self.clock.now());
            let lifetimes = TokenLifetimes::default();
            self.sources.push(SourceState::new(source.clone(), position, lifetimes));
            self.start_defined_source(self.sources.len() - 1);
            return false;
        };
        let Some(state) = self.sources.get_mut(index) else { return true };
        let before = state.position.replace(position);
        if before.is_some() && state.source.has_same_definition(source) {
            return before == Some(position);
        }
        if before.is_some() {
            tracing::info!(source = source.name, "a source has changed");
        } else {
            tracing::info!(source = source.name, "a source is added");
            self.metrics.register_source(&source.name, self.clock.now());
        }
        self.abort_run(index);
        if let Some(state) = self.sources.get_mut(index) {
            *state = state.with_new_definition(source.clone(), position);
        }
        self.start_defined_source(index);
        false
    }

    fn start_defined_source(&mut self, index: usize) {
        let Some(state) = self.sources.get(index) else { return };
        let (id, profile) = publish::source_profile_entry(&state.source);
        self.publication.replace_profile_in_draft(id, profile);
        self.schedule_run(index);
    }

    fn remove_source(&mut self, index: usize) {
        self.abort_run(index);
        let Some(state) = self.sources.get_mut(index) else { return };
        let name = state.source.name.clone();
        state.position = None;
        state.has_token = false;
        tracing::info!(source = name, "a source is removed");
        self.forget_upstreams_of(index, |_| true);
        self.schedule_run(index);
        self.failing_sources.remove(&index);
        self.persisted.forget_source(index);
        self.alert_state.forget_source(index);
        self.forget_inherited(index);
        self.active_upstreams.retain(|_, active| active.key.source != index);
        self.publication.choices.retain(|_, choice| choice.key.source != index);
        self.publication.remove_source(&name);
        self.metrics.remove_source(&name);
    }

    /// Ends the run in progress, which nobody waits for any more.
    fn abort_run(&mut self, index: usize) {
        let Some(state) = self.sources.get_mut(index) else { return };
        if let Some(run) = state.run.take() {
            run.abort();
            state.is_running = false;
            self.runs.end_job(index);
        }
    }

    /// Forgets what a changed source had before, once a complete run has shown what it has now.
    pub(super) fn forget_superseded(&mut self, index: usize) {
        let began = self.sources.get_mut(index).and_then(SourceState::take_redefined_run_start);
        if let Some(began) = began {
            self.forget_upstreams_of(index, |found_at| found_at < began);
        }
    }

    /// Forgets the upstreams of a source that `is_forgotten` says by when they were last found.
    fn forget_upstreams_of(
        &mut self,
        index: usize,
        is_forgotten: impl Fn(tokio::time::Instant) -> bool,
    ) {
        let upstreams = self.upstreams.of_source(index);
        let forgotten = upstreams.filter(|(_, upstream)| is_forgotten(upstream.last_found_at()));
        let forgotten: Vec<UpstreamKey> = forgotten.map(|(key, _)| key.clone()).collect();
        for key in forgotten {
            self.upstreams.remove(&key);
            self.schedule_check(&key);
            self.reviews.touch(&key.stream);
        }
    }
}
