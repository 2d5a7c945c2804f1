//! The map: made when something changed, at most a few times a second.

use std::time::Duration;

use pitwall_upstream_map::{StoreError, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::order::{self, Playing, Ranked};
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
        match self.publish(None).await {
            Ok(()) => {
                if self.unpublished.take().is_some() {
                    tracing::info!(version = self.version, "a map is published again");
                }
            }
            // The next attempt goes past that version; or another one leads, and this one is about
            // to hear of it.
            Err(StoreError::Outdated { .. } | StoreError::NotLeading) => {}
            Err(error) => self.not_published(error.to_string()),
        }
    }

    /// Publishing is tried several times a second, and said once for each reason.
    fn not_published(&mut self, error: String) {
        if self.unpublished.as_ref() != Some(&error) {
            tracing::warn!(error, "map not published; trying again until it is");
            self.unpublished = Some(error);
        }
    }

    /// What is known, with an operator's word, which is in force when a map that says so is
    /// published: nothing is changed here before, so that a word that no store took is forgotten.
    pub(super) async fn publish(&mut self, word: Option<Playing>) -> Result<(), StoreError> {
        self.published = Some(Instant::now());
        let now = self.clock.now();
        let last = self.version.max(self.store.current().version);
        let version = UpstreamMap::next_version(last, now);
        let word = word.map(|word| Playing { switched: version, ..word });
        let schedule = self.schedule.borrow_and_update().clone();
        let ranked = self.ranked_with(word.as_ref());
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
        let map = publish::build(&picture)?;
        let phases = publish::phases(&schedule.schedule, now);
        let watchable = order::watchable(&ranked);
        let mut sessions = schedule.schedule.meetings.iter().flat_map(|meeting| &meeting.sessions);
        let on = sessions.any(|session| window::is_on(session, now, watchable));
        self.metrics.published(version, &ranked, &self.known, &self.sources, on);
        let active = active(&ranked);
        let published = match word {
            // Published later, it is as true as now.
            None => tokio::time::timeout(PATIENCE, self.store.publish(map)).await,
            Some(_) => Ok(self.store.publish_within(map, PATIENCE).await),
        };
        let published = published.unwrap_or_else(|_| {
            Err(StoreError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs())))
        });
        if let Err(StoreError::Outdated { current, .. }) = published {
            self.version = current;
        }
        // If it was a word, the next map takes back what came of it on the way to the store.
        self.dirty = published.is_err();
        published?;
        if let Some(word) = word {
            self.memory.forget(&word.key.stream);
            self.playing.insert(word.key.stream.clone(), word);
        }
        self.version = version;
        self.played(active);
        self.phases = phases;
        Ok(())
    }
}

fn active(ranked: &Ranked<'_>) -> Vec<(StreamId, Key, bool)> {
    let each = ranked.iter().filter_map(|(stream, ranking)| {
        let place = ranking.active()?;
        Some((stream.clone(), place.key.clone(), ranking.pinned))
    });
    each.collect()
}
