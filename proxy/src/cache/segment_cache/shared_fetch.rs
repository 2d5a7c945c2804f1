//! Fetches that all readers of an object share.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument as _;
use url::Url;

use super::SegmentCache;
use crate::cache::disk_tier::DiskTier;
use crate::cache::fetch_task::{FetchTask, FetchedObject};
use crate::cache::inflight_fetch::{InflightFetch, NotCacheable};
use crate::cache::inflight_index::InflightEntries;
use crate::cache::object_key::ObjectKey;
use crate::cache::object_store::{CachedObject, ReadGuard};
use crate::cache::reader::InflightReader;
use crate::upstream::target::UpstreamTarget;

/// Outcome of joining or starting a fetch.
pub(in crate::cache) enum JoinOutcome {
    Hit(ReadGuard),
    /// The reader, and whether another request has started the fetch.
    Inflight(InflightReader, bool),
    /// The upstream's refusal of an earlier request.
    NotCacheable(NotCacheable),
}

/// Removes and fails a fetch when its task ends, however that is, so that no reader joins or waits
/// for it any more.
pub(in crate::cache) struct InflightGuard {
    cache: Arc<SegmentCache>,
    pub(in crate::cache) key: ObjectKey,
    pub(in crate::cache) fetch: Arc<InflightFetch>,
}

impl Drop for InflightGuard {
    fn drop(&mut self) {
        self.cache.remove_inflight(&self.key, &self.fetch, None);
        self.fetch.fail_if_unfinished();
    }
}

impl SegmentCache {
    pub(super) fn join_or_start_fetch(
        self: &Arc<Self>,
        target: &UpstreamTarget,
        bounds: Option<(u64, u64)>,
    ) -> JoinOutcome {
        let disk = self.disk.clone();
        self.join_or_fetch_with(target, bounds, |guard| {
            self.spawn_fetch(guard, target, bounds, disk);
        })
    }

    /// As [`join_or_start_fetch`](Self::join_or_start_fetch); `run` has a new fetch done.
    pub(in crate::cache) fn join_or_fetch_with(
        self: &Arc<Self>,
        target: &UpstreamTarget,
        bounds: Option<(u64, u64)>,
        run: impl FnOnce(InflightGuard),
    ) -> JoinOutcome {
        let key = ObjectKey::of(target, bounds);
        let mut inflight = self.inflight.lock();
        // The store comes first, because a stored object may be being fetched once more.
        if let Some(object) = self.objects.find_fresh(&key) {
            return JoinOutcome::Hit(object);
        }
        // A fetch leaves the index only after its object is stored, or its reason is in the
        // negative cache: an object in none of the three is new.
        let fetch = inflight.find(&key).cloned();
        if let Some(reader) = fetch.and_then(InflightReader::join_fetch) {
            return JoinOutcome::Inflight(reader, true);
        }
        if let Some(not_cacheable) = self.negative_cache.find(&key, &target.url) {
            return JoinOutcome::NotCacheable(not_cacheable);
        }
        let (guard, reader) = self.register_fetch(&mut inflight, key, target);
        run(guard);
        JoinOutcome::Inflight(reader, false)
    }

    /// A new fetch in the index, and its first reader.
    pub(super) fn register_fetch(
        self: &Arc<Self>,
        inflight: &mut InflightEntries,
        key: ObjectKey,
        target: &UpstreamTarget,
    ) -> (InflightGuard, InflightReader) {
        let (fetch, reader) = InflightReader::of_new_fetch(self.budget.new_share());
        inflight.insert(key, target, fetch.clone());
        (InflightGuard { cache: self.clone(), key, fetch }, reader)
    }

    pub(super) fn spawn_fetch(
        self: &Arc<Self>,
        guard: InflightGuard,
        target: &UpstreamTarget,
        bounds: Option<(u64, u64)>,
        disk: Option<Arc<DiskTier>>,
    ) {
        let fetch = self.clone().run_fetch(guard, target.clone(), bounds, disk);
        tokio::spawn(fetch.in_current_span());
    }

    async fn run_fetch(
        self: Arc<Self>,
        guard: InflightGuard,
        target: UpstreamTarget,
        bounds: Option<(u64, u64)>,
        disk: Option<Arc<DiskTier>>,
    ) {
        let InflightGuard { key, fetch, .. } = &guard;
        let fetch_task = FetchTask {
            fetch,
            upstreams: &self.upstreams,
            target: &target,
            requested_bounds: bounds,
            max_object_bytes: self.max_object_bytes,
            remove_inflight: &|reason| {
                self.remove_inflight(key, fetch, reason.map(|reason| (reason, &target.url)))
            },
        };
        let on_disk = match &disk {
            Some(disk) => disk.read(*key).await,
            None => None,
        };
        let fetched = match on_disk {
            Some(object) => fetch_task.take_from_disk(object).await,
            None => fetch_task.run().await,
        };
        if let Some(fetched) = fetched {
            self.finish_fetch(&guard, &target, fetched);
        }
    }

    /// Stores an object that may be stored, and has the readers of its fetch go on with it.
    pub(in crate::cache) fn finish_fetch(
        &self,
        InflightGuard { key, fetch, .. }: &InflightGuard,
        target: &UpstreamTarget,
        FetchedObject { metadata, body, is_storable, may_go_to_disk, expires_at }: FetchedObject,
    ) {
        let object = Arc::new(CachedObject::new(
            Arc::new(metadata),
            body,
            ObjectKey::purge_key_of(target),
            target.stream.clone(),
            expires_at.unwrap_or_else(|| Instant::now() + self.lifetimes.lifetime_for(target)),
            fetch.budget_share().clone(),
        ));
        let guard = object.acquire_body();
        let is_stored = {
            // The lock is held across the insertion, so that an object that was purged meanwhile is
            // not stored again.
            let inflight = self.inflight.lock();
            let is_stored = is_storable && inflight.is_current(key, fetch);
            match is_stored {
                true => self.objects.insert(*key, object),
                // Those who have read it while it was fetched read it to its end.
                false => object.evict(),
            }
            is_stored
        };
        if let Some(guard) = guard {
            if is_stored
                && may_go_to_disk
                && let Some(disk) = &self.disk
            {
                disk.store(*key, guard.clone());
            }
            fetch.complete(guard);
        }
    }

    /// Removes a fetch from the index, so that no new reader joins it, and remembers `reason` in
    /// the negative cache.
    pub(in crate::cache) fn remove_inflight(
        &self,
        key: &ObjectKey,
        fetch: &Arc<InflightFetch>,
        reason: Option<(&NotCacheable, &Url)>,
    ) {
        if let Some((reason, url)) = reason {
            self.negative_cache.insert(*key, reason.clone(), url.clone());
        }
        self.inflight.remove(key, fetch);
    }
}
