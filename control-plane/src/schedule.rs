//! The schedule: read from a provider, judged, kept on disk, served with its age.
//!
//! - [`jolpica`]: the provider of Formula 1's calendar. A new one is a file and a line in
//!   [`providers`].
//! - [`window`]: when a session is live; its status at a moment.
//! - [`sanity`]: payloads that are refused whole.
//! - [`merge`]: what is carried from the last good schedule into the next.
//! - [`snapshot`]: the last good schedule on disk.
//! - [`cadence`]: when to ask again.
//! - [`poll`]: the loop over all of these.
//!
//! A schedule is held as the public [`Schedule`] document, whose statuses are only true at
//! the moment [`window::at`] wrote them: what is stored tells `Cancelled` from the rest.

mod cadence;
mod jolpica;
mod merge;
mod poll;
mod sanity;
mod snapshot;
pub(crate) mod window;

use std::time::Duration;

use async_trait::async_trait;
use pitwall_fetch::{Fetcher, Policy, PrivateRange};
use pitwall_upstream_map::documents::{Meeting, Schedule};
use serde::Deserialize;

pub(crate) use poll::Poller;

use crate::settings::HttpUrl;

/// `[schedule]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Asked in this order; the first sane answer wins. Empty: no schedule.
    pub providers: Vec<ProviderName>,
    /// Where the Ergast-shaped API lives, without `/f1/…`.
    pub jolpica_url: HttpUrl,
    /// Private ranges in which a provider may live.
    pub allow_private: Vec<PrivateRange>,
    /// Ports beside 80, 443 and the one in `jolpica_url`.
    pub ports: Vec<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderName {
    Jolpica,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            providers: vec![ProviderName::Jolpica],
            jolpica_url: HttpUrl::fixed("https://api.jolpi.ca/ergast"),
            allow_private: Vec::new(),
            ports: Vec::new(),
        }
    }
}

impl ScheduleConfig {
    fn policy(&self) -> Policy {
        let configured = self.jolpica_url.0.port();
        Policy {
            allow_private: self.allow_private.iter().map(|range| range.0).collect(),
            ports: self.ports.iter().copied().chain(configured).collect(),
        }
    }
}

/// Somewhere a calendar can be read from.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    fn name(&self) -> &'static str;

    /// What a snapshot is tied to: another place's calendar is not this one's last good.
    fn origin(&self) -> String;

    async fn fetch(&self, fetcher: &Fetcher) -> Result<Calendar, ProviderError>;
}

/// What a provider answered, before it is judged.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) season: String,
    pub(crate) meetings: Vec<Meeting>,
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ProviderError {
    pub(crate) message: String,
    /// The provider's own wish.
    pub(crate) retry_after: Option<Duration>,
}

impl ProviderError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), retry_after: None }
    }
}

/// What the rest of the control plane sees of the schedule.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) schedule: Schedule,
    /// Why it is stale.
    pub(crate) error: Option<String>,
}

fn providers(config: &ScheduleConfig) -> Vec<Box<dyn Provider>> {
    let each = config.providers.iter().map(|name| -> Box<dyn Provider> {
        match name {
            ProviderName::Jolpica => {
                Box::new(jolpica::Jolpica::new(config.jolpica_url.0.clone(), config.policy()))
            }
        }
    });
    each.collect()
}
