//! The schedule: read from its providers, checked for plausibility, merged, stored on disk, and
//! served with its age.
//!
//! In the order in which a provider's response passes through them:
//!
//! - [`provider`]: the trait of a provider. [`jolpica`], [`openf1`], [`ics`]: the providers; a new
//!   one is a module and an entry in [`PROVIDER_KINDS`].
//! - [`calendar`]: the meetings and sessions that one provider lists.
//! - [`plausibility`]: rejects what cannot be true. [`history`]: carries over what the same
//!   provider listed before.
//! - [`provider_snapshot`], [`provider_state`]: a provider's last good calendar, and when to poll
//!   it again.
//! - [`merge`]: merges all snapshots into one schedule. [`overrides`]: the operator's overrides.
//! - [`live_window`]: when a session is live, and its status at a given time.
//! - [`unlisted_sessions`]: sessions that were listed before, whose revisions continue.
//! - [`schedule_file`]: the last good schedule on disk. [`cadence`]: the poll intervals.
//! - [`poller`]: the loop over all of these. [`metrics`], [`settings`]: Prometheus metrics and
//!   `[schedule]`.
//!
//! The schedule is held as the public [`Schedule`] document. Its statuses are valid only at the
//! time that [`live_window::schedule_at`] computed them for; the stored document only distinguishes
//! `Cancelled` from the others.

mod cadence;
mod calendar;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod history;
mod ics;
mod jolpica;
pub(crate) mod live_window;
mod loose_json;
mod merge;
mod metrics;
mod openf1;
mod overrides;
mod plausibility;
mod poller;
mod provider;
mod provider_snapshot;
mod provider_state;
#[cfg(test)]
mod samples;
mod schedule_file;
mod settings;
mod unlisted_sessions;

use pitwall_upstream_map::documents::{ProviderStatus, Schedule};

pub(crate) use metrics::ScheduleMetrics;
pub use overrides::OverrideError;
pub(crate) use poller::SchedulePoller;
use provider::Provider;
pub use settings::{IcsLocation, ProviderName, ScheduleConfig};

/// A provider's name in the configuration, and the function that builds it.
type ProviderFactory = (&'static str, fn(&ScheduleConfig) -> Box<dyn Provider>);

const PROVIDER_KINDS: &[ProviderFactory] = &[
    (ProviderName::JOLPICA.0, jolpica::build_provider),
    (ProviderName::OPENF1.0, openf1::build_provider),
    (ProviderName::ICS.0, ics::build_provider),
];

fn build_providers(config: &ScheduleConfig) -> Vec<Box<dyn Provider>> {
    let build = |name: &ProviderName| {
        let kind = PROVIDER_KINDS.iter().find(|(kind, _)| *kind == name.0)?;
        Some(kind.1(config))
    };
    config.providers.iter().filter_map(build).collect()
}

/// The schedule and its condition, for the rest of the control plane.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScheduleState {
    pub(crate) schedule: Schedule,
    /// The errors of all providers and of the override file; public.
    pub(crate) error: Option<String>,
    /// The number of sessions not over on which providers disagree.
    pub(crate) disagreements: usize,
    pub(crate) providers: Vec<ProviderStatus>,
}

/// How many sessions and meetings a text of an override file called `name` overrides.
///
/// # Errors
/// One of its keys is wrong.
pub(crate) fn count_overrides(name: &str, text: &str) -> Result<usize, OverrideError> {
    overrides::parse_overrides(name, text).map(|overrides| overrides.len())
}

/// Checks the configured override file without applying it.
///
/// # Errors
/// The file cannot be read, or one of its keys is wrong.
pub fn check_overrides(config: &ScheduleConfig) -> Result<(), OverrideError> {
    config.override_file.as_deref().map_or(Ok(()), |path| overrides::read_overrides(path).map(drop))
}
