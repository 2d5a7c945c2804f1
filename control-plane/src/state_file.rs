//! Files in the state directory that survive a restart.
//!
//! `NAME.json` is written under a temporary name, synced and renamed, which is atomic on NFS too;
//! its predecessor stays as `NAME.previous.json`. The checksum covers the exact bytes of the body,
//! so that a truncated, corrupted or hand-edited file is detected.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pitwall_upstream_map::StateDirectory;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A temporary file this old belongs to a process that was killed, as no write lasts so long.
const ABANDONED_FILE_MIN_AGE: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    directory: StateDirectory,
    name: &'static str,
    /// Format version of the body; a file of another format is ignored.
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    blake3: String,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Debug, thiserror::Error)]
enum StateFileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("format {0} is not known")]
    Format(u32),
    #[error("the checksum does not match")]
    Checksum,
}

impl StateFile {
    pub(crate) fn new(
        directory: impl Into<StateDirectory>,
        name: &'static str,
        format: u32,
    ) -> Self {
        Self { directory: directory.into(), name, format }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join(format!("{}.json", self.name))
    }

    fn previous_path(&self) -> PathBuf {
        self.directory.path().join(format!("{}.previous.json", self.name))
    }

    /// Loads what was saved last, or its predecessor when `NAME.json` is unusable. An unusable file
    /// is logged and does not prevent a start.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Option<T> {
        [self.path(), self.previous_path()].into_iter().find_map(|path| match self.read(&path) {
            Ok(body) => Some(body),
            Err(StateFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a state file was ignored");
                None
            }
        })
    }

    pub(crate) fn save<T: Serialize>(&self, body: &T) -> io::Result<()> {
        let body = serde_json::value::to_raw_value(body)?;
        let envelope = Envelope { format: self.format, blake3: checksum(&body), body: &body };
        let text = serde_json::to_vec(&envelope)?;
        self.directory.write(|| self.replace(&text))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        fs::create_dir_all(self.directory.path())?;
        self.remove_abandoned_files();
        // A random name, as another control plane may write to the same shared volume.
        let name = format!("{}.json.{:016x}.new", self.name, rand::random::<u64>());
        let new = self.directory.path().join(name);
        let written = write_synced(&new, text).and_then(|()| self.rotate(&new));
        if written.is_err() {
            // A failure to delete the temporary file is ignored: `remove_abandoned_files` deletes
            // it later.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<T, StateFileError> {
        let text = fs::read_to_string(path)?;
        let envelope: Envelope<'_> = serde_json::from_str(&text)?;
        if envelope.format != self.format {
            return Err(StateFileError::Format(envelope.format));
        }
        if checksum(envelope.body) != envelope.blake3 {
            return Err(StateFileError::Checksum);
        }
        Ok(serde_json::from_str(envelope.body.get())?)
    }

    /// After a crash between the two renames [`load`](Self::load) finds the previous file.
    fn rotate(&self, new: &Path) -> io::Result<()> {
        match fs::rename(self.path(), self.previous_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(new, self.path())?;
        match File::open(self.directory.path())?.sync_all() {
            // Some network file systems cannot sync a directory; their servers make the rename
            // durable.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            synced => synced,
        }
    }

    fn remove_abandoned_files(&self) {
        let Ok(entries) = fs::read_dir(self.directory.path()) else { return };
        let prefix = format!("{}.json.", self.name);
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_temporary = name.starts_with(&prefix) && name.ends_with(".new");
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
            if is_temporary && age > ABANDONED_FILE_MIN_AGE {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn write_synced(path: &Path, text: &[u8]) -> io::Result<()> {
    // The file names watched streams and their sources, so only its owner may read it.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn checksum(body: &RawValue) -> String {
    blake3::hash(body.get().as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests;
