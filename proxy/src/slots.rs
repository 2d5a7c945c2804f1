//! How many requests a source is sent at once: some accounts allow two, and close at the third.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// How long a request waits for another to end. A player gives up not much later.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Slots(Mutex<HashMap<String, Limited>>);

#[derive(Clone)]
struct Limited {
    limit: u32,
    free: Arc<Semaphore>,
}

/// A source's; of one without a limit there are always some.
#[derive(Clone, Default)]
pub struct Slot(Option<Arc<Semaphore>>);

/// Held for as long as a request and its answer take.
pub struct Taken(
    #[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit,
);

impl Slots {
    pub fn of(&self, profile: &str, limit: Option<u32>) -> Slot {
        let Some(limit) = limit else { return Slot(None) };
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Limited { limit, free: Arc::new(Semaphore::new(limit as usize)) };
        let known = slots.entry(profile.to_owned()).or_insert_with(new);
        if known.limit != limit {
            // Those under way end on the old one.
            *known = new();
        }
        Slot(Some(known.free.clone()))
    }
}

impl Slot {
    pub async fn take(&self) -> Result<Option<Taken>, Problem> {
        let Some(free) = &self.0 else { return Ok(None) };
        let taken = tokio::time::timeout(PATIENCE, free.clone().acquire_owned()).await;
        match taken {
            Ok(Ok(permit)) => Ok(Some(Taken(permit))),
            _ => Err(Problem::Unavailable("its source allows no more requests at once")),
        }
    }

    /// Would a request be sent at once?
    pub fn is_free(&self) -> bool {
        self.0.as_ref().is_none_or(|free| free.available_permits() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_is_sent_so_many_at_once() {
        let slots = Slots::default();
        let slot = slots.of("club", Some(1));
        let first = slot.take().await.unwrap();
        assert!(!slots.of("club", Some(1)).is_free());
        assert!(slots.of("other", Some(1)).is_free());
        assert!(slots.of("club", None).is_free());
        let refused = slot.take().await.err();
        assert!(matches!(refused, Some(Problem::Unavailable(_))));
        let (waiting, ()) = tokio::join!(slot.take(), async { drop(first) });
        assert!(waiting.is_ok());
    }

    #[tokio::test]
    async fn another_limit_holds_at_once() {
        let slots = Slots::default();
        let _held = slots.of("club", Some(1)).take().await.unwrap();
        assert!(slots.of("club", Some(2)).is_free());
    }
}
