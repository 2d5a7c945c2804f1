//! [`Scratch`]: a folder for one run of a program or a browser, gone afterwards. Whoever is
//! killed cannot clear up: the next one to start does.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tempfile::Builder;

/// In the order in which they are given up: the folder, then the lock on it.
pub(super) struct Scratch {
    folder: Folder,
    _lock: File,
}

struct Folder(PathBuf);

/// Of a folder that somebody works in, or has worked in: it is locked by whoever lives. One that
/// is being made has another name until it is locked.
const READY: &str = "pitwall-run-";
const MAKING: &str = "pitwall-new-";

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        Self::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> io::Result<Self> {
        // For its owner alone, as tempfile makes them.
        let making = Builder::new().prefix(MAKING).tempdir_in(parent)?;
        let lock = File::open(making.path())?;
        lock.try_lock()?;
        let ready = parent.join(format!("{READY}{:032x}", rand::random::<u128>()));
        fs::rename(making.path(), &ready)?;
        // There is nothing at that path any more.
        let _ = making.keep();
        Ok(Self { folder: Folder(ready), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "a folder could not be removed");
        }
    }
}

/// Removes what those left who were killed.
pub(super) fn sweep() {
    let left = swept(&std::env::temp_dir());
    if left > 0 {
        tracing::info!(folders = left, "removed what a killed Pitwall had left");
    }
}

fn swept(parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    let named = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(READY.as_bytes()));
    named
        .filter(|entry| is_abandoned(&entry.path()) && fs::remove_dir_all(entry.path()).is_ok())
        .count()
}

/// A folder, not a link to one; of this user; and of nobody who lives.
fn is_abandoned(path: &Path) -> bool {
    let ours =
        fs::symlink_metadata(path).is_ok_and(|it| it.is_dir() && it.uid() == geteuid().as_raw());
    ours && File::open(path).is_ok_and(|folder| folder.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_lives_in_is_swept_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let here = |name: &str| parent.path().join(name);
        let alive = Scratch::within(parent.path()).unwrap();
        fs::write(alive.path().join("profile"), "in use").unwrap();
        fs::create_dir_all(here("pitwall-run-dead/profile/Default")).unwrap();
        fs::write(here("pitwall-run-dead/profile/Cookies"), "secret").unwrap();
        fs::create_dir(here("pitwall-new-being-made")).unwrap();
        fs::create_dir(here("somebody-else's")).unwrap();
        fs::write(here("somebody-else's/file"), "kept").unwrap();
        std::os::unix::fs::symlink(here("somebody-else's"), here("pitwall-run-link")).unwrap();
        fs::write(here("pitwall-run-file"), "no folder").unwrap();
        assert_eq!(swept(parent.path()), 1);
        assert!(!here("pitwall-run-dead").exists());
        for kept in [
            "pitwall-new-being-made",
            "somebody-else's/file",
            "pitwall-run-link",
            "pitwall-run-file",
        ] {
            assert!(here(kept).exists(), "{kept}");
        }
        assert!(alive.path().join("profile").exists(), "its owner lives");
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists(), "and clears up");
        assert_eq!(swept(&here("missing")), 0);
    }
}
