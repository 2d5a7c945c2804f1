//! [`PrefetchOutcome`]: how far a prefetch has come.

use tokio::task::JoinHandle;

use super::fetch_progress::FetchObserver;
use crate::http::problem::Problem;

/// Outcome of a prefetch.
#[derive(Debug)]
pub enum PrefetchOutcome {
    Stored,
    /// The object is stored and being fetched once more, before it is stale.
    Refreshing,
    /// `coalesced`: another request has started the fetch.
    Inflight {
        completion: JoinHandle<Result<(), Problem>>,
        progress: FetchObserver,
        coalesced: bool,
    },
    /// The upstream has refused the object, now or within [`PROBLEM_TTL`](super::negative_cache::PROBLEM_TTL).
    Failed(Problem),
    /// The object is left to the first request for it.
    Skipped,
}

impl PrefetchOutcome {
    /// Waits until the object is stored, or is left to the first request for it.
    ///
    /// # Errors
    /// The problem with which its fetch ended.
    pub async fn wait_until_done(self) -> Result<(), Problem> {
        match self {
            Self::Inflight { completion, .. } => completion.await.unwrap_or(Ok(())),
            Self::Failed(problem) => Err(problem),
            Self::Stored | Self::Refreshing | Self::Skipped => Ok(()),
        }
    }
}
