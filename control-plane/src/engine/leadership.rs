//! Leadership: of several control planes on one store only the holder of the lease works.
//!
//! A new leader has found nothing yet while edges play what its predecessor published: that map
//! stays until its upstreams are found again or cannot be. An upstream that an operator chose
//! before is waited for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pitwall_upstream_map::documents::Activity;
use pitwall_upstream_map::{Health, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::Engine;
use crate::model::UpstreamKey;
use crate::model::source_state::{self, SourceState};
use crate::publish;

/// Longer than an extraction of any source that responds at all.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(20);

/// The streams and sources that the previous leader published as not down. `None` stands for any
/// source, where the map's source is not configured here or no upstream was up.
pub(super) struct InheritedUpstreams {
    upstreams: BTreeSet<(StreamId, Option<usize>)>,
    inherited_at: Instant,
}

impl Engine {
    /// Runs the engine whenever this control plane holds the lease. Never returns.
    pub(crate) async fn run_while_leading(&mut self) {
        let mut fence = self.store.subscribe_fence();
        loop {
            let Ok(held) = fence.wait_for(Option::is_some).await.map(|held| *held) else {
                // A closed fence means that the store is dropped, and with it the process.
                return std::future::pending().await;
            };
            self.store.set_leader_working(true);
            self.apply_settings();
            self.take_over_leadership();
            // Another fence is another lease: another control plane may have led in between.
            tokio::select! {
                () = self.run() => {}
                _ = fence.wait_for(|fence| *fence != held) => {}
            }
            if fence.borrow().is_some() {
                self.requeue_switch_in_flight();
            } else {
                self.refuse_switches();
            }
            self.save_history().await;
            self.store.set_leader_working(false);
        }
    }

    fn take_over_leadership(&mut self) {
        let map = self.store.map();
        let all = map.streams.values().flat_map(|stream| &stream.upstreams);
        let highest = all.map(|upstream| upstream.generation).max();
        // New generations exceed all inherited ones, so that edges' reports about an inherited
        // upstream are not taken for reports about a newly found one.
        self.last_generation = self.last_generation.max(highest.unwrap_or(0));
        // Another leader may have accepted other switches meanwhile.
        self.persisted.expect_upstreams_of_map(
            &map,
            &self.sources,
            std::mem::take(&mut self.active_upstreams),
        );
        // A map's version must not be below the version of a switch that the map carries.
        let newest = self.persisted.newest_switch_version();
        self.publication.last_version = self.publication.last_version.max(newest);
        let tracked = &self.upstreams;
        self.active_upstreams =
            self.persisted.take_previously_active(|active| tracked.get(&active.key).is_some());
        self.known_streams.inherit(&map, &self.sources);
        self.alert_state.inherit(&map, &self.sources);
        self.inherit_last_successes(&map);
        let mut upstreams = BTreeSet::new();
        for stream in map.streams.values() {
            let not_down = stream.upstreams.iter().filter(|one| one.health != Health::Down);
            let indices =
                not_down.map(|one| source_state::source_index(&self.sources, &one.source));
            upstreams.extend(indices.map(|source| (stream.id.clone(), source)));
            // Although no upstream is up by the map, an edge may still play one.
            if stream.active_upstream().is_none() && !stream.upstreams.is_empty() {
                upstreams.insert((stream.id.clone(), None));
            }
        }
        self.inherited_upstreams =
            Some(InheritedUpstreams { upstreams, inherited_at: Instant::now() });
        let tracked: Vec<_> = self.upstreams.iter().map(|(key, _)| key.clone()).collect();
        tracked.iter().for_each(|key| self.mark_inherited_found(key));
        let profile = |state: &SourceState| {
            let (id, profile) = publish::source_profile_entry(&state.source);
            (id, Arc::new(profile))
        };
        let configured = self.sources.iter().filter(|state| state.is_configured());
        self.publication.inherit_map(&map, configured.map(profile).collect());
        self.touch_all();
    }

    /// Takes over the time of each source's last success from the previous leader's documents.
    fn inherit_last_successes(&mut self, map: &UpstreamMap) {
        let document = map.documents.activity.as_str();
        let read = document.and_then(|text| serde_json::from_str::<Activity>(text).ok());
        let extractors = read.map(|activity| activity.extractors).unwrap_or_default();
        for state in &mut self.sources {
            let activity = extractors.get(&state.source.name);
            state.inherit_last_success(activity.and_then(|activity| activity.last_success_at));
        }
        let now = self.clock.now();
        for state in self.sources.iter().filter(|state| state.is_configured()) {
            self.metrics.set_last_success(&state.source.name, state.last_success_at.unwrap_or(now));
        }
    }

    /// Does not wait for upstreams of a source that is no longer configured.
    pub(super) fn forget_inherited(&mut self, source: usize) {
        if let Some(inherited) = &mut self.inherited_upstreams {
            inherited.upstreams.retain(|(_, one)| *one != Some(source));
        }
    }

    /// Records that an upstream of the previous leader's map is found again.
    pub(super) fn mark_inherited_found(&mut self, key: &UpstreamKey) {
        if let Some(inherited) = &mut self.inherited_upstreams {
            for source in [Some(key.source), None] {
                inherited.upstreams.remove(&(key.stream.clone(), source));
            }
        }
    }

    /// Are upstreams of the previous leader's map still missing that may yet be found?
    pub(super) fn is_warming_up(&mut self) -> bool {
        let Some(inherited) = &self.inherited_upstreams else { return false };
        let has_run =
            |it: &SourceState| !it.is_configured() || it.has_run_since(inherited.inherited_at);
        if inherited.upstreams.is_empty()
            || (self.jobs.is_empty() && self.sources.iter().all(has_run))
            || inherited.inherited_at.elapsed() > WARM_UP_TIMEOUT
        {
            self.inherited_upstreams = None;
        }
        self.inherited_upstreams.is_some()
    }
}
