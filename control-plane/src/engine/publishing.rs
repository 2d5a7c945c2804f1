//! The map: made when something changed, at most a few times a second.

use std::time::Duration;

use pitwall_upstream_map::{StoreError, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::order::{self, Ranked};
use super::{Engine, Key};
use crate::publish::{self, Picture};
use crate::schedule::window;

/// Changes that come together are published together.
pub(super) const COALESCE: Duration = Duration::from_millis(200);
/// The queue does not stand still for a store that does.
const PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn next_publication(&self) -> Option<Instant> {
        self.published.filter(|_| self.dirty).map(|last| last + COALESCE)
    }

    pub(super) async fn publish_if_due(&mut self) {
        let due = self.published.is_none_or(|last| last.elapsed() >= COALESCE);
        if !(self.dirty && due) || self.inherited.is_some() {
            return;
        }
        self.published = Some(Instant::now());
        let now = self.clock.now();
        let last = self.version.max(self.store.current().version);
        let version = UpstreamMap::next_version(last, now);
        let schedule = self.schedule.borrow_and_update().clone();
        let ranked = self.ranked();
        let picture = Picture {
            version,
            now,
            started_at: self.started_at,
            sources: &self.sources,
            streams: &ranked,
            known: &self.known,
            schedule: &schedule,
            watched: &self.watched,
            rank: &self.rank,
            site: &self.site,
        };
        let map = match publish::build(&picture) {
            Ok(map) => map,
            Err(error) => {
                tracing::error!(%error, "a document cannot be written");
                return;
            }
        };
        let phases = publish::phases(&schedule.schedule, now);
        let watchable = order::watchable(&ranked);
        let mut sessions = schedule.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let on = sessions.any(|session| window::is_on(session, now, watchable));
        self.metrics.published(version, &ranked, &self.known, &self.sources, on);
        let active = active(&ranked);
        let published = tokio::time::timeout(PATIENCE, self.store.publish(map)).await;
        match published {
            Ok(Ok(())) => {
                if self.unpublished.take().is_some() {
                    tracing::info!(version, "a map is published again");
                }
                self.version = version;
                self.played(active);
                self.phases = phases;
                self.dirty = false;
            }
            // Somebody else's version: the next attempt goes past it.
            Ok(Err(StoreError::Outdated { current, .. })) => self.version = current,
            // Another one leads, and this one is about to hear of it.
            Ok(Err(StoreError::NotLeading)) => {}
            Ok(Err(error)) => self.not_published(error.to_string()),
            Err(_) => self.not_published("the store takes too long".to_owned()),
        }
    }

    /// Publishing is tried several times a second, and said once for each reason.
    fn not_published(&mut self, error: String) {
        if self.unpublished.as_ref() != Some(&error) {
            tracing::warn!(error, "map not published; trying again until it is");
            self.unpublished = Some(error);
        }
    }
}

fn active(ranked: &Ranked<'_>) -> Vec<(StreamId, Key, bool)> {
    let each = ranked.iter().filter_map(|(stream, ranking)| {
        let place = ranking.active()?;
        Some((stream.clone(), place.key.clone(), ranking.pinned))
    });
    each.collect()
}
