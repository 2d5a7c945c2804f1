//! The last good calendar of one source.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calendar::{Answer, Calendar, RejectedItem};
use super::provider::{Provider, ProviderError};
use super::{history, sanity};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opinion {
    pub(crate) provider: String,
    /// See [`Provider::origin`].
    pub(crate) origin: String,
    pub(crate) fetched_at: Timestamp,
    pub(crate) calendar: Calendar,
}

impl Opinion {
    /// What a provider says now, if it can be believed, and what of it cannot. What it `insists` on
    /// may be in conflict with what it said before, though not with itself.
    pub(crate) fn form(
        provider: &dyn Provider,
        last: Option<&Self>,
        answer: Answer,
        insists: bool,
        now: Timestamp,
    ) -> Result<(Self, Vec<RejectedItem>), ProviderError> {
        let answer = sanity::sift(answer).map_err(ProviderError::refused)?;
        let Answer { calendar: fresh, rejected } = answer;
        let calendar = match last {
            None => fresh,
            Some(last) => {
                let judged = history::check(&last.calendar, &fresh, now);
                if !insists {
                    judged.map_err(ProviderError::refused)?;
                }
                let drops = provider.drops_cancelled();
                history::carry(&last.calendar, fresh, &rejected, drops, now)
            }
        };
        let (provider, origin) = (provider.name().to_owned(), provider.origin());
        Ok((Self { provider, origin, fetched_at: now, calendar }, rejected))
    }
}
