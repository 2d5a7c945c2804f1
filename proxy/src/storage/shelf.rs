//! Complete objects, weighed in bytes. The one that was not read for longest goes first: what a
//! live stream has just made is never given up for what everybody has seen.

use std::sync::{Arc, Mutex, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::time::Instant;

use super::Key;
use super::fill::Head;
use super::pieces::Pieces;

pub struct Shelf(Cache<Key, Arc<Object>>);

/// A complete object.
pub struct Object {
    pub head: Arc<Head>,
    pub stored: Instant,
    /// Until when it may be given again.
    pub until: Instant,
    /// The whole that this is, or is a part of.
    pub whole: Key,
    pub stream: Option<Arc<str>>,
    body: Mutex<Arc<Pieces>>,
}

impl Object {
    pub fn new(
        head: Arc<Head>,
        body: Pieces,
        whole: Key,
        stream: Option<Arc<str>>,
        until: Instant,
    ) -> Self {
        let body = Mutex::new(Arc::new(body));
        Self { head, stored: Instant::now(), until, whole, stream, body }
    }

    /// For a reader. The second one of an object is rarely the last, so it finds it in one piece;
    /// what is read only once is never copied.
    pub fn body(&self) -> Arc<Pieces> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        if body.is_scattered() {
            *body = Arc::new(body.joined());
        }
        body.clone()
    }

    /// Is it past the middle of its life?
    pub fn is_old(&self) -> bool {
        self.stored.elapsed() > self.until.saturating_duration_since(Instant::now())
    }

    fn weight(&self) -> u32 {
        // An empty body still costs its entry.
        let body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(body.end() + 512).unwrap_or(u32::MAX)
    }
}

impl Shelf {
    pub fn new(bytes: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_: &Key, object: &Arc<Object>| object.weight())
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        let object = self.0.get(key)?;
        if Instant::now() < object.until {
            return Some(object);
        }
        self.0.invalidate(key);
        None
    }

    pub fn put(&self, key: Key, object: Object) {
        self.0.insert(key, Arc::new(object));
        // At once, not when the cache finds the time: memory is promised.
        self.0.run_pending_tasks();
    }

    /// How many there were.
    pub fn remove(&self, which: impl Fn(&Object) -> bool) -> usize {
        let found = self.0.iter().filter(|(_, object)| which(object));
        let keys: Vec<Key> = found.map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| self.0.invalidate(key));
        self.0.run_pending_tasks();
        keys.len()
    }

    pub fn bytes(&self) -> u64 {
        self.0.weighted_size()
    }
}
