//! [`UpstreamTable`]: all tracked upstreams, by stream and by source.

use std::collections::{BTreeMap, BTreeSet};

use pitwall_upstream_map::StreamId;

use super::UpstreamKey;
use super::tracked_upstream::TrackedUpstream;

#[derive(Default)]
pub(crate) struct UpstreamTable {
    /// In the order of streams, so that the upstreams of one stream are neighbours.
    upstreams: BTreeMap<UpstreamKey, TrackedUpstream>,
    by_source: BTreeMap<usize, BTreeSet<UpstreamKey>>,
}

impl UpstreamTable {
    pub(crate) fn get(&self, key: &UpstreamKey) -> Option<&TrackedUpstream> {
        self.upstreams.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &UpstreamKey) -> Option<&mut TrackedUpstream> {
        self.upstreams.get_mut(key)
    }

    pub(crate) fn insert(&mut self, key: UpstreamKey, upstream: TrackedUpstream) {
        self.by_source.entry(key.source).or_default().insert(key.clone());
        self.upstreams.insert(key, upstream);
    }

    pub(crate) fn remove(&mut self, key: &UpstreamKey) {
        self.upstreams.remove(key);
        if let Some(keys) = self.by_source.get_mut(&key.source) {
            keys.remove(key);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&UpstreamKey, &TrackedUpstream)> {
        self.upstreams.iter()
    }

    pub(crate) fn iter_mut(
        &mut self,
    ) -> impl Iterator<Item = (&UpstreamKey, &mut TrackedUpstream)> {
        self.upstreams.iter_mut()
    }

    /// The upstreams of a stream, in the order of the configuration.
    pub(crate) fn of_stream(
        &self,
        stream: &StreamId,
    ) -> impl Iterator<Item = (&UpstreamKey, &TrackedUpstream)> {
        self.upstreams.range(lowest_key_of(stream)..).take_while(|(key, _)| key.stream == *stream)
    }

    pub(crate) fn of_stream_mut(
        &mut self,
        stream: &StreamId,
    ) -> impl Iterator<Item = (&UpstreamKey, &mut TrackedUpstream)> {
        self.upstreams
            .range_mut(lowest_key_of(stream)..)
            .take_while(|(key, _)| key.stream == *stream)
    }

    pub(crate) fn of_source(
        &self,
        source: usize,
    ) -> impl Iterator<Item = (&UpstreamKey, &TrackedUpstream)> {
        let keys = self.by_source.get(&source).into_iter().flatten();
        keys.filter_map(|key| Some((key, self.upstreams.get(key)?)))
    }
}

fn lowest_key_of(stream: &StreamId) -> UpstreamKey {
    UpstreamKey { stream: stream.clone(), source: 0, ordinal: 0 }
}
