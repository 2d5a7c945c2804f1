//! [`IcsProvider`]: any iCalendar (RFC 5545), from a URL or a file.
//!
//! - [`event`]: parses the events, with the exceptions of those that recur.
//! - [`event_time`]: when an event begins and how long it lasts. [`recurrence`]: when it recurs.
//! - [`zone`]: the time zones of the calendar, of the database or its own.
//! - [`summary`]: the meeting and session that an event's title names.
//! - [`group`]: groups events into meetings.
//! - [`component`]: properties that events and time zones share.

mod component;
mod event;
mod event_time;
mod group;
mod recurrence;
mod summary;
mod zone;

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use pitwall_fetch::{AddressPolicy, Fetcher};

use super::calendar::{ProviderCalendar, ProviderResponse};
use super::provider::{Provider, ProviderError, decode_body, fetch_text};
use super::settings::{IcsLocation, ProviderName, ScheduleConfig};

const FILE_MAX_BYTES: u64 = 4 << 20;

pub(crate) struct IcsProvider {
    location: Option<IcsLocation>,
    policy: AddressPolicy,
}

pub(crate) fn build_provider(config: &ScheduleConfig) -> Box<dyn Provider> {
    let policy = match &config.ics {
        Some(IcsLocation::Url(url)) => config.policy(url),
        _ => AddressPolicy::default(),
    };
    Box::new(IcsProvider { location: config.ics.clone(), policy })
}

#[async_trait]
impl Provider for IcsProvider {
    fn name(&self) -> &'static str {
        ProviderName::ICS.0
    }

    fn location(&self) -> String {
        match &self.location {
            Some(IcsLocation::Url(url)) => url.0.to_string(),
            Some(IcsLocation::File(path)) => path.display().to_string(),
            None => String::new(),
        }
    }

    async fn fetch_calendar(
        &self,
        fetcher: &Fetcher,
        now: Timestamp,
    ) -> Result<ProviderResponse, ProviderError> {
        let text = match &self.location {
            Some(IcsLocation::Url(url)) => {
                fetch_text(fetcher, &self.policy, url.0.clone(), now).await?
            }
            Some(IcsLocation::File(path)) => decode_body(&read_file(path).await?, None)?,
            // `ScheduleConfig` refuses the provider without a location.
            None => return Err(ProviderError::new("neither ics_url nor ics_file")),
        };
        // Expanding recurrences may take long, and would stall the runtime's thread.
        let parsed = tokio::task::spawn_blocking(move || parse_calendar(&text, now)).await;
        parsed.unwrap_or_else(|error| Err(ProviderError::new(error.to_string())))
    }
}

async fn read_file(path: &Path) -> Result<Vec<u8>, ProviderError> {
    // The error of a provider is public, so that it does not show the file's path.
    let unreadable = |error: std::io::Error| ProviderError::new(format!("the file: {error}"));
    let length = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
    if length > FILE_MAX_BYTES {
        return Err(ProviderError::new("the file is too large"));
    }
    tokio::fs::read(path).await.map_err(unreadable)
}

pub(super) fn parse_calendar(
    text: &str,
    now: Timestamp,
) -> Result<ProviderResponse, ProviderError> {
    let (events, rejected) = event::parse_events(text, now).map_err(ProviderError::new)?;
    Ok(ProviderResponse {
        calendar: ProviderCalendar { season: None, meetings: group::group_into_meetings(events) },
        rejected,
    })
}

#[cfg(test)]
mod tests;
