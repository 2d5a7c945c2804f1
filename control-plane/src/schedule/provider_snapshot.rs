//! [`ProviderSnapshot`]: the last good calendar of one provider.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calendar::{ProviderCalendar, ProviderResponse, RejectedItem};
use super::provider::{Provider, ProviderError};
use super::{history, plausibility};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProviderSnapshot {
    pub(crate) provider: String,
    /// See [`Provider::location`].
    pub(crate) origin: String,
    pub(crate) fetched_at: Timestamp,
    pub(crate) calendar: ProviderCalendar,
}

impl ProviderSnapshot {
    /// Builds the snapshot of a response, with the history of the `last` one, and returns it with
    /// the items that were rejected. `accept_break` skips [`history::check_continuity`], for a
    /// provider that has contradicted its last snapshot for long.
    ///
    /// # Errors
    /// The response is implausible by itself, or does not follow on the last snapshot.
    pub(crate) fn from_response(
        provider: &dyn Provider,
        last: Option<&Self>,
        response: ProviderResponse,
        accept_break: bool,
        now: Timestamp,
    ) -> Result<(Self, Vec<RejectedItem>), ProviderError> {
        let response =
            plausibility::reject_implausible(response).map_err(ProviderError::implausible)?;
        let ProviderResponse { calendar: fresh, rejected } = response;
        let calendar = match last {
            None => fresh,
            Some(last) => {
                let continuity = history::check_continuity(&last.calendar, &fresh, now);
                if !accept_break {
                    continuity.map_err(ProviderError::implausible)?;
                }
                let omission_cancels = provider.is_omission_cancellation();
                history::carry_over_history(&last.calendar, fresh, &rejected, omission_cancels, now)
            }
        };
        let (provider, origin) = (provider.name().to_owned(), provider.location());
        Ok((Self { provider, origin, fetched_at: now, calendar }, rejected))
    }
}
