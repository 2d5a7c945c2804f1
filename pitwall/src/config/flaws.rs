//! What is wrong with a configuration and costs one source, the calendar or what is learned, but
//! not the whole: a start says so and goes on, a check does not let it pass.

use std::path::PathBuf;

use pitwall_control_plane::IcsPlace;

use super::{Config, Invalid};
use crate::state;

impl Config {
    pub(crate) fn flaws(&self) -> Vec<Invalid> {
        let mut flaws = self.denials();
        if let Some(IcsPlace::File(path)) = &self.schedule.ics
            && let Err(error) = std::fs::read(path)
        {
            let why = format!("{}: {error}", path.display());
            flaws.push(self.origins.invalid("schedule.ics_file", why));
        }
        flaws.extend(self.state_flaw());
        flaws
    }

    fn state_flaw(&self) -> Option<Invalid> {
        self.unwritable_state().filter(|_| self.state.dir.exists())
    }

    /// What the address policy forbids whatever names resolve to.
    fn denials(&self) -> Vec<Invalid> {
        let sources = self.sources.iter().zip(&self.source_places).flat_map(|(source, place)| {
            let at = move |why| Invalid::new(format!("{place}: source"), why);
            source.denials().into_iter().map(at)
        });
        let schedule = self.schedule.denials().into_iter();
        let schedule =
            schedule.map(|(key, why)| self.origins.invalid(&format!("schedule.{key}"), why));
        let webhooks = self.webhooks.iter().enumerate().filter_map(|(n, webhook)| {
            Some(self.origins.invalid(&format!("webhook.{n}.url"), webhook.denial()?))
        });
        sources.chain(schedule).chain(webhooks).collect()
    }

    /// What is noteworthy and may be meant.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let text = |path: &PathBuf| {
            format!("{} is ignored: a source is a file that ends in .toml", path.display())
        };
        self.ignored.iter().map(text).chain(self.state_remarks()).collect()
    }

    fn state_remarks(&self) -> impl Iterator<Item = String> {
        // A check may be made on another machine than the one that the configuration is for.
        let elsewhere = self.unwritable_state().filter(|_| !self.state.dir.exists());
        self.left_behind.clone().into_iter().chain(elsewhere.map(|flaw| flaw.to_string()))
    }

    fn unwritable_state(&self) -> Option<Invalid> {
        let directory = &self.state.dir;
        let error = state::is_writable(directory).err()?;
        let why = format!("{}: nothing can be kept there: {error}", directory.display());
        Some(self.origins.invalid("state.dir", why))
    }

    /// For an edge, which has neither sources nor a calendar.
    pub(crate) fn report_state(&self) {
        self.state_flaw().iter().for_each(|flaw| tracing::error!("{flaw}"));
        self.state_remarks().for_each(|remark| tracing::warn!("{remark}"));
    }

    pub(crate) fn report_flaws(&self) {
        self.flaws().iter().for_each(|flaw| tracing::error!("{flaw}"));
        self.remarks().iter().for_each(|remark| tracing::warn!("{remark}"));
    }
}
