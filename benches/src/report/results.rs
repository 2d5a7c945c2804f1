//! All records as they are on disk.

use std::path::Path;

use crate::peers::Skipped;
use crate::program::path;
use crate::record::{Record, Sample};
use crate::scenario::herd::Herd;
use crate::scenario::memory::Reading;
use crate::scenario::players::Run;
use crate::scenario::store::publish::Publication;

pub(crate) struct Results {
    pub(crate) segments: Record<Sample>,
    pub(crate) secure: Record<Sample>,
    pub(crate) first_byte: Record<Sample>,
    pub(crate) playlists: Record<Sample>,
    pub(crate) players: Record<Run>,
    pub(crate) herd: Record<Herd>,
    pub(crate) memory: Record<Reading>,
    pub(crate) publish: Record<Publication>,
    pub(crate) slow_store: Record<Sample>,
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
            publish: Record::read(&path(directory, "publish"))?,
            slow_store: Record::read(&path(directory, "slow-store"))?,
        })
    }

    /// Those of contenders that take turns.
    pub(crate) fn samples(&self) -> [&Record<Sample>; 5] {
        [&self.segments, &self.secure, &self.playlists, &self.first_byte, &self.slow_store]
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
            &self.publish.skipped,
            &self.slow_store.skipped,
        ];
        records.into_iter().flatten().cloned().collect()
    }
}
