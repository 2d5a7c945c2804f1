//! [`StoredScheduleFile`]: the last schedule on disk, which a restarted control plane serves before its
//! first poll.

use std::io;

use jiff::Timestamp;
use pitwall_upstream_map::StateDirectory;
use pitwall_upstream_map::documents::Schedule;
use serde::{Deserialize, Serialize};

use super::provider_snapshot::ProviderSnapshot;
use super::unlisted_sessions::UnlistedSessions;
use crate::state_file::StateFile;

const FORMAT_VERSION: u32 = 2;

#[derive(Clone, Debug)]
pub(crate) struct StoredScheduleFile(StateFile);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredSchedule {
    /// The schedule as last served, from which revisions and former ids continue.
    pub(crate) schedule: Schedule,
    #[serde(default)]
    pub(crate) unlisted: UnlistedSessions,
    pub(crate) opinions: Vec<StoredProvider>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StoredProvider {
    pub(crate) opinion: ProviderSnapshot,
    pub(crate) stale_since: Option<Timestamp>,
}

impl StoredScheduleFile {
    pub(crate) fn new(directory: StateDirectory) -> Self {
        Self(StateFile::new(directory, "schedule", FORMAT_VERSION))
    }

    pub(crate) fn load(&self) -> Option<StoredSchedule> {
        self.0.load()
    }

    pub(crate) fn save(&self, saved: &StoredSchedule) -> io::Result<()> {
        self.0.save(saved)
    }
}
