//! The last good schedule on disk, so that a restart serves it before any fetch.
//!
//! `schedule.json` is written beside itself, synced and renamed, which holds on NFS too; the
//! one before it stays as `schedule.previous.json`. The checksum covers the exact bytes of the
//! schedule, so that a file that is cut, flipped or edited by half is noticed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use pitwall_upstream_map::documents::Schedule;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const FORMAT: u32 = 1;

#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    directory: PathBuf,
    /// Whose schedule this is: see [`super::Provider::origin`].
    origin: String,
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    origin: String,
    blake3: String,
    #[serde(borrow)]
    schedule: &'a RawValue,
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("format {0} is not known")]
    Format(u32),
    #[error("the checksum does not match")]
    Checksum,
    #[error("it is of {0}")]
    Origin(String),
}

impl Snapshot {
    pub(crate) fn new(directory: PathBuf, origin: String) -> Self {
        Self { directory, origin }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("schedule.json")
    }

    fn previous(&self) -> PathBuf {
        self.directory.join("schedule.previous.json")
    }

    /// The last good schedule, if any file of it can be used. One that cannot is logged, and
    /// is no reason not to start.
    pub(crate) fn load(&self) -> Option<Schedule> {
        [self.path(), self.previous()].into_iter().find_map(|path| match self.read(&path) {
            Ok(schedule) => Some(schedule),
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "schedule snapshot ignored");
                None
            }
        })
    }

    fn read(&self, path: &Path) -> Result<Schedule, Unusable> {
        let text = fs::read_to_string(path)?;
        let envelope: Envelope<'_> = serde_json::from_str(&text)?;
        if envelope.format != FORMAT {
            return Err(Unusable::Format(envelope.format));
        }
        if checksum(envelope.schedule) != envelope.blake3 {
            return Err(Unusable::Checksum);
        }
        if envelope.origin != self.origin {
            return Err(Unusable::Origin(envelope.origin));
        }
        Ok(serde_json::from_str(envelope.schedule.get())?)
    }

    pub(crate) fn save(&self, schedule: &Schedule) -> io::Result<()> {
        let schedule = serde_json::value::to_raw_value(schedule)?;
        let envelope = Envelope {
            format: FORMAT,
            origin: self.origin.clone(),
            blake3: checksum(&schedule),
            schedule: &schedule,
        };
        fs::create_dir_all(&self.directory)?;
        let new = self.directory.join("schedule.json.new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&envelope)?)?;
        file.sync_all()?;
        // A crash between the two renames leaves the previous one, which is read as well.
        match fs::rename(self.path(), self.previous()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(&new, self.path())?;
        File::open(&self.directory)?.sync_all()
    }
}

fn checksum(schedule: &RawValue) -> String {
    blake3::hash(schedule.get().as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(season: &str) -> Schedule {
        Schedule { season: Some(season.to_owned()), ..Schedule::default() }
    }

    fn season(snapshot: &Snapshot) -> Option<String> {
        snapshot.load().and_then(|schedule| schedule.season)
    }

    #[test]
    fn what_is_saved_is_loaded_and_what_is_damaged_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = Snapshot::new(directory.path().join("state"), "jolpica x".into());
        assert_eq!(season(&snapshot), None);
        snapshot.save(&schedule("2025")).unwrap();
        assert_eq!(season(&snapshot).as_deref(), Some("2025"));
        snapshot.save(&schedule("2026")).unwrap();
        assert_eq!(season(&snapshot).as_deref(), Some("2026"));

        let other = Snapshot::new(directory.path().join("state"), "jolpica y".into());
        assert_eq!(season(&other), None, "another provider's");

        let whole = fs::read_to_string(snapshot.path()).unwrap();
        for (name, damaged) in [
            ("cut", whole.split_at(whole.len() / 2).0.to_owned()),
            ("edited", whole.replace("2026", "2027")),
            ("empty", String::new()),
            ("from the future", whole.replace("\"format\":1", "\"format\":2")),
        ] {
            fs::write(snapshot.path(), damaged).unwrap();
            assert_eq!(season(&snapshot).as_deref(), Some("2025"), "{name}: the previous one");
        }
        fs::remove_file(snapshot.previous()).unwrap();
        assert_eq!(season(&snapshot), None);
    }
}
