//! The upstreams of a stream, best first, and the active one.

use std::time::Duration;

use pitwall_upstream_map::documents::ScorePart;
use pitwall_upstream_map::{Health, SourcePin, StreamId};
use tokio::time::Instant;

use super::publishing::{ChosenUpstream, PUBLISH_MIN_INTERVAL};
use super::{Engine, TICK_INTERVAL};
use crate::model::UpstreamKey;
use crate::model::continuity::Continuity;
use crate::model::ranking::{ActiveUpstream, RankedUpstream, Ranking, SelectionReason};
use crate::model::tracked_upstream::TrackedUpstream;
use crate::rank::{self, Incumbency, RankConfig, RankInput};
use crate::source::Source;

pub(super) const SETTLING_PERIOD: Duration = Duration::from_secs(15);

/// The parts of an upstream's score: what was measured, and what the operator prefers.
pub(super) fn score_parts(
    key: &UpstreamKey,
    upstream: &TrackedUpstream,
    source: &Source,
    config: &RankConfig,
) -> Vec<ScorePart> {
    let measured = upstream.stats.score_components(upstream.bit_rate()).map(|part| ScorePart {
        name: part.name.to_owned(),
        value: part.value,
        weight: part.weight,
        points: part.value * part.weight,
    });
    let renditions = &upstream.findings.renditions;
    let preferred = config.matching_preferences(&key.stream, &source.name, renditions);
    let preferred = preferred.map(|preference| ScorePart {
        name: preference.name.clone(),
        value: 1.0,
        weight: preference.points.0,
        points: preference.points.0,
    });
    measured.into_iter().chain(preferred).collect()
}

impl Engine {
    /// Maximum age of the last passed check of a listed upstream: the check interval less a tick and
    /// a publication, so that the upstream is unlisted before the interval ends.
    pub(super) fn listing_max_age(&self) -> Duration {
        self.check_interval.saturating_sub(TICK_INTERVAL + PUBLISH_MIN_INTERVAL)
    }

    /// The upstreams of a stream; with `switch`, as they would be if that were active.
    pub(super) fn rank_stream(
        &self,
        stream: &StreamId,
        switch: Option<&ActiveUpstream>,
    ) -> Ranking<'_> {
        let max_age = self.listing_max_age();
        let upstreams: Vec<_> = self
            .upstreams
            .of_stream(stream)
            .filter_map(|(key, upstream)| {
                let state = self.sources.get(key.source)?;
                let (source, config_position) = (&**state.source, state.position?);
                let (health, is_listed) = (upstream.health(), upstream.is_listed(max_age));
                Some(RankedUpstream { key, upstream, source, config_position, health, is_listed })
            })
            .collect();
        let incumbent = switch.or_else(|| self.incumbent(stream, &upstreams));
        let playing = incumbent
            .and_then(|incumbent| upstreams.iter().find(|ranked| *ranked.key == incumbent.key));
        let inputs: Vec<_> = upstreams
            .iter()
            .map(|ranked| RankInput {
                health: ranked.health,
                has_unconfirmed_failure: ranked.upstream.breaker.has_unconfirmed_failure(),
                priority: ranked.source.priority,
                score: ranked.upstream.score,
                config_position: ranked.config_position,
                is_active: incumbent.is_some_and(|incumbent| incumbent.key == *ranked.key),
                healthy_for: ranked.upstream.breaker.healthy_for(),
                continuity: playing
                    .map_or(Continuity::Same, |playing| playing.continuity_to(ranked)),
            })
            .collect();
        let incumbency = incumbent.map_or_else(Incumbency::default, |incumbent| Incumbency {
            active_for: incumbent.active_since.elapsed(),
            is_pinned: incumbent.pinned,
            is_settled: Instant::now() >= incumbent.settled_at,
        });
        let order = rank::rank_upstreams(&inputs, incumbency, &self.rank_config);
        let upstreams = order.indices.iter().filter_map(|&index| upstreams.get(index).cloned());
        let upstreams: Vec<_> = upstreams.collect();
        let pinned = order.reason == SelectionReason::Pinned;
        let first = upstreams.first().map(|ranked| ranked.key);
        let retained = incumbent.filter(|incumbent| first == Some(&incumbent.key));
        let switch_version = retained.map_or(0, |incumbent| incumbent.switch_version);
        let active = upstreams.first().filter(|ranked| ranked.health != Health::Down);
        let current = incumbent.filter(|it| active.is_none_or(|active| *active.key == it.key));
        let awaited = || self.persisted.awaited_pin(stream).filter(|_| switch.is_none());
        let pinned_upstream = current.filter(|it| it.pinned).or_else(awaited);
        let pin = pinned_upstream.and_then(|it| {
            let state = self.sources.get(it.key.source).filter(|state| state.is_configured())?;
            let source = state.source.name.clone();
            Some(SourcePin { source, version: it.switch_version })
        });
        Ranking { upstreams, reason: order.reason, pinned, switch_version, pin }
    }

    /// The active upstream, or the one that was active before the last restart if it is healthy
    /// again.
    fn incumbent(
        &self,
        stream: &StreamId,
        upstreams: &[RankedUpstream<'_>],
    ) -> Option<&ActiveUpstream> {
        let is_back = |active: &&ActiveUpstream| {
            let found = upstreams.iter().find(|ranked| *ranked.key == active.key);
            self.persisted.is_starting_up()
                && found.is_some_and(|ranked| ranked.health == Health::Healthy)
        };
        let remembered = self.persisted.previously_active.get(stream).filter(is_back);
        remembered.or_else(|| self.active_upstreams.get(stream))
    }

    /// Records a stream's active upstream as published.
    pub(super) fn record_active_upstream(&mut self, stream: StreamId, choice: ChosenUpstream) {
        let ChosenUpstream { key, pinned } = choice;
        let starting = self.persisted.is_starting_up();
        let remembered = self.persisted.previously_active.get(&stream);
        let restored = remembered.filter(|one| starting && one.key == key);
        let restored_version = restored.map_or(0, |one| one.switch_version);
        let now = Instant::now();
        let settled = restored.map_or(now + SETTLING_PERIOD, |one| one.settled_at);
        // A restored upstream is from here on like any other active upstream.
        if !starting || restored.is_some() {
            self.persisted.previously_active.remove(&stream);
        }
        let (active_since, settled_at, switch_version) = match self.active_upstreams.get(&stream) {
            Some(last) if last.key == key => (
                last.active_since,
                last.settled_at.min(settled),
                last.switch_version.max(restored_version),
            ),
            Some(last) => (now, last.settled_at.min(settled), restored_version),
            None => (now, settled, restored_version),
        };
        let active = ActiveUpstream { key, active_since, settled_at, pinned, switch_version };
        if self.active_upstreams.get(&stream) != Some(&active) {
            // Why it is active may now be another reason.
            self.reviews.touch(&stream);
            self.active_upstreams.insert(stream, active);
        }
    }
}
