//! What was read last, so that a restart serves it before any fetch.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use pitwall_upstream_map::documents::Schedule;
use serde::{Deserialize, Serialize};

use super::opinion::Opinion;
use crate::state_file::StateFile;

const FORMAT: u32 = 2;

#[derive(Clone, Debug)]
pub(crate) struct Snapshot(StateFile);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// As it was served: revisions and former ids live on in it.
    pub(crate) schedule: Schedule,
    pub(crate) opinions: Vec<Kept>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) opinion: Opinion,
    pub(crate) stale_since: Option<Timestamp>,
}

impl Snapshot {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self(StateFile::new(directory, "schedule", FORMAT))
    }

    pub(crate) fn load(&self) -> Option<Saved> {
        self.0.load()
    }

    pub(crate) fn save(&self, saved: &Saved) -> io::Result<()> {
        self.0.save(saved)
    }
}
