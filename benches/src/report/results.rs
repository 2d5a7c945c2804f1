//! All records as they are on disk.

use std::path::Path;

use crate::peers::Skipped;
use crate::program::path;
use crate::record::{Record, Sample};
use crate::scenario::herd::Herd;
use crate::scenario::memory::Reading;
use crate::scenario::players::Run;

pub(crate) struct Results {
    pub(crate) segments: Record<Sample>,
    pub(crate) secure: Record<Sample>,
    pub(crate) first_byte: Record<Sample>,
    pub(crate) playlists: Record<Sample>,
    pub(crate) players: Record<Run>,
    pub(crate) herd: Record<Herd>,
    pub(crate) memory: Record<Reading>,
}

impl Results {
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            segments: Record::read(&path(directory, "segments"))?,
            secure: Record::read(&path(directory, "secure"))?,
            first_byte: Record::read(&path(directory, "first-byte"))?,
            playlists: Record::read(&path(directory, "playlists"))?,
            players: Record::read(&path(directory, "players"))?,
            herd: Record::read(&path(directory, "herd"))?,
            memory: Record::read(&path(directory, "memory"))?,
        })
    }

    pub(crate) fn skipped(&self) -> Vec<Skipped> {
        let records = [
            &self.segments.skipped,
            &self.secure.skipped,
            &self.first_byte.skipped,
            &self.playlists.skipped,
            &self.players.skipped,
            &self.herd.skipped,
            &self.memory.skipped,
        ];
        records.into_iter().flatten().cloned().collect()
    }
}
