//! [`AllRecords`]: the records in the output directory.

use std::path::Path;

use crate::peers::SkippedContender;
use crate::record::{Record, Sample, record_path};
use crate::scenario::herd::HerdResult;
use crate::scenario::memory::MemoryReading;
use crate::scenario::players::CrowdResult;
use crate::scenario::store::control_plane::ControlPlaneResult;
use crate::scenario::store::publication::PublishResult;

/// The record of every scenario; a scenario that was not measured has an empty one.
pub(crate) struct AllRecords {
    pub(crate) segments: Record<Sample>,
    pub(crate) secure: Record<Sample>,
    pub(crate) first_byte: Record<Sample>,
    pub(crate) playlists: Record<Sample>,
    pub(crate) players: Record<CrowdResult>,
    pub(crate) herd: Record<HerdResult>,
    pub(crate) memory: Record<MemoryReading>,
    pub(crate) publish: Record<PublishResult>,
    pub(crate) control_plane: Record<ControlPlaneResult>,
    pub(crate) slow_store: Record<Sample>,
}

impl AllRecords {
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            segments: Record::read(&record_path(directory, "segments"))?,
            secure: Record::read(&record_path(directory, "secure"))?,
            first_byte: Record::read(&record_path(directory, "first-byte"))?,
            playlists: Record::read(&record_path(directory, "playlists"))?,
            players: Record::read(&record_path(directory, "players"))?,
            herd: Record::read(&record_path(directory, "herd"))?,
            memory: Record::read(&record_path(directory, "memory"))?,
            publish: Record::read(&record_path(directory, "publish"))?,
            control_plane: Record::read(&record_path(directory, "control-plane"))?,
            slow_store: Record::read(&record_path(directory, "slow-store"))?,
        })
    }

    /// The records of contenders that are measured in turns.
    pub(crate) fn records_in_turns(&self) -> [&Record<Sample>; 5] {
        [&self.segments, &self.secure, &self.playlists, &self.first_byte, &self.slow_store]
    }

    pub(crate) fn skipped_contenders(&self) -> Vec<SkippedContender> {
        let records = [
            &self.segments.skipped,
            &self.secure.skipped,
            &self.first_byte.skipped,
            &self.playlists.skipped,
            &self.players.skipped,
            &self.herd.skipped,
            &self.memory.skipped,
            &self.publish.skipped,
            &self.control_plane.skipped,
            &self.slow_store.skipped,
        ];
        records.into_iter().flatten().cloned().collect()
    }
}
