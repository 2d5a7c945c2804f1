//! [`Disk`]: the last good map and what edges agreed on, so that an edge boots with the store and the control plane dead.
//!
//! Written beside itself, synced and renamed: there is the old one or the new one, and the one
//! before is kept in case that one was damaged. Sealed like the entries.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ledger::{Entry, Ledger};
use super::vault::Vault;
use crate::map::{StreamId, UpstreamMap};

const MAP: Kept = Kept { name: "map", format: b"pitwall map 1\n", field: "disk" };
const SPLICES: Kept = Kept { name: "splices", format: b"pitwall splices 1\n", field: "splices" };
const SUM: usize = 32;

/// What is kept, in which file, and as what it is sealed.
struct Kept {
    name: &'static str,
    format: &'static [u8],
    field: &'static str,
}

#[derive(Clone)]
pub(super) struct Disk {
    directory: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is something else, or of a later day")]
    Format,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it was sealed with another key")]
    Key,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl Disk {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The newest map that can be read, and what is wrong with those that cannot.
    pub(super) fn load(&self, vault: &Vault) -> (Option<UpstreamMap>, Vec<(PathBuf, Unusable)>) {
        self.read(&MAP, vault)
    }

    pub(super) fn save(&self, map: &UpstreamMap, vault: &Vault) -> Result<(), Unusable> {
        self.write(&MAP, map, vault)
    }

    /// Saves a map; failing costs a start without the store, and nothing now.
    pub(super) async fn keep_map(&self, map: Arc<UpstreamMap>, vault: &Vault) {
        if map.version == 0 {
            return;
        }
        let (disk, vault) = (self.clone(), vault.clone());
        match tokio::task::spawn_blocking(move || disk.save(&map, &vault)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the map is not kept on disk"),
            Err(error) => tracing::error!(%error, "the map is not kept on disk"),
        }
    }

    pub(super) fn load_splices(&self, vault: &Vault) -> (Ledger, Vec<(PathBuf, Unusable)>) {
        let (entries, wrong) = self.read(&SPLICES, vault);
        (entries.map_or_else(Ledger::default, Ledger::of), wrong)
    }

    pub(super) fn save_splices(
        &self,
        entries: &HashMap<StreamId, Entry>,
        vault: &Vault,
    ) -> Result<(), Unusable> {
        self.write(&SPLICES, entries, vault)
    }

    fn read<T: DeserializeOwned>(
        &self,
        kept: &Kept,
        vault: &Vault,
    ) -> (Option<T>, Vec<(PathBuf, Unusable)>) {
        let mut wrong = Vec::new();
        for name in [kept.name.to_owned(), format!("{}.previous", kept.name)] {
            let path = self.path(&name);
            let bytes = fs::read(&path).map_err(Unusable::from);
            match bytes.and_then(|bytes| kept.parse(&bytes, vault)) {
                Ok(value) => return (Some(value), wrong),
                Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => wrong.push((path, error)),
            }
        }
        (None, wrong)
    }

    fn write(&self, kept: &Kept, value: &impl Serialize, vault: &Vault) -> Result<(), Unusable> {
        let sealed = vault.seal(kept.field, &serde_json::to_vec(value)?);
        fs::create_dir_all(&self.directory)?;
        let new = self.path(&format!("{}.new", kept.name));
        let path = self.path(kept.name);
        let mut file = private(&new)?;
        file.write_all(kept.format)?;
        file.write_all(blake3::hash(&sealed).as_bytes())?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        match fs::rename(&path, self.path(&format!("{}.previous", kept.name))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        fs::rename(&new, &path)?;
        Ok(File::open(&self.directory)?.sync_all()?)
    }
}

/// An empty file that only its owner reads: one that a crash left behind may have had other
/// permissions.
fn private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

impl Kept {
    fn parse<T: DeserializeOwned>(&self, bytes: &[u8], vault: &Vault) -> Result<T, Unusable> {
        let rest = bytes.strip_prefix(self.format).ok_or(Unusable::Format)?;
        let (sum, sealed) = rest.split_first_chunk::<SUM>().ok_or(Unusable::Checksum)?;
        if blake3::hash(sealed) != blake3::Hash::from_bytes(*sum) {
            return Err(Unusable::Checksum);
        }
        let opened = vault.open(self.field, sealed).ok_or(Unusable::Key)?;
        Ok(serde_json::from_slice(&opened.plain)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreKeys;
    use crate::store::tests::sample;

    fn vault(key: u8) -> Vault {
        Vault::new(&StoreKeys { current: [key; 32], previous: None })
    }

    #[test]
    fn what_is_damaged_is_said_and_the_one_before_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().join("state"));
        assert!(disk.load(&vault(1)).0.is_none());
        for version in [1, 2] {
            disk.save(&sample(version, &["World feed"]), &vault(1)).unwrap();
        }
        let path = directory.path().join("state/map");
        for name in ["map", "map.previous"] {
            let kept = fs::metadata(directory.path().join("state").join(name)).unwrap();
            assert_eq!(kept.permissions().mode() & 0o777, 0o600, "{name}");
        }
        let good = fs::read(&path).unwrap();
        assert!(!good.windows(7).any(|window| window == b"example"), "not in clear");
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (bytes, key, version, complaints) in [
            (good.clone(), 1, Some(2), 0),
            (flipped, 1, Some(1), 1),
            (good[..good.len() - 9].to_vec(), 1, Some(1), 1),
            (good[..20].to_vec(), 1, Some(1), 1),
            (b"".to_vec(), 1, Some(1), 1),
            (good, 9, None, 2),
        ] {
            fs::write(&path, bytes).unwrap();
            let (map, wrong) = disk.load(&vault(key));
            assert_eq!(map.map(|map| map.version), version);
            assert_eq!(wrong.len(), complaints, "{wrong:?}");
        }
    }
}
