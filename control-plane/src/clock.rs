//! The wall clock, which tests turn by hand. Waiting is tokio's business, whose clock tests
//! pause.

use std::sync::Arc;

use jiff::Timestamp;

#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    pub(crate) fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// Starts at `start` and moves with tokio's clock.
    #[cfg(test)]
    pub(crate) fn paused_at(start: Timestamp) -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || start.checked_add(origin.elapsed()).unwrap()))
    }

    /// Shows what `hand` was set to.
    #[cfg(test)]
    pub(crate) fn by_hand(hand: Arc<std::sync::Mutex<Timestamp>>) -> Self {
        Self(Arc::new(move || *hand.lock().unwrap()))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}
