//! [`ResolvedMap`]: what requests need of an [`UpstreamMap`], made once for each version of it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use pitwall_upstream_map::{Store, Stream, UpstreamMap};

use crate::upstream::denials::DenialLog;
use crate::upstream::limiter::UpstreamLimiters;
use crate::upstream::profile::{OriginCounts, ResolvedProfile, origin_of};

/// A map with its request profiles in the form in which requests use them; also an
/// [`UpstreamMap`].
#[derive(Default)]
pub struct ResolvedMap {
    map: Arc<UpstreamMap>,
    profiles: BTreeMap<Arc<str>, Arc<ResolvedProfile>>,
    /// By profile, also of those that the map names and does not have.
    origins: HashMap<String, Arc<OriginCounts>>,
}

impl Deref for ResolvedMap {
    type Target = UpstreamMap;

    fn deref(&self) -> &UpstreamMap {
        &self.map
    }
}

impl ResolvedMap {
    pub fn find_profile(&self, id: &str) -> Option<&Arc<ResolvedProfile>> {
        self.profiles.get(id)
    }

    pub fn profiles(&self) -> impl Iterator<Item = &Arc<ResolvedProfile>> {
        self.profiles.values()
    }

    /// Resolves the map that follows this one. What did not change is taken over, so that a change
    /// of one stream of thousands costs little more than that stream.
    fn resolve_next(
        &self,
        map: Arc<UpstreamMap>,
        limiters: &mut UpstreamLimiters,
        denials: &DenialLog,
    ) -> Self {
        let origins = self.count_origins(&map);
        let resolve = |(id, request_profile): (&_, &_)| {
            let pitwall_upstream_map::RequestProfileId(id) = id;
            let origins = origins.get(id).cloned().unwrap_or_default();
            let known = self.profiles.get(id.as_str());
            let profile = match known.filter(|known| known.is_resolved_from(request_profile)) {
                Some(known) if Arc::ptr_eq(&known.origins, &origins) => known.clone(),
                Some(known) => Arc::new(known.with_origins(origins)),
                None => {
                    let known = self.profiles.get(id.as_str()).map(|known| &**known);
                    let limiter = limiters.limiter_for(id, request_profile.connections);
                    let request_profile = Arc::clone(request_profile);
                    let denials = denials.clone();
                    let resolved =
                        ResolvedProfile::new(id, request_profile, origins, limiter, denials, known);
                    Arc::new(resolved)
                }
            };
            (profile.id.clone(), profile)
        };
        let profiles = map.profiles.iter().map(resolve).collect();
        Self { profiles, origins, map }
    }

    /// The origins of each profile in `map`, counted on from those of this map.
    fn count_origins(&self, map: &UpstreamMap) -> HashMap<String, Arc<OriginCounts>> {
        let mut changes: HashMap<(&str, Cow<'_, str>), (usize, usize)> = HashMap::new();
        for playlist in changed_streams(&self.map, map).flat_map(playlist_origins) {
            changes.entry(playlist).or_default().0 += 1;
        }
        for playlist in changed_streams(map, &self.map).flat_map(playlist_origins) {
            changes.entry(playlist).or_default().1 += 1;
        }
        let mut origins = self.origins.clone();
        for ((profile, origin), (removed, added)) in changes {
            if removed != added {
                let counts = Arc::make_mut(origins.entry(profile.to_owned()).or_default());
                let count = counts.get(&*origin).copied().unwrap_or_default() + added;
                match count.saturating_sub(removed) {
                    0 => counts.remove(&*origin),
                    count => counts.insert(origin.into_owned(), count),
                };
            }
        }
        origins
    }
}

/// The streams of `map` that `other` does not have, or has in another form.
fn changed_streams<'a>(
    map: &'a UpstreamMap,
    other: &'a UpstreamMap,
) -> impl Iterator<Item = &'a Stream> {
    let is_same = |id, stream| other.streams.get(id).is_some_and(|it| Arc::ptr_eq(it, stream));
    map.streams.iter().filter(move |(id, stream)| !is_same(*id, *stream)).map(|(_, it)| &**it)
}

/// The profile and the origin of each playlist of a stream.
fn playlist_origins(stream: &Stream) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    stream.upstreams.iter().flat_map(|upstream| {
        let playlists = std::iter::once(&upstream.playlist).chain(upstream.playlist_urls());
        playlists.map(|playlist| (upstream.profile.0.as_str(), origin_of(playlist)))
    })
}

/// The current map of a store, resolved by whoever asks first for a new version.
pub struct MapResolver {
    store: Arc<dyn Store>,
    current: ArcSwap<ResolvedMap>,
    /// Held while a map is resolved. A limiter survives maps without its profile.
    limiters: Mutex<UpstreamLimiters>,
    denials: DenialLog,
}

impl MapResolver {
    pub fn new(store: Arc<dyn Store>, denials: DenialLog) -> Self {
        let current = ArcSwap::from_pointee(ResolvedMap::default());
        Self { store, current, limiters: Mutex::default(), denials }
    }

    pub fn current(&self) -> Arc<ResolvedMap> {
        let current = self.current.load();
        if Arc::ptr_eq(&current.map, &self.store.map()) {
            return current.clone();
        }
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        // Another request may have resolved it meanwhile, or the store have the next one already.
        let (current, map) = (self.current.load_full(), self.store.map());
        if Arc::ptr_eq(&current.map, &map) {
            return current;
        }
        let resolved = Arc::new(current.resolve_next(map, &mut limiters, &self.denials));
        self.current.store(resolved.clone());
        resolved
    }
}

#[cfg(test)]
pub(crate) mod tests;
