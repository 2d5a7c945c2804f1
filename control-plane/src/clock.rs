//! The wall clock, which tests can set. Delays use tokio's clock, which tests pause.

use std::sync::Arc;

use jiff::Timestamp;

#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    pub(crate) fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A clock that starts at `start` and advances with tokio's clock.
    #[cfg(test)]
    pub(crate) fn paused_at(start: Timestamp) -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || start.checked_add(origin.elapsed()).unwrap()))
    }

    /// A clock that shows the current value of `time`.
    #[cfg(test)]
    pub(crate) fn manual(time: Arc<std::sync::Mutex<Timestamp>>) -> Self {
        Self(Arc::new(move || *time.lock().unwrap()))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}
