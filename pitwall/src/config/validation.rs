//! Non-fatal configuration errors, which disable a single source, the calendar or persistence: a
//! start logs them and goes on, `pitwall check` fails. Warnings are reported by both.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use pitwall_control_plane::IcsLocation;
use pitwall_proxy::server::tls::LoadedCertificate;

use super::{Config, ConfigError};
use crate::state;

impl Config {
    /// Errors in spite of which a start goes on.
    pub(crate) fn non_fatal_errors(&self) -> Vec<ConfigError> {
        let mut errors = self.address_policy_errors();
        if let Some(IcsLocation::File(path)) = &self.schedule.ics
            && let Err(error) = std::fs::read(path)
        {
            let why = format!("{}: {error}", path.display());
            errors.push(self.key_locations.error_for_key("schedule.ics_file", why));
        }
        errors.extend(self.state_error());
        errors
    }

    /// The error of a state directory that exists and cannot be written to.
    fn state_error(&self) -> Option<ConfigError> {
        self.unwritable_state_error().filter(|_| self.state.dir.exists())
    }

    /// URLs that the address policy forbids whatever their names resolve to.
    fn address_policy_errors(&self) -> Vec<ConfigError> {
        let own_listeners = self.own_listeners();
        let sources =
            self.sources.iter().zip(&self.source_locations).flat_map(|(source, location)| {
                let to_error = move |why| ConfigError::new(format!("{location}: source"), why);
                source.policy_denials(&own_listeners).into_iter().map(to_error)
            });
        let schedule = self.schedule.denials().into_iter();
        let schedule = schedule
            .map(|(key, why)| self.key_locations.error_for_key(&format!("schedule.{key}"), why));
        let webhooks = self.webhooks.iter().enumerate().filter_map(|(n, webhook)| {
            Some(self.key_locations.error_for_key(&format!("webhook.{n}.url"), webhook.denial()?))
        });
        sources.chain(schedule).chain(webhooks).collect()
    }

    /// Findings that may be intended.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let text = |path: &PathBuf| {
            format!("{} is ignored: a source is a file that ends in .toml", path.display())
        };
        let ignored = self.ignored_files.iter().map(text);
        ignored.chain(self.certificate_warning()).chain(self.state_warnings()).collect()
    }

    /// Of a certificate that has ended: a start goes on with it, as its renewal may be under way.
    fn certificate_warning(&self) -> Option<String> {
        let tls = self.edge.tls.as_ref()?;
        let not_after = LoadedCertificate::load(tls).ok()?.not_after()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        (u64::try_from(not_after).unwrap_or(0) <= now).then(|| {
            let why = format!("{}: it has ended, and no browser takes it", tls.cert.display());
            self.key_locations.error_for_key("edge.tls.cert", why).to_string()
        })
    }

    /// Says where segments cannot be kept on disk, which a start only logs: the cache does without.
    pub(crate) fn disk_cache_error(&self) -> Option<ConfigError> {
        let directory = &self.edge.cache.disk.as_ref()?.dir;
        let error = state::ensure_writable(directory).err()?;
        let why = format!("{}: nothing can be kept there: {error}", directory.display());
        Some(self.key_locations.error_for_key("edge.cache.disk", why))
    }

    fn state_warnings(&self) -> impl Iterator<Item = String> {
        // A missing state directory is only a warning, as the check may run on another machine than
        // the one that the configuration is for.
        let missing = self.unwritable_state_error().filter(|_| !self.state.dir.exists());
        self.unused_state_warning.clone().into_iter().chain(missing.map(|error| error.to_string()))
    }

    fn unwritable_state_error(&self) -> Option<ConfigError> {
        let directory = &self.state.dir;
        let error = state::ensure_writable(directory).err()?;
        let why = format!("{}: nothing can be kept there: {error}", directory.display());
        Some(self.key_locations.error_for_key("state.dir", why))
    }

    /// Logs the errors and warnings of the state directory: an edge uses neither sources nor a
    /// calendar.
    pub(crate) fn log_state_problems(&self) {
        self.state_error().iter().for_each(|error| tracing::error!("{error}"));
        let warnings = self.certificate_warning().into_iter().chain(self.state_warnings());
        warnings.for_each(|warning| tracing::warn!("{warning}"));
    }

    pub(crate) fn log_problems(&self) {
        self.non_fatal_errors().iter().for_each(|error| tracing::error!("{error}"));
        self.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    }
}
