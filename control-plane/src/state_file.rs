//! What a restart must not forget, in a file of the state directory.
//!
//! `NAME.json` is written beside itself, synced and renamed, which holds on NFS too; the one
//! before it stays as `NAME.previous.json`. The checksum covers the exact bytes of the body, so
//! that a file that is cut, flipped or edited by half is noticed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a process that was killed left behind is removed once nobody can be writing it.
const ABANDONED: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    directory: PathBuf,
    name: &'static str,
    /// Of the body; one of another format is ignored.
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
enum Unusable {
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
    pub(crate) fn new(directory: PathBuf, name: &'static str, format: u32) -> Self {
        Self { directory, name, format }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.json", self.name))
    }

    fn previous(&self) -> PathBuf {
        self.directory.join(format!("{}.previous.json", self.name))
    }

    /// What was saved last, if any file of it can be used. One that cannot is logged, and is no
    /// reason not to start.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Option<T> {
        [self.path(), self.previous()].into_iter().find_map(|path| match self.read(&path) {
            Ok(body) => Some(body),
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "state file ignored");
                None
            }
        })
    }

    pub(crate) fn save<T: Serialize>(&self, body: &T) -> io::Result<()> {
        let body = serde_json::value::to_raw_value(body)?;
        let envelope = Envelope { format: self.format, blake3: checksum(&body), body: &body };
        let text = serde_json::to_vec(&envelope)?;
        fs::create_dir_all(&self.directory)?;
        self.tidy();
        // A name of its own: on a shared volume another control plane may be writing too.
        let name = format!("{}.json.{:016x}.new", self.name, rand::random::<u64>());
        let new = self.directory.join(name);
        let written = write(&new, &text).and_then(|()| self.replace(&new));
        if written.is_err() {
            // Nothing more can be done about a disk that refuses this as well.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<T, Unusable> {
        let text = fs::read_to_string(path)?;
        let envelope: Envelope<'_> = serde_json::from_str(&text)?;
        if envelope.format != self.format {
            return Err(Unusable::Format(envelope.format));
        }
        if checksum(envelope.body) != envelope.blake3 {
            return Err(Unusable::Checksum);
        }
        Ok(serde_json::from_str(envelope.body.get())?)
    }

    /// A crash between the two renames leaves the previous one, which is read as well.
    fn replace(&self, new: &Path) -> io::Result<()> {
        match fs::rename(self.path(), self.previous()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(new, self.path())?;
        match File::open(&self.directory)?.sync_all() {
            // Some network file systems cannot sync a folder; they rename on the server.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            synced => synced,
        }
    }

    fn tidy(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let ours = format!("{}.json.", self.name);
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let ours = name.starts_with(&ours) && name.ends_with(".new");
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
            if ours && age > ABANDONED {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    // It says what is watched and where from: for its owner alone.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn checksum(body: &RawValue) -> String {
    blake3::hash(body.get().as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests;
