//! Complete objects, limited in bytes. The least recently read one is evicted first, so that the
//! newest segment of a live stream is not evicted for one that all players have read.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::ObjectKey;
use super::chunks::Chunks;
use super::inflight_fetch::ObjectMetadata;

/// The stored objects, by key.
pub struct ObjectStore(Cache<ObjectKey, Arc<CachedObject>>);

/// A complete object, or a complete range of one.
pub struct CachedObject {
    pub metadata: Arc<ObjectMetadata>,
    pub stored_at: Instant,
    /// When the object becomes stale.
    pub expires_at: Instant,
    /// Key of the whole object that this one is, or is a range of.
    pub url_key: ObjectKey,
    pub stream: Option<Arc<str>>,
    body: ArcSwap<Chunks>,
    /// Held while the body is joined, so that it is joined once.
    joining: Mutex<()>,
}

impl CachedObject {
    pub fn new(
        metadata: Arc<ObjectMetadata>,
        body: Chunks,
        url_key: ObjectKey,
        stream: Option<Arc<str>>,
        expires_at: Instant,
    ) -> Self {
        let body = ArcSwap::from_pointee(body);
        Self {
            metadata,
            stored_at: Instant::now(),
            expires_at,
            url_key,
            stream,
            body,
            joining: Mutex::default(),
        }
    }

    /// The body, for a reader. The first call joins its chunks, because the reader of a stored
    /// object is rarely the last one; a body that is read only while it is fetched is never copied.
    pub fn body(&self) -> Arc<Chunks> {
        let body = self.body.load_full();
        if !body.is_fragmented() {
            return body;
        }
        let _joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        let body = self.body.load();
        if body.is_fragmented() {
            self.body.store(Arc::new(body.to_contiguous()));
        }
        self.body.load_full()
    }

    /// Whether more than half of the freshness lifetime has passed.
    pub fn is_due_for_refresh(&self) -> bool {
        self.stored_at.elapsed() > self.expires_at.saturating_duration_since(Instant::now())
    }

    fn weight_bytes(&self) -> u32 {
        // An object with an empty body still costs its entry.
        u32::try_from(self.body.load().total_length() + 512).unwrap_or(u32::MAX)
    }
}

impl ObjectStore {
    pub fn new(bytes: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_: &ObjectKey, object: &Arc<CachedObject>| object.weight_bytes())
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    /// The object, if it is fresh. A stale object is removed.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<CachedObject>> {
        let object = self.0.get(key)?;
        if Instant::now() < object.expires_at {
            return Some(object);
        }
        self.0.invalidate(key);
        None
    }

    pub fn insert(&self, key: ObjectKey, object: CachedObject) {
        self.0.insert(key, Arc::new(object));
        // Evicts at once, not when the cache finds the time, because the memory limit is promised.
        self.0.run_pending_tasks();
    }

    /// Removes the objects that match, and returns their number.
    pub fn remove_matching(&self, matches: impl Fn(&CachedObject) -> bool) -> usize {
        let matching = self.0.iter().filter(|(_, object)| matches(object));
        let keys: Vec<ObjectKey> = matching.map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| self.0.invalidate(key));
        self.0.run_pending_tasks();
        keys.len()
    }

    pub fn stored_bytes(&self) -> u64 {
        self.0.weighted_size()
    }
}
