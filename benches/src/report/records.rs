//! [`AllRecords`]: the records in the output directory.

use std::path::Path;

use crate::peers::SkippedContender;
use crate::record::{Sample, ScenarioRecord, record_file_path};
use crate::scenario::herd::HerdResult;
use crate::scenario::memory::MemoryReading;
use crate::scenario::players::CrowdResult;
use crate::scenario::store::control_plane::ControlPlaneResult;
use crate::scenario::store::publication::PublishResult;

/// The record of every scenario; a scenario that was not measured has an empty one.
pub(crate) struct AllRecords {
    pub(crate) segments: ScenarioRecord<Sample>,
    pub(crate) secure: ScenarioRecord<Sample>,
    pub(crate) first_byte: ScenarioRecord<Sample>,
    pub(crate) playlists: ScenarioRecord<Sample>,
    pub(crate) players: ScenarioRecord<CrowdResult>,
    pub(crate) herd: ScenarioRecord<HerdResult>,
    pub(crate) memory: ScenarioRecord<MemoryReading>,
    pub(crate) publish: ScenarioRecord<PublishResult>,
    pub(crate) control_plane: ScenarioRecord<ControlPlaneResult>,
    pub(crate) slow_store: ScenarioRecord<Sample>,
}

impl AllRecords {
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            segments: ScenarioRecord::read(&record_file_path(directory, "segments"))?,
            secure: ScenarioRecord::read(&record_file_path(directory, "secure"))?,
            first_byte: ScenarioRecord::read(&record_file_path(directory, "first-byte"))?,
            playlists: ScenarioRecord::read(&record_file_path(directory, "playlists"))?,
            players: ScenarioRecord::read(&record_file_path(directory, "players"))?,
            herd: ScenarioRecord::read(&record_file_path(directory, "herd"))?,
            memory: ScenarioRecord::read(&record_file_path(directory, "memory"))?,
            publish: ScenarioRecord::read(&record_file_path(directory, "publish"))?,
            control_plane: ScenarioRecord::read(&record_file_path(directory, "control-plane"))?,
            slow_store: ScenarioRecord::read(&record_file_path(directory, "slow-store"))?,
        })
    }

    /// The records of contenders that are measured in turns.
    pub(crate) fn records_in_turns(&self) -> [&ScenarioRecord<Sample>; 5] {
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
