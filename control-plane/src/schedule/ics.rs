//! Any iCalendar (RFC 5545): a URL or a file.
//!
//! - [`event`]: the text as events with moments, recurrences unrolled. One that cannot be read is
//!   told and left out.
//! - [`zone`]: what its times are in, also where only the calendar itself knows.
//! - [`summary`]: what an event's title says it is.
//! - [`group`]: events as meetings.

mod event;
mod group;
mod summary;
mod zone;

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use pitwall_fetch::{Fetcher, Policy};

use super::calendar::{Answer, Calendar};
use super::provider::{Provider, ProviderError, get};
use super::settings::{IcsPlace, ProviderName, ScheduleConfig};

const MAX_FILE: u64 = 4 << 20;

pub(crate) struct Ics {
    place: Option<IcsPlace>,
    policy: Policy,
}

pub(crate) fn provider(config: &ScheduleConfig) -> Box<dyn Provider> {
    let policy = match &config.ics {
        Some(IcsPlace::Url(url)) => config.policy(url),
        _ => Policy::default(),
    };
    Box::new(Ics { place: config.ics.clone(), policy })
}

#[async_trait]
impl Provider for Ics {
    fn name(&self) -> &'static str {
        ProviderName::ICS.0
    }

    fn origin(&self) -> String {
        match &self.place {
            Some(IcsPlace::Url(url)) => url.0.to_string(),
            Some(IcsPlace::File(path)) => path.display().to_string(),
            None => String::new(),
        }
    }

    async fn fetch(&self, fetcher: &Fetcher, now: Timestamp) -> Result<Answer, ProviderError> {
        let text = match &self.place {
            Some(IcsPlace::Url(url)) => {
                get(fetcher, &self.policy, url.0.clone(), now).await?.to_vec()
            }
            Some(IcsPlace::File(path)) => read(path).await?,
            // The configuration sees to it that there is one.
            None => return Err(ProviderError::new("neither ics_url nor ics_file")),
        };
        // A letter in another encoding costs that letter.
        let text = String::from_utf8_lossy(&text).into_owned();
        // Rules of recurrence can take a while.
        let parsed = tokio::task::spawn_blocking(move || calendar(&text, now)).await;
        parsed.unwrap_or_else(|error| Err(ProviderError::new(error.to_string())))
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, ProviderError> {
    // Without its path: what is wrong with a source is public.
    let unreadable = |error: std::io::Error| ProviderError::new(format!("the file: {error}"));
    let length = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
    if length > MAX_FILE {
        return Err(ProviderError::new("the file is too large"));
    }
    tokio::fs::read(path).await.map_err(unreadable)
}

fn calendar(text: &str, now: Timestamp) -> Result<Answer, ProviderError> {
    let (events, rejected) = event::parse(text, now).map_err(ProviderError::new)?;
    Ok(Answer { calendar: Calendar { season: None, meetings: group::meetings(events) }, rejected })
}

#[cfg(test)]
mod tests;
