//! The last good calendar of one source.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
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
    /// What a provider says now, if it can be believed. What it `insists` on may be in conflict
    /// with what it said before, though not with itself.
    pub(crate) fn form(
        provider: &dyn Provider,
        last: Option<&Self>,
        fresh: Calendar,
        insists: bool,
        now: Timestamp,
    ) -> Result<Self, ProviderError> {
        sanity::check(&fresh).map_err(ProviderError::refused)?;
        let calendar = match last {
            None => fresh,
            Some(last) => {
                let judged = history::check(&last.calendar, &fresh, now);
                if !insists {
                    judged.map_err(ProviderError::refused)?;
                }
                history::carry(&last.calendar, fresh, provider.drops_cancelled(), now)
            }
        };
        Ok(Self {
            provider: provider.name().to_owned(),
            origin: provider.origin(),
            fetched_at: now,
            calendar,
        })
    }
}
