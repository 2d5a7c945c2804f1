//! [`Shards`]: a value that is split over several mutexes, so that threads hardly ever wait for each
//! other.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More than the threads of most edges.
pub const SHARD_COUNT: usize = 32;

/// [`SHARD_COUNT`] values, each behind its own mutex.
pub struct Shards<T>([Mutex<T>; SHARD_COUNT]);

impl<T> Shards<T> {
    pub fn new(value: impl Fn() -> T) -> Self {
        Self(std::array::from_fn(|_| Mutex::new(value())))
    }

    /// The shard of a key.
    pub fn lock_shard_of_key(&self, key: impl Hash) -> MutexGuard<'_, T> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.at(hasher.finish() as usize)
    }

    /// The shard of this thread, for which no other thread waits while there are no more threads
    /// than shards.
    pub fn lock_thread_shard(&self) -> MutexGuard<'_, T> {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static INDEX: usize = THREADS.fetch_add(1, Ordering::Relaxed));
        self.at(INDEX.with(|index| *index))
    }

    /// Each shard in turn.
    pub fn iter(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.0.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn at(&self, index: usize) -> MutexGuard<'_, T> {
        self.0[index % SHARD_COUNT].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}
