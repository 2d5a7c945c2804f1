//! A response that is passed through to the one reader who asked for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pitwall_fetch::Response;

use super::fetch_budget::{BudgetShare, FetchBudget};
use super::inflight_fetch::cut_off_problem;
use crate::http::problem::Problem;

/// What one response takes of the budget: the chunk that is being written.
const BUFFER_BYTES: u64 = 256 * 1024;

/// How long a request waits for its share of the budget.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A response, and its share of the fetch budget.
pub struct Bypass {
    pub response: Box<Response>,
    share: Arc<BudgetShare>,
}

impl Bypass {
    /// Reserves what one response takes of the budget.
    ///
    /// # Errors
    /// [`Problem::Busy`] while others use all of it.
    pub(super) async fn reserve(budget: &FetchBudget) -> Result<Arc<BudgetShare>, Problem> {
        let share = budget.new_share();
        let bytes = BUFFER_BYTES.min(share.budget_limit_bytes());
        match share.grow(bytes, ACQUIRE_TIMEOUT).await {
            true => Ok(share),
            false => Err(Problem::Busy("there is no memory for another transfer")),
        }
    }

    pub(super) fn new(response: Response, share: Arc<BudgetShare>) -> Self {
        share.mark_progress();
        share.make_revocable();
        Self { response: Box::new(response), share }
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// The problem with which the response broke off, or this reader was cut off.
    pub async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        if self.share.is_revoked() {
            return Err(cut_off_problem());
        }
        let chunk = self.response.chunk().await?;
        self.share.mark_progress();
        Ok(chunk)
    }

    /// Waits until this reader is cut off, because others need its share of the budget.
    pub async fn wait_until_cut_off(&self) -> Problem {
        self.share.wait_until_cut_off(|| self.share.is_revoked()).await;
        cut_off_problem()
    }
}
