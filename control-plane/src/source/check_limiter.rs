//! [`CheckLimiter`]: all checks of one source together send it no more concurrent requests than its
//! `connections` allow.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The connections that the checks of one source share; `None` without a limit.
#[derive(Clone)]
pub(crate) struct CheckLimiter(Option<Arc<Semaphore>>);

/// One check's share of a source's connections, until it is dropped.
pub(crate) struct CheckPermit {
    /// How many requests the check may send concurrently.
    pub(crate) max_concurrency: usize,
    #[expect(dead_code, reason = "given back when it is dropped")]
    permit: Option<OwnedSemaphorePermit>,
}

impl CheckLimiter {
    pub(crate) fn new(connections: Option<NonZeroU32>) -> Self {
        Self(connections.map(|limit| Arc::new(Semaphore::new(limit.get() as usize))))
    }

    /// Waits for one connection and takes, without waiting, further free ones up to
    /// `max_concurrency`. A check that holds a connection never waits for another, so checks cannot
    /// deadlock.
    pub(crate) async fn acquire(&self, max_concurrency: usize) -> CheckPermit {
        let unlimited = CheckPermit { max_concurrency, permit: None };
        let Some(semaphore) = &self.0 else { return unlimited };
        // `acquire_owned` fails only on a closed semaphore, and this one is never closed.
        let Ok(mut permit) = semaphore.clone().acquire_owned().await else { return unlimited };
        while permit.num_permits() < max_concurrency
            && let Ok(another) = semaphore.clone().try_acquire_owned()
        {
            permit.merge(another);
        }
        CheckPermit { max_concurrency: permit.num_permits(), permit: Some(permit) }
    }
}
