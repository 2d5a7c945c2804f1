//! Leading: of several control planes on one store one works, and the others wait for it to end.
//!
//! Who takes over has found nothing yet, while edges play what the one before published: that
//! stays until it is found again, or cannot be. Whom an operator chose before is waited for.

use std::collections::BTreeSet;
use std::time::Duration;

use pitwall_upstream_map::documents::Extractors;
use pitwall_upstream_map::{Health, StreamId, UpstreamMap};
use tokio::time::Instant;

use super::{Engine, Key, sources};

/// Longer than it takes to ask every source that answers at all.
const LONGEST: Duration = Duration::from_secs(20);

/// What the leader before had published: which streams by which sources. Where that is no source
/// here, any will do.
pub(super) struct Inherited {
    upstreams: BTreeSet<(StreamId, Option<usize>)>,
    since: Instant,
}

impl Engine {
    /// Works whenever this control plane is the one that may publish. Never returns.
    pub(crate) async fn run_while_leading(&mut self) {
        let mut fence = self.store.fence();
        loop {
            if fence.wait_for(Option::is_some).await.is_err() {
                // The store is gone, which is the end of the process.
                return std::future::pending().await;
            }
            self.take_over();
            tokio::select! {
                () = self.run() => {}
                _ = fence.wait_for(Option::is_none) => {}
            }
        }
    }

    fn take_over(&mut self) {
        let map = self.store.current();
        let all = map.streams.values().flat_map(|stream| &stream.upstreams);
        let highest = all.map(|upstream| upstream.generation).max();
        // What edges say of the leader before must not be taken for what is found from here on.
        self.generation = self.generation.max(highest.unwrap_or(0));
        // Somebody else may have led meanwhile, and heard of other wishes.
        self.memory.takes_over(&map, &self.sources, std::mem::take(&mut self.playing));
        // No map may be older than a word that it says.
        self.version = self.version.max(self.memory.newest_word());
        let contenders = &self.contenders;
        self.playing = self.memory.take(|playing| contenders.contains_key(&playing.key));
        self.known.inherit(&map, &self.sources);
        self.alarms.inherit(&map, &self.sources);
        self.inherit_successes(&map);
        let mut upstreams = BTreeSet::new();
        for stream in map.streams.values() {
            let up = stream.upstreams.iter().filter(|one| one.health != Health::Down);
            let places = up.map(|one| sources::place(&self.sources, &one.source));
            upstreams.extend(places.map(|source| (stream.id.clone(), source)));
            // An edge may play one that seems to be down.
            if stream.active().is_none() && !stream.upstreams.is_empty() {
                upstreams.insert((stream.id.clone(), None));
            }
        }
        self.inherited = Some(Inherited { upstreams, since: Instant::now() });
        self.dirty = true;
        self.published = None;
    }

    /// When each source last ran without a failure, by the documents of the leader before.
    fn inherit_successes(&mut self, map: &UpstreamMap) {
        let document = map.documents.extractors.json();
        let read = document.and_then(|text| serde_json::from_str::<Extractors>(text).ok());
        for status in read.map(|it| it.extractors).unwrap_or_default() {
            if let Some(place) = sources::place(&self.sources, &status.name)
                && let Some(state) = self.sources.get_mut(place)
            {
                state.inherit(status.last_success_at);
            }
        }
        let now = self.clock.now();
        for state in &self.sources {
            self.metrics.last_success(&state.source.name, state.last_success_at.unwrap_or(now));
        }
    }

    /// Is more known elsewhere than here, and will it soon be known here?
    pub(super) fn is_finding_its_feet(&mut self) -> bool {
        let Some(inherited) = &self.inherited else { return false };
        let is_found = |(stream, source): &(StreamId, Option<usize>)| {
            let from = source.unwrap_or_default();
            let first = Key { stream: stream.clone(), source: from, ordinal: 0 };
            let found = self.contenders.range(first..).next().map(|(key, _)| key);
            found.is_some_and(|key| {
                key.stream == *stream && source.is_none_or(|source| source == key.source)
            })
        };
        let all_found = inherited.upstreams.iter().all(is_found);
        let asked = self.sources.iter().all(|state| state.ran_since(inherited.since));
        if all_found || (asked && self.jobs.is_empty()) || inherited.since.elapsed() > LONGEST {
            self.inherited = None;
        }
        self.inherited.is_some()
    }
}
