//! [`Clock`]: the injectable source of time that every other module reads.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The origin's source of wall-clock time; a clone shares the same time function.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// A clock that calls `now` for every reading, so that a test sets the time by what `now`
    /// returns.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// Unix time in milliseconds; a time before 1970 reads as 0.
    pub(crate) fn unix_millis(&self) -> u64 {
        let since_epoch = self.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    /// Unix time in whole seconds, rounded down.
    pub(crate) fn unix_seconds(&self) -> u64 {
        self.unix_millis() / 1000
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}
