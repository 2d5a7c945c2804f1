//! The schedule: read from its providers, judged, laid over each other, kept on disk, served
//! with its age.
//!
//! In the order in which an answer travels through it:
//!
//! - [`jolpica`], [`openf1`], [`ics`]: the providers. A new one is a file and a line in
//!   [`KINDS`].
//! - [`calendar`]: what each of them tells.
//! - [`sanity`], [`history`]: answers that are refused whole; what one source said before.
//! - [`opinion`], [`desk`]: the last good answer of a source, and when it is asked again.
//! - [`merge`]: all opinions as one schedule; [`overrides`]: the operator's word.
//! - [`window`]: when a session is live; its status at a moment.
//! - [`snapshot`]: the last good schedule on disk. [`cadence`]: how often to ask.
//! - [`poll`]: the loop over all of these. [`metrics`]: what is counted.
//!
//! A schedule is held as the public [`Schedule`] document, whose statuses are only true at
//! the moment [`window::at`] wrote them: what is stored tells `Cancelled` from the rest.

mod cadence;
mod calendar;
mod desk;
mod history;
mod ics;
mod jolpica;
mod merge;
mod metrics;
mod openf1;
mod opinion;
mod overrides;
mod poll;
mod provider;
#[cfg(test)]
mod samples;
mod sanity;
mod settings;
mod snapshot;
pub(crate) mod window;

use pitwall_upstream_map::documents::{ProviderStatus, Schedule};

pub(crate) use metrics::Metrics;
pub use overrides::OverrideError;
pub(crate) use poll::Poller;
use provider::Provider;
pub use settings::{IcsPlace, ProviderName, ScheduleConfig};

/// A provider's name in the configuration, and how it is made.
type Kind = (&'static str, fn(&ScheduleConfig) -> Box<dyn Provider>);

const KINDS: &[Kind] = &[
    (ProviderName::JOLPICA.0, jolpica::provider),
    (ProviderName::OPENF1.0, openf1::provider),
    (ProviderName::ICS.0, ics::provider),
];

fn providers(config: &ScheduleConfig) -> Vec<Box<dyn Provider>> {
    let make = |name: &ProviderName| {
        let kind = KINDS.iter().find(|(kind, _)| *kind == name.0)?;
        Some(kind.1(config))
    };
    config.providers.iter().filter_map(make).collect()
}

/// What the rest of the control plane sees of the schedule.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) schedule: Schedule,
    /// Everything that is wrong with its sources.
    pub(crate) error: Option<String>,
    pub(crate) disagreements: usize,
    pub(crate) providers: Vec<ProviderStatus>,
}

/// Judges an override file without using it.
pub fn check_overrides(config: &ScheduleConfig) -> Result<(), OverrideError> {
    config.override_file.as_deref().map_or(Ok(()), |path| overrides::read(path).map(drop))
}
