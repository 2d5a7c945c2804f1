//! [`InflightIndex`]: the fetches that new readers may join.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::inflight_fetch::InflightFetch;
use super::object_key::ObjectKey;
use super::purge_scope::PurgeScope;
use crate::upstream::target::UpstreamTarget;

/// Fetches in flight, by the object that they fetch.
#[derive(Default)]
pub(super) struct InflightIndex(Mutex<InflightEntries>);

/// The index under its lock.
#[derive(Default)]
pub(super) struct InflightEntries(HashMap<ObjectKey, InflightEntry>);

/// A fetch in flight, and what a purge finds it by.
struct InflightEntry {
    fetch: Arc<InflightFetch>,
    url_key: ObjectKey,
    stream: Option<Arc<str>>,
}

impl InflightIndex {
    pub(super) fn lock(&self) -> MutexGuard<'_, InflightEntries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.lock().find(key).is_some()
    }

    /// Whether the object is in flight and will be stored.
    pub(super) fn is_being_stored(&self, key: &ObjectKey) -> bool {
        self.lock().find(key).is_some_and(|fetch| !fetch.is_windowed())
    }

    /// Keeps new readers from joining a fetch.
    pub(super) fn remove(&self, key: &ObjectKey, fetch: &Arc<InflightFetch>) {
        let mut entries = self.lock();
        if entries.is_current(key, fetch) {
            entries.0.remove(key);
        }
    }

    /// Keeps new readers from joining the fetches of what is purged.
    pub(super) fn purge(&self, scope: &PurgeScope) {
        self.lock().0.retain(|_, entry| !scope.matches(&entry.url_key, entry.stream.as_ref()));
    }
}

impl InflightEntries {
    pub(super) fn find(&self, key: &ObjectKey) -> Option<&Arc<InflightFetch>> {
        self.0.get(key).map(|entry| &entry.fetch)
    }

    /// Whether the object's fetch is still this one: it may have been purged, and another begun.
    pub(super) fn is_current(&self, key: &ObjectKey, fetch: &Arc<InflightFetch>) -> bool {
        self.find(key).is_some_and(|current| Arc::ptr_eq(current, fetch))
    }

    pub(super) fn insert(
        &mut self,
        key: ObjectKey,
        target: &UpstreamTarget,
        fetch: Arc<InflightFetch>,
    ) {
        let (url_key, stream) = (ObjectKey::purge_key_of(target), target.stream.clone());
        self.0.insert(key, InflightEntry { fetch, url_key, stream });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
