//! [`FetchObserver`]: whether a fetch stalls, seen by one who does not read it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::inflight_fetch::InflightFetch;

/// Follows a fetch without being one of its readers.
#[derive(Clone)]
pub struct FetchObserver {
    fetch: Arc<InflightFetch>,
    changes: watch::Receiver<()>,
}

/// What becomes of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchEvent {
    /// Nothing of it has come for a while: neither its header nor a byte of its body.
    Stalled,
    Completed,
    Failed,
}

impl FetchObserver {
    pub(super) fn of(fetch: Arc<InflightFetch>) -> Self {
        let changes = fetch.subscribe();
        Self { fetch, changes }
    }

    /// Waits until the fetch has ended, or nothing of it has come for `stall_limit`.
    pub async fn wait_for_event(&mut self, stall_limit: Duration) -> FetchEvent {
        loop {
            self.changes.mark_unchanged();
            if let Some(is_complete) = self.fetch.has_succeeded() {
                return if is_complete { FetchEvent::Completed } else { FetchEvent::Failed };
            }
            // The sender lives in the fetch, which is held here.
            if timeout(stall_limit, self.changes.changed()).await.is_err() {
                return FetchEvent::Stalled;
            }
        }
    }

    /// Waits until the fetch has ended.
    pub async fn wait_for_end(&mut self) -> FetchEvent {
        self.wait_for_event(Duration::MAX).await
    }
}

impl std::fmt::Debug for FetchObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchProgress").finish_non_exhaustive()
    }
}
