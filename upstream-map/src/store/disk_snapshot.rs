//! [`DiskSnapshot`]: the last good map and the splice registry on disk, so that an edge starts
//! while store and control plane are down.
//!
//! A file is written under another name, synced and renamed, so that there is either the old or the
//! new one. The previous file is kept in case the newest is damaged. Files are sealed like entries.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry_cipher::EntryCipher;
use super::splice_registry::{RegistrySnapshot, SpliceRegistry};
use crate::map::UpstreamMap;
use crate::state_directory::StateDirectory;

const MAP_FILE: SnapshotFormat =
    SnapshotFormat { name: "map", magic: b"pitwall map 1\n", cipher_field: "disk" };
const SPLICES_FILE: SnapshotFormat =
    SnapshotFormat { name: "splices", magic: b"pitwall splices 1\n", cipher_field: "splices" };
const CHECKSUM_BYTES: usize = 32;

/// Name, magic bytes and associated data (of the cipher) of a snapshot file.
struct SnapshotFormat {
    name: &'static str,
    magic: &'static [u8],
    cipher_field: &'static str,
}

#[derive(Clone)]
pub(super) struct DiskSnapshot {
    directory: StateDirectory,
    /// Maps are saved from several tasks, one at a time, and an older one never replaces a newer
    /// one.
    map_saves: Arc<MapSaves>,
}

/// How many saves of maps were begun, and the last one that is on disk.
#[derive(Default)]
struct MapSaves {
    begun: AtomicU64,
    written: Mutex<u64>,
}

/// Why a snapshot file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is something else, or of a later day")]
    Format,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it was sealed with another key")]
    WrongKey,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The pause after a save that took `took`: at least `interval`, and so long that saves take a
/// fiftieth of the time however large the map is.
pub(super) fn pause_after_save(interval: Duration, took: Duration) -> Duration {
    interval.max(took * 50)
}

impl DiskSnapshot {
    pub(super) fn new(directory: impl Into<StateDirectory>) -> Self {
        Self { directory: directory.into(), map_saves: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Loads the newest readable map. Also returns the files that cannot be read, with the reason.
    pub(super) fn load_map(
        &self,
        cipher: &EntryCipher,
    ) -> (Option<UpstreamMap>, Vec<(PathBuf, SnapshotError)>) {
        self.read(&MAP_FILE, cipher)
    }

    pub(super) fn save_map(
        &self,
        map: &UpstreamMap,
        cipher: &EntryCipher,
    ) -> Result<(), SnapshotError> {
        self.write(&MAP_FILE, map, cipher)
    }

    /// Saves a map. A failure is only logged: it prevents a start without the store, and nothing
    /// now.
    pub(super) async fn save_map_or_warn(&self, map: Arc<UpstreamMap>, cipher: &EntryCipher) {
        if map.version == 0 {
            return;
        }
        let (snapshot, cipher) = (self.clone(), cipher.clone());
        let number = self.map_saves.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let save = move || -> Result<(), SnapshotError> {
            let written = snapshot.map_saves.written.lock();
            let mut written = written.unwrap_or_else(PoisonError::into_inner);
            if number > *written {
                snapshot.save_map(&map, &cipher)?;
                *written = number;
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(save).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the map cannot be saved: check [state] dir"),
            Err(error) => tracing::error!(%error, "the task that saves the map failed"),
        }
    }

    pub(super) fn load_splices(
        &self,
        cipher: &EntryCipher,
    ) -> (SpliceRegistry, Vec<(PathBuf, SnapshotError)>) {
        let (snapshot, load_errors) = self.read(&SPLICES_FILE, cipher);
        (snapshot.map_or_else(SpliceRegistry::default, SpliceRegistry::restore), load_errors)
    }

    pub(super) fn save_splices(
        &self,
        snapshot: &RegistrySnapshot,
        cipher: &EntryCipher,
    ) -> Result<(), SnapshotError> {
        self.write(&SPLICES_FILE, snapshot, cipher)
    }

    fn read<T: DeserializeOwned>(
        &self,
        file: &SnapshotFormat,
        cipher: &EntryCipher,
    ) -> (Option<T>, Vec<(PathBuf, SnapshotError)>) {
        let mut load_errors = Vec::new();
        for name in [file.name.to_owned(), format!("{}.previous", file.name)] {
            let path = self.path(&name);
            let bytes = fs::read(&path).map_err(SnapshotError::from);
            match bytes.and_then(|bytes| file.parse(&bytes, cipher)) {
                Ok(value) => return (Some(value), load_errors),
                Err(SnapshotError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => load_errors.push((path, error)),
            }
        }
        (None, load_errors)
    }

    fn write(
        &self,
        file: &SnapshotFormat,
        value: &impl Serialize,
        cipher: &EntryCipher,
    ) -> Result<(), SnapshotError> {
        self.directory.write(|| self.replace_file(file, value, cipher))
    }

    fn replace_file(
        &self,
        file: &SnapshotFormat,
        value: &impl Serialize,
        cipher: &EntryCipher,
    ) -> Result<(), SnapshotError> {
        let sealed = cipher.seal(file.cipher_field, &serde_json::to_vec(value)?);
        fs::create_dir_all(self.directory.path())?;
        let new_path = self.path(&format!("{}.new", file.name));
        let path = self.path(file.name);
        let mut output = create_private_file(&new_path)?;
        output.write_all(file.magic)?;
        output.write_all(blake3::hash(&sealed).as_bytes())?;
        output.write_all(&sealed)?;
        output.sync_all()?;
        match fs::rename(&path, self.path(&format!("{}.previous", file.name))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::rename(&new_path, &path)?;
        Ok(File::open(self.directory.path())?.sync_all()?)
    }
}

/// Creates an empty file that only its owner can read. The permissions are set also on an existing
/// file, because one left behind by a crash may have others.
fn create_private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

impl SnapshotFormat {
    fn parse<T: DeserializeOwned>(
        &self,
        bytes: &[u8],
        cipher: &EntryCipher,
    ) -> Result<T, SnapshotError> {
        let rest = bytes.strip_prefix(self.magic).ok_or(SnapshotError::Format)?;
        let (checksum, sealed) =
            rest.split_first_chunk::<CHECKSUM_BYTES>().ok_or(SnapshotError::Checksum)?;
        if blake3::hash(sealed) != blake3::Hash::from_bytes(*checksum) {
            return Err(SnapshotError::Checksum);
        }
        let opened = cipher.open(self.cipher_field, sealed).ok_or(SnapshotError::WrongKey)?;
        Ok(serde_json::from_slice(&opened.plaintext)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreSecrets;
    use crate::store::tests::sample_map;

    fn cipher_with_key(key: u8) -> EntryCipher {
        EntryCipher::new(&StoreSecrets { current: [key; 32], previous: None })
    }

    #[test]
    fn a_damaged_file_is_reported_and_the_previous_one_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let snapshot = DiskSnapshot::new(directory.path().join("state"));
        assert!(snapshot.load_map(&cipher_with_key(1)).0.is_none());
        for version in [1, 2] {
            snapshot.save_map(&sample_map(version, &["World feed"]), &cipher_with_key(1)).unwrap();
        }
        let path = directory.path().join("state/map");
        for name in ["map", "map.previous"] {
            let metadata = fs::metadata(directory.path().join("state").join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
        }
        let good = fs::read(&path).unwrap();
        assert!(!good.windows(7).any(|window| window == b"example"), "not in clear");
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (bytes, key, version, error_count) in [
            (good.clone(), 1, Some(2), 0),
            (flipped, 1, Some(1), 1),
            (good[..good.len() - 9].to_vec(), 1, Some(1), 1),
            (good[..20].to_vec(), 1, Some(1), 1),
            (b"".to_vec(), 1, Some(1), 1),
            (good, 9, None, 2),
        ] {
            fs::write(&path, bytes).unwrap();
            let (map, load_errors) = snapshot.load_map(&cipher_with_key(key));
            assert_eq!(map.map(|map| map.version), version);
            assert_eq!(load_errors.len(), error_count, "{load_errors:?}");
        }
    }
}
