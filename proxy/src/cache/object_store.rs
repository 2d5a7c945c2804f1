//! Complete objects, limited in bytes. The least recently read one is evicted first, so that the
//! newest segment of a live stream is not evicted for one that all players have read.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::chunks::Chunks;
use super::fetch_budget::BudgetShare;
use super::object_key::ObjectKey;
use super::object_metadata::ObjectMetadata;

/// The stored objects, by key.
pub struct ObjectStore(Cache<ObjectKey, Arc<CachedObject>>);

/// A complete object, or a complete range of one.
///
/// Its body is in memory while it is in the store or is read, and no longer: the store keeps
/// entries for some time after it has evicted them.
pub struct CachedObject {
    pub metadata: Arc<ObjectMetadata>,
    pub stored_at: Instant,
    /// When the object becomes stale.
    pub expires_at: Instant,
    /// Key of the whole object that this one is, or is a range of.
    pub url_key: ObjectKey,
    pub stream: Option<Arc<str>>,
    length: u64,
    body: ArcSwap<Chunks>,
    /// Held while the body is joined, so that it is joined once.
    joining: Mutex<()>,
    /// Number of read guards, and [`EVICTED`].
    readers: AtomicU32,
    /// What the body takes of the fetch budget: nothing while the object is in the store.
    share: Arc<BudgetShare>,
}

/// The bit of `readers` that is set once the object has left the store.
const EVICTED: u32 = 1 << 31;

/// Keeps the body of an object in memory.
pub struct ReadGuard(Arc<CachedObject>);

impl CachedObject {
    pub fn new(
        metadata: Arc<ObjectMetadata>,
        body: Chunks,
        url_key: ObjectKey,
        stream: Option<Arc<str>>,
        expires_at: Instant,
        share: Arc<BudgetShare>,
    ) -> Self {
        Self {
            metadata,
            stored_at: Instant::now(),
            expires_at,
            url_key,
            stream,
            length: body.total_length(),
            body: ArcSwap::from_pointee(body),
            joining: Mutex::default(),
            readers: AtomicU32::default(),
            share,
        }
    }

    /// A guard for a reader; `None` once the body is gone.
    pub fn acquire_body(self: &Arc<Self>) -> Option<ReadGuard> {
        let add = |readers| (readers != EVICTED).then_some(readers + 1);
        self.readers.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        Some(ReadGuard(self.clone()))
    }

    /// Drops the body, or charges it to the fetch budget for as long as it is read.
    pub fn evict(&self) {
        self.share.charge_evicted(self.length);
        match self.readers.fetch_or(EVICTED, Ordering::AcqRel) {
            0 => self.drop_body(),
            _ => self.share.revoke_budget_excess(),
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

    /// The body as it is, for those who have read it while it was fetched.
    pub fn unjoined_body(&self) -> Arc<Chunks> {
        self.body.load_full()
    }

    pub fn budget_share(&self) -> &Arc<BudgetShare> {
        &self.share
    }

    /// Whether more than half of the freshness lifetime has passed.
    pub fn is_due_for_refresh(&self) -> bool {
        self.stored_at.elapsed() > self.expires_at.saturating_duration_since(Instant::now())
    }

    fn drop_body(&self) {
        self.body.store(Arc::default());
        self.share.shrink_to(0);
    }

    fn weight_bytes(&self) -> u32 {
        // An object with an empty body still costs its entry.
        u32::try_from(self.length + 512).unwrap_or(u32::MAX)
    }
}

impl Deref for ReadGuard {
    type Target = Arc<CachedObject>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Clone for ReadGuard {
    fn clone(&self) -> Self {
        // The body stays, because this guard holds it.
        self.0.readers.fetch_add(1, Ordering::AcqRel);
        Self(self.0.clone())
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        if self.0.readers.fetch_sub(1, Ordering::AcqRel) == EVICTED + 1 {
            self.0.drop_body();
        }
    }
}

impl ObjectStore {
    pub fn new(bytes: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_: &ObjectKey, object: &Arc<CachedObject>| object.weight_bytes())
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(|_, object: Arc<CachedObject>, _| object.evict())
            .build();
        Self(cache)
    }

    /// The object, if it is fresh. A stale object is removed.
    pub fn find_fresh(&self, key: &ObjectKey) -> Option<ReadGuard> {
        let object = self.0.get(key)?;
        if Instant::now() < object.expires_at {
            return object.acquire_body();
        }
        self.0.invalidate(key);
        None
    }

    pub fn insert(&self, key: ObjectKey, object: Arc<CachedObject>) {
        object.share.shrink_to(0);
        self.0.insert(key, object);
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
