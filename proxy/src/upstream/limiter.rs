//! Limit of concurrent requests to a source: some accounts allow two connections and are closed at
//! the third.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::Problem;

/// How long a request waits for a permit. Players time out not much later.
const PERMIT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The limiters of all sources, by request profile.
#[derive(Default)]
pub struct UpstreamLimiters(HashMap<String, LimiterEntry>);

struct LimiterEntry {
    limit: u32,
    semaphore: Arc<Semaphore>,
}

/// The limiter of one source; `None` if the source has no limit.
#[derive(Clone, Default)]
pub struct UpstreamLimiter(Option<Arc<Semaphore>>);

/// Permit of one request, held until its response has been read.
pub struct UpstreamPermit(
    #[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit,
);

impl UpstreamLimiters {
    /// The limiter of a profile with this limit of concurrent requests; `None`: no limit. It is the
    /// same one for as long as the limit is the same.
    pub fn limiter_for(&mut self, profile: &str, limit: Option<u32>) -> UpstreamLimiter {
        let Some(limit) = limit else { return UpstreamLimiter(None) };
        let new_entry =
            || LimiterEntry { limit, semaphore: Arc::new(Semaphore::new(limit as usize)) };
        let entry = self.0.entry(profile.to_owned()).or_insert_with(new_entry);
        if entry.limit != limit {
            // Requests in flight keep their permits of the old semaphore.
            *entry = new_entry();
        }
        UpstreamLimiter(Some(entry.semaphore.clone()))
    }
}

impl UpstreamLimiter {
    /// Waits for a permit; `Ok(None)` without a limit.
    ///
    /// # Errors
    /// [`Problem::Unavailable`] if none is free within [`PERMIT_ACQUIRE_TIMEOUT`].
    pub async fn acquire(&self) -> Result<Option<UpstreamPermit>, Problem> {
        let Some(semaphore) = &self.0 else { return Ok(None) };
        let acquired =
            tokio::time::timeout(PERMIT_ACQUIRE_TIMEOUT, semaphore.clone().acquire_owned()).await;
        match acquired {
            Ok(Ok(permit)) => Ok(Some(UpstreamPermit(permit))),
            _ => Err(Problem::Unavailable("its source allows no more requests at once")),
        }
    }

    /// Whether a request would be sent without waiting.
    pub fn has_free_permit(&self) -> bool {
        self.0.as_ref().is_none_or(|semaphore| semaphore.available_permits() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_gets_no_more_than_its_limit_of_concurrent_requests() {
        let mut limiters = UpstreamLimiters::default();
        let limiter = limiters.limiter_for("club", Some(1));
        let first = limiter.acquire().await.unwrap();
        assert!(!limiters.limiter_for("club", Some(1)).has_free_permit());
        assert!(limiters.limiter_for("other", Some(1)).has_free_permit());
        assert!(limiters.limiter_for("club", None).has_free_permit());
        let refused = limiter.acquire().await.err();
        assert!(matches!(refused, Some(Problem::Unavailable(_))));
        let (waiting, ()) = tokio::join!(limiter.acquire(), async { drop(first) });
        assert!(waiting.is_ok());
    }

    #[tokio::test]
    async fn a_changed_limit_applies_at_once() {
        let mut limiters = UpstreamLimiters::default();
        let _held = limiters.limiter_for("club", Some(1)).acquire().await.unwrap();
        assert!(limiters.limiter_for("club", Some(2)).has_free_permit());
    }
}
