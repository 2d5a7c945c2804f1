//! [`RunDirectory`]: the directory of one run of a program or browser, removed when the run ends. A
//! killed Pitwall cannot remove its directories: the next one that starts does.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use tempfile::Builder;

/// The fields are dropped in this order: the directory is removed, then its lock released, so that
/// no other process takes the directory for abandoned meanwhile.
pub(super) struct RunDirectory {
    directory: DirectoryGuard,
    _lock: File,
}

struct DirectoryGuard(PathBuf);

/// Prefix of a run directory: a live run holds a lock on it.
const READY_PREFIX: &str = "pitwall-run-";
/// Prefix of a directory that is not locked yet, so that no other process takes it for abandoned.
const INCOMPLETE_PREFIX: &str = "pitwall-new-";

impl RunDirectory {
    pub(super) fn new() -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir())
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        // `tempdir_in` creates the directory with mode 0700.
        let making = Builder::new().prefix(INCOMPLETE_PREFIX).tempdir_in(parent)?;
        let lock = File::open(making.path())?;
        lock.try_lock()?;
        let ready = parent.join(format!("{READY_PREFIX}{:032x}", rand::random::<u128>()));
        fs::rename(making.path(), &ready)?;
        // The directory was renamed: nothing is left at the old path to be removed.
        let _ = making.keep();
        Ok(Self { directory: DirectoryGuard(ready), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.directory.0
    }
}

impl Drop for DirectoryGuard {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(
                path = %self.0.display(), %error,
                "the directory of a finished run could not be removed: remove it by hand"
            );
        }
    }
}

/// Removes the run directories that killed processes left in the temporary directory.
pub(super) fn remove_abandoned() {
    let removed = remove_abandoned_in(&std::env::temp_dir());
    if removed > 0 {
        tracing::info!(folders = removed, "removed run directories that a killed Pitwall had left");
    }
}

fn remove_abandoned_in(parent: &Path) -> usize {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    let named = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(READY_PREFIX.as_bytes()));
    named
        .filter(|entry| is_abandoned(&entry.path()) && fs::remove_dir_all(entry.path()).is_ok())
        .count()
}

/// Whether `path` is a directory (not a link to one) that belongs to this user and that no live run
/// has locked.
fn is_abandoned(path: &Path) -> bool {
    let ours =
        fs::symlink_metadata(path).is_ok_and(|it| it.is_dir() && it.uid() == geteuid().as_raw());
    ours && File::open(path).is_ok_and(|folder| folder.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unlocked_run_directories_of_this_user_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let path_of = |name: &str| parent.path().join(name);
        let alive = RunDirectory::new_in(parent.path()).unwrap();
        fs::write(alive.path().join("profile"), "in use").unwrap();
        fs::create_dir_all(path_of("pitwall-run-dead/profile/Default")).unwrap();
        fs::write(path_of("pitwall-run-dead/profile/Cookies"), "secret").unwrap();
        fs::create_dir(path_of("pitwall-new-being-made")).unwrap();
        fs::create_dir(path_of("somebody-else's")).unwrap();
        fs::write(path_of("somebody-else's/file"), "kept").unwrap();
        std::os::unix::fs::symlink(path_of("somebody-else's"), path_of("pitwall-run-link"))
            .unwrap();
        fs::write(path_of("pitwall-run-file"), "no folder").unwrap();
        assert_eq!(remove_abandoned_in(parent.path()), 1);
        assert!(!path_of("pitwall-run-dead").exists());
        for name in [
            "pitwall-new-being-made",
            "somebody-else's/file",
            "pitwall-run-link",
            "pitwall-run-file",
        ] {
            assert!(path_of(name).exists(), "{name}");
        }
        assert!(alive.path().join("profile").exists(), "its owner lives");
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists(), "and clears up");
        assert_eq!(remove_abandoned_in(&path_of("missing")), 0);
    }
}
