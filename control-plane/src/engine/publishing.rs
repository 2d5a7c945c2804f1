//! Publishes the map when something changed, at most a few times per second.

use std::time::Duration;

use pitwall_upstream_map::{StoreError, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::Engine;
use crate::model::UpstreamKey;
use crate::model::ranking::{self, ActiveUpstream, StreamRankings};
use crate::publish::{self, MapInput};
use crate::schedule::live_window;

/// Changes within this time are published together.
pub(super) const PUBLISH_MIN_INTERVAL: Duration = Duration::from_millis(200);
/// How long the engine waits for a store that hangs.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn next_publication_at(&self) -> Option<Instant> {
        self.last_published_at
            .filter(|_| self.needs_publication)
            .map(|last| last + PUBLISH_MIN_INTERVAL)
    }

    pub(super) async fn publish_if_due(&mut self) {
        let due = self.last_published_at.is_none_or(|last| last.elapsed() >= PUBLISH_MIN_INTERVAL);
        if !(self.needs_publication && due) || self.inherited_upstreams.is_some() {
            return;
        }
        match self.publish(None).await {
            Ok(()) => {
                if self.last_publish_error.take().is_some() {
                    tracing::info!(version = self.last_version, "maps are published again");
                }
            }
            // Either the next attempt uses a version above the store's, or another control plane
            // leads and the fence is about to report that.
            Err(StoreError::Outdated { .. } | StoreError::NotLeading) => {}
            Err(error) => self.log_publish_failure(error.to_string()),
        }
    }

    /// Publishing is retried several times per second; each different error is logged once.
    fn log_publish_failure(&mut self, error: String) {
        if self.last_publish_error.as_ref() != Some(&error) {
            tracing::warn!(
                error,
                "map not published; publishing is retried until it succeeds, check the store"
            );
            self.last_publish_error = Some(error);
        }
    }

    /// Publishes the current state, with an operator's `switch` if there is one. A switch takes
    /// effect when a map that carries it is published: nothing is changed before, so that a switch
    /// that the store did not accept is forgotten.
    pub(super) async fn publish(
        &mut self,
        switch: Option<ActiveUpstream>,
    ) -> Result<(), StoreError> {
        self.last_published_at = Some(Instant::now());
        let now = self.clock.now();
        let last = self.last_version.max(self.store.map().version);
        let version = UpstreamMap::next_version(last, now);
        let switch = switch.map(|switch| ActiveUpstream { switch_version: version, ..switch });
        let schedule = self.schedule.borrow_and_update().clone();
        let rankings = self.rank_streams_with(switch.as_ref());
        let input = MapInput {
            version,
            now,
            started_at: self.started_at,
            sources: &self.sources,
            rankings: &rankings,
            known_streams: &self.known_streams,
            schedule: &schedule,
            viewers: &self.viewers,
            rank_config: &self.rank_config,
            public_url: &self.public_url,
        };
        let map = publish::build_map(&input)?;
        let phases = publish::session_phases(&schedule.schedule, now);
        let has_healthy_stream = ranking::has_healthy_stream(&rankings);
        let mut sessions = schedule.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let is_session_live =
            sessions.any(|session| live_window::is_on_air(session, now, has_healthy_stream));
        self.metrics.record_published_map(
            version,
            &rankings,
            &self.known_streams,
            &self.sources,
            is_session_live,
        );
        let active = active_upstreams(&rankings);
        let published = match switch {
            // A map without a switch may arrive late, as its content stays valid.
            None => tokio::time::timeout(PUBLISH_TIMEOUT, self.store.publish(map)).await,
            Some(_) => Ok(self.store.publish_within(map, PUBLISH_TIMEOUT).await),
        };
        let published = published.unwrap_or_else(|_| {
            Err(StoreError::Unreachable(format!(
                "no answer within {} s",
                PUBLISH_TIMEOUT.as_secs()
            )))
        });
        if let Err(StoreError::Outdated { current, .. }) = published {
            self.last_version = current;
        }
        // After a failed publication the next map is published without the switch, and supersedes a
        // map that may still reach the store.
        self.needs_publication = published.is_err();
        published?;
        if let Some(switch) = switch {
            self.persisted.forget_active_upstream(&switch.key.stream);
            self.active_upstreams.insert(switch.key.stream.clone(), switch);
        }
        self.last_version = version;
        self.record_active_upstreams(active);
        self.published_session_phases = phases;
        Ok(())
    }
}

fn active_upstreams(rankings: &StreamRankings<'_>) -> Vec<(StreamId, UpstreamKey, bool)> {
    let active = rankings.iter().filter_map(|(stream, ranking)| {
        let upstream = ranking.active()?;
        Some((stream.clone(), upstream.key.clone(), ranking.pinned))
    });
    active.collect()
}
