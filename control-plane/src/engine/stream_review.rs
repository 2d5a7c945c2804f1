//! The review of what events have touched: only these streams are ranked, only their documents are
//! made, and only what differs goes into the draft of the next map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pitwall_upstream_map::documents::ExtractorState;
use pitwall_upstream_map::{Health, Stream, StreamId};
use tokio::time::Instant;

use super::Engine;
use super::due_times::DueTimes;
use super::publishing::ChosenUpstream;
use super::ranking::score_parts;
use crate::model::known_streams::StreamExistence;
use crate::model::ranking::{ActiveUpstream, Ranking, SelectionReason};
use crate::publish::{self, StreamView};

/// What is to be reviewed.
#[derive(Default)]
pub(crate) struct ReviewQueue {
    streams: BTreeSet<StreamId>,
    sources: BTreeSet<usize>,
    /// Streams whose ranking changes with time alone.
    pub(super) due: DueTimes<StreamId>,
    /// Reviewed since alerts were last looked for.
    pub(super) reviewed: ReviewedItems,
}

#[derive(Default)]
pub(crate) struct ReviewedItems {
    pub(super) streams: BTreeSet<StreamId>,
    pub(super) sources: BTreeSet<usize>,
}

impl ReviewQueue {
    pub(super) fn touch(&mut self, stream: &StreamId) {
        if !self.streams.contains(stream) {
            self.streams.insert(stream.clone());
        }
    }

    pub(super) fn touch_source(&mut self, source: usize) {
        self.sources.insert(source);
    }
}

/// How many streams there are, by health.
#[derive(Default)]
pub(crate) struct StreamCounts {
    by_stream: BTreeMap<StreamId, ListedAndActiveHealth>,
}

/// The health of a stream as listed, and of its active upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ListedAndActiveHealth {
    listed: Health,
    active: Health,
}

impl StreamCounts {
    pub(super) fn total(&self) -> usize {
        self.by_stream.len()
    }

    /// Number of streams that are listed with this health.
    pub(super) fn count_listed(&self, health: Health) -> usize {
        self.by_stream.values().filter(|one| one.listed == health).count()
    }

    /// Number of streams with an active upstream of this health.
    pub(super) fn count_active(&self, health: Health) -> usize {
        self.by_stream.values().filter(|one| one.active == health).count()
    }

    pub(super) fn has_healthy(&self) -> bool {
        self.by_stream.values().any(|one| one.active == Health::Healthy)
    }
}

impl Engine {
    /// Touches every stream and source, as after a change of leadership.
    pub(super) fn touch_all(&mut self) {
        let known = self.known_streams.iter().map(|(stream, _)| stream);
        let configured = (0..self.sources.len()).flat_map(|it| self.known_streams.named_by(it));
        let tracked = self.upstreams.iter().map(|(key, _)| &key.stream);
        let drafted = self.publication.draft.streams.keys();
        let all = known.chain(configured).chain(tracked).chain(drafted);
        self.reviews.streams = all.cloned().collect();
        self.reviews.sources = (0..self.sources.len()).collect();
    }

    /// Touches a source and the streams that depend on it.
    pub(super) fn touch_source_and_streams(&mut self, source: usize) {
        let tracked = self.upstreams.of_source(source).map(|(key, _)| &key.stream);
        tracked.chain(self.known_streams.named_by(source)).for_each(|it| self.reviews.touch(it));
        self.reviews.touch_source(source);
    }

    /// Reviews what was touched. During warm-up the previous leader's map stays as it is.
    pub(super) fn review_touched(&mut self) {
        if self.is_warming_up() {
            return;
        }
        for stream in self.reviews.due.take_due(Instant::now()) {
            self.reviews.touch(&stream);
        }
        if self.reviews.streams.is_empty() && self.reviews.sources.is_empty() {
            return;
        }
        let streams = std::mem::take(&mut self.reviews.streams);
        streams.iter().for_each(|stream| self.review_stream(stream));
        self.reviews.reviewed.streams.extend(streams);
        let sources = std::mem::take(&mut self.reviews.sources);
        sources.iter().for_each(|source| self.draft_source_status(*source));
        self.reviews.reviewed.sources.extend(sources);
    }

    fn review_stream(&mut self, stream: &StreamId) {
        let now = self.clock.now();
        let upstreams = self.upstreams.of_stream(stream);
        let known = self.known_streams.review(stream, upstreams, &self.sources, now);
        let max_age = self.listing_max_age();
        for (key, upstream) in self.upstreams.of_stream_mut(stream) {
            let Some(state) = self.sources.get(key.source) else { continue };
            let parts = score_parts(key, upstream, &state.source, &self.rank_config);
            upstream.refresh_latest_figures(parts, now);
            upstream.is_shown = upstream.is_listed(max_age);
            self.reviews.touch_source(key.source);
        }
        if self.upstreams.of_stream(stream).next().is_none() {
            self.active_upstreams.remove(stream);
        }
        match known {
            StreamExistence::NotYet => {}
            StreamExistence::No => self.drop_stream(stream),
            StreamExistence::Yes => {
                if let Err(error) = self.draft_stream(stream) {
                    tracing::error!(%stream, %error, "the stream's documents cannot be written");
                }
            }
        }
    }

    /// What a known stream and its documents are made from.
    pub(super) fn stream_view<'a>(
        &'a self,
        stream: &'a StreamId,
        ranking: &'a Ranking<'a>,
    ) -> Option<StreamView<'a>> {
        Some(StreamView {
            id: stream,
            known: self.known_streams.get(stream)?,
            ranking,
            naming_sources: self.known_streams.naming_sources(stream),
            sources: &self.sources,
            viewers: self.viewers.get(stream).copied().unwrap_or(0),
            rank_config: &self.rank_config,
            public_url: &self.public_url,
            now: self.clock.now(),
        })
    }

    /// A stream for the map as it would be if `switch` were active.
    pub(super) fn build_map_stream(
        &self,
        stream: &StreamId,
        switch: Option<&ActiveUpstream>,
    ) -> Option<Result<Stream, serde_json::Error>> {
        let ranking = self.rank_stream(stream, switch);
        Some(self.stream_view(stream, &ranking)?.build_map_stream())
    }

    fn draft_stream(&mut self, stream: &StreamId) -> Result<(), serde_json::Error> {
        let ranking = self.rank_stream(stream, None);
        let Some(view) = self.stream_view(stream, &ranking) else { return Ok(()) };
        let drafted = view.build_map_stream()?;
        let profiles = view.own_profiles();
        let health = ListedAndActiveHealth {
            listed: view.listed_health(),
            active: ranking.active().map_or(Health::Down, |active| active.health),
        };
        let choice = ranking
            .active()
            .map(|active| ChosenUpstream { key: active.key.clone(), pinned: ranking.pinned });
        let now = Instant::now();
        let next_review = match ranking.reason {
            SelectionReason::HoldDown { left } | SelectionReason::FailBackPending { left } => {
                Some(now + left)
            }
            _ => None,
        };
        let settled_at = self.active_upstreams.get(stream).map(|active| active.settled_at);
        let waits = self.persisted.previously_active.contains_key(stream);
        let startup_ends_at = waits.then_some(self.persisted.startup_ends_at);
        let times = [next_review, settled_at, startup_ends_at].into_iter().flatten();
        let next_review = times.filter(|at| *at > now).min();
        self.reviews.due.set(stream, next_review);
        if self.known_streams.is_configured(stream) {
            self.metrics.set_stream_up(stream, health.active != Health::Down);
        }
        if self.counts.by_stream.insert(stream.clone(), health) != Some(health) {
            self.publication.is_status_outdated = true;
        }
        if let Some(choice) = choice {
            self.publication.choices.insert(stream.clone(), choice);
        }
        self.publication.replace_stream_in_draft(drafted, profiles);
        Ok(())
    }

    fn drop_stream(&mut self, stream: &StreamId) {
        self.reviews.due.set(stream, None);
        self.counts.by_stream.remove(stream);
        self.publication.choices.remove(stream);
        self.publication.remove_stream(stream);
    }

    /// Drafts the status of a source.
    fn draft_source_status(&mut self, source: usize) {
        let Some(state) = self.sources.get(source) else { return };
        let Some(position) = state.position else { return };
        let upstreams = || self.upstreams.of_source(source);
        let status = state.extractor_status(publish::dead_upstream_error(state, upstreams()));
        for health in [Health::Healthy, Health::Degraded, Health::Down] {
            let count = upstreams().filter(|(_, upstream)| upstream.health() == health).count();
            self.metrics.set_upstreams(&state.source.name, health, count);
        }
        let is_failing = status.state == ExtractorState::Failing;
        let changed = match is_failing {
            true => self.failing_sources.insert(source),
            false => self.failing_sources.remove(&source),
        };
        self.publication.is_status_outdated |= changed;
        match publish::build_extractor_document(position, &status) {
            Ok(extractor) => {
                let extractors = &mut self.publication.draft.documents.extractors;
                if extractors.get(&status.name).is_none_or(|before| **before != extractor) {
                    extractors.insert(status.name, Arc::new(extractor));
                    self.publication.is_due = true;
                    self.publication.is_status_outdated = true;
                }
            }
            Err(error) => tracing::error!(%error, "the status of a source cannot be written"),
        }
    }
}
