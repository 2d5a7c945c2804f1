//! [`ProcessFile`]: `process` in a state directory, which says whose it is.
//!
//! The process that owns the directory holds a lock on the file, so that a second one does not
//! write to it too. A successor inherits the lock with the descriptor. Where the directory cannot be
//! written to, or its file system knows no locks, a process runs without one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, ConfigKeyLocations};
use crate::version::VERSION;

const FILE_NAME: &str = "process";
/// How long a process that starts waits for one that is about to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) struct ProcessFile(File);

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessStatus {
    pub(crate) pid: u32,
    pub(crate) version: String,
    /// [`executable_identity`] of the process.
    pub(crate) executable: String,
    /// How many upgrades have failed since the process began, and why the last one did.
    pub(crate) failed_upgrades: u64,
    pub(crate) last_failure: String,
}

/// What tells the executable of this process from one that has replaced it: device, inode, length
/// and time of change. Empty where `/proc` does not say.
pub(crate) fn executable_identity() -> String {
    std::fs::metadata("/proc/self/exe").map_or(String::new(), |file| {
        format!("{:x}:{:x}:{}:{}", file.dev(), file.ino(), file.len(), file.mtime())
    })
}

impl ProcessFile {
    /// Locks the file of a state directory. `inherited`: that of the predecessor, which is locked.
    ///
    /// # Errors
    /// Another process holds the directory.
    pub(super) fn claim(
        directory: &Path,
        inherited: Option<File>,
        key_locations: &ConfigKeyLocations,
    ) -> Result<Option<Self>, ConfigError> {
        let opened = open(directory);
        let is_same = |file: &File| {
            let id = |file: &File| file.metadata().ok().map(|file| (file.dev(), file.ino()));
            opened.as_ref().is_ok_and(|opened| id(opened) == id(file))
        };
        if let Some(inherited) = inherited.filter(is_same) {
            return Ok(Some(Self(inherited)));
        }
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                tracing::debug!(%error, "the state directory is not locked");
                return Ok(None);
            }
        };
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_POLL_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => {
                    let owner = ProcessStatus::read(directory).unwrap_or_default().pid;
                    let why = format!(
                        "{} is used by process {owner}: each process needs a folder of its own, and \
                         `pitwall upgrade` replaces one that runs",
                        directory.display()
                    );
                    return Err(key_locations.error_for_key("state.dir", why));
                }
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(%error, "the state directory is not locked");
                    return Ok(None);
                }
            }
        }
    }

    /// The same file, with the same lock.
    pub(super) fn try_clone(&self) -> Option<Self> {
        self.0.try_clone().ok().map(Self)
    }

    pub(super) fn descriptor(&self) -> &File {
        &self.0
    }

    /// Says that this process owns the directory, and how its upgrades have failed.
    pub(super) fn write(&self, failed_upgrades: u64, last_failure: &str) {
        let status = ProcessStatus {
            pid: std::process::id(),
            version: VERSION.to_owned(),
            executable: executable_identity(),
            failed_upgrades,
            last_failure: last_failure.to_owned(),
        };
        let written = serde_json::to_vec(&status).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            // Written over the old text and then cut, so that a reader never finds it empty.
            self.0.write_all_at(&text, 0)?;
            self.0.set_len(text.len() as u64)?;
            (&self.0).flush()
        });
        if let Err(error) = written {
            tracing::warn!(%error, "`pitwall upgrade` cannot find this process: [state] dir cannot be written to");
        }
    }
}

impl ProcessStatus {
    /// Reads the file of a state directory; `None` where no process has one, or it is being written.
    pub(crate) fn read(directory: &Path) -> Option<Self> {
        let text = std::fs::read(directory.join(FILE_NAME)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether a process owns a state directory now.
    pub(crate) fn is_owned(directory: &Path) -> bool {
        let file = File::open(directory.join(FILE_NAME));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The process that owns a state directory now; `None` where none does.
    pub(crate) fn of_owner(directory: &Path) -> Option<Self> {
        Self::is_owned(directory).then(|| Self::read(directory)).flatten()
    }
}

fn open(directory: &Path) -> io::Result<File> {
    std::fs::create_dir_all(directory)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(directory.join(FILE_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_has_one_owner_and_a_successor_inherits_it() {
        let folder = tempfile::tempdir().unwrap();
        let claim = |inherited| {
            ProcessFile::claim(folder.path(), inherited, &ConfigKeyLocations::default())
        };
        assert_eq!(ProcessStatus::of_owner(folder.path()), None);
        let first = claim(None).unwrap().unwrap();
        first.write(2, "a reason that is longer than the next one");
        first.write(3, "why");
        let status = ProcessStatus::of_owner(folder.path()).unwrap();
        assert_eq!((status.pid, status.failed_upgrades), (std::process::id(), 3));
        let error = claim(None).err().unwrap().to_string();
        assert!(error.contains("state.dir") && error.contains("is used by process"), "{error}");
        let inherited = first.descriptor().try_clone().unwrap();
        let successor = claim(Some(inherited)).unwrap().unwrap();
        drop(first);
        assert!(ProcessStatus::of_owner(folder.path()).is_some(), "the successor holds the lock");
        drop(successor);
        assert_eq!(ProcessStatus::of_owner(folder.path()), None);
        let elsewhere = tempfile::tempfile().unwrap();
        assert!(claim(Some(elsewhere)).unwrap().is_some(), "of another directory");
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_is_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let claimed = ProcessFile::claim(&file.join("state"), None, &ConfigKeyLocations::default());
        assert!(claimed.unwrap().is_none());
    }
}
