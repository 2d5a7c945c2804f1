//! [`WatchedFiles`]: whether a file of the configuration has changed. Files are looked at and not
//! subscribed to: a look also sees a replaced symbolic link above the file, as Kubernetes replaces
//! one when a ConfigMap changes, and works on network volumes.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// The files of a configuration as they were when it was read.
///
/// Certificates, the override file and the calendar are not among them: these are looked at by
/// those who use them.
#[derive(Clone)]
pub(crate) struct WatchedFiles {
    files: Vec<PathBuf>,
    /// Its `.toml` files are sources.
    sources: Option<PathBuf>,
    /// As the configuration was last read or judged.
    judged: FileStates,
    /// As last looked at, if not as judged: the files may still be changing.
    changing: Option<FileStates>,
}

pub(crate) type FileStates = BTreeMap<PathBuf, Option<FileState>>;

/// What differs after a file was written or replaced; of a symbolic link, what it leads to.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl WatchedFiles {
    pub(crate) fn of(config: &Config) -> Self {
        let access = &config.access;
        let files = config.path.iter().chain(&access.key_file).chain(&access.seal_key_file);
        let files = files.chain(&access.admin_token_file);
        let secrets = config.webhooks.iter().filter_map(|webhook| webhook.secret_file.as_ref());
        let files = files.chain(secrets).cloned().collect();
        let sources = config.path.as_ref().map(|path| path.with_file_name("sources"));
        let mut watched = Self { files, sources, judged: FileStates::new(), changing: None };
        watched.judged = watched.read_states();
        watched
    }

    /// The files of a configuration that was read after the files of `self` were seen as `seen`: a
    /// file that changed, came or went in between is then seen to change.
    pub(crate) fn for_next_config(config: &Config, seen: &FileStates) -> Self {
        let mut watched = Self::of(config);
        let Self { sources, judged, .. } = &mut watched;
        let is_source = |path: &Path| sources.is_some() && path.parent() == sources.as_deref();
        for (path, state) in judged.iter_mut() {
            match seen.get(path) {
                Some(seen) => state.clone_from(seen),
                None if is_source(path) => *state = None,
                None => {}
            }
        }
        for (path, state) in seen.iter().filter(|(path, _)| is_source(path)) {
            judged.entry(path.clone()).or_insert_with(|| state.clone());
        }
        watched
    }

    /// Takes the files as they were seen for those that were judged.
    pub(crate) fn accept(&mut self, seen: FileStates) {
        self.judged = seen;
        self.changing = None;
    }

    /// Whether the files have changed since they were judged, and have not changed further since the
    /// last call.
    pub(crate) fn poll_changes(&mut self) -> bool {
        let present = self.read_states();
        if present == self.judged {
            self.changing = None;
            return false;
        }
        let is_settled = self.changing.as_ref() == Some(&present);
        self.changing = Some(present);
        is_settled
    }

    /// The files as they are now.
    pub(crate) fn read_states(&self) -> FileStates {
        let entries = self.sources.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let entries = entries.flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let sources = entries.filter(|path| crate::config::is_source_file(path));
        let files = self.files.iter().cloned().chain(sources);
        files.map(|path| (path.clone(), FileState::of(&path))).collect()
    }
}

impl FileState {
    /// `None` for a file that cannot be looked at.
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn watch(folder: &Path) -> WatchedFiles {
        let path = folder.join("pitwall.toml");
        let mut config = Config::parse("pitwall.toml", "", []).unwrap();
        config.path = Some(path);
        WatchedFiles::of(&config)
    }

    #[test]
    fn each_kind_of_change_is_seen_once_it_has_settled() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 6] = [
            ("written", |folder| fs::write(folder.join("pitwall.toml"), "# new").unwrap()),
            ("replaced by one of the same size", |folder| {
                fs::write(folder.join("new"), "# old").unwrap();
                fs::rename(folder.join("new"), folder.join("pitwall.toml")).unwrap();
            }),
            ("a source comes", |folder| fs::write(folder.join("sources/b.toml"), "").unwrap()),
            ("a source goes", |folder| fs::remove_file(folder.join("sources/a.toml")).unwrap()),
            ("the file goes", |folder| fs::remove_file(folder.join("pitwall.toml")).unwrap()),
            ("sources/ goes", |folder| fs::remove_dir_all(folder.join("sources")).unwrap()),
        ];
        for (what, change) in changes {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join("sources")).unwrap();
            fs::write(folder.path().join("pitwall.toml"), "# old").unwrap();
            fs::write(folder.path().join("sources/a.toml"), "").unwrap();
            let mut files = watch(folder.path());
            assert!(!files.poll_changes(), "{what}");
            change(folder.path());
            assert!(!files.poll_changes(), "{what}: it may not be all");
            assert!(files.poll_changes(), "{what}");
            let seen = files.read_states();
            files.accept(seen);
            assert!(!files.poll_changes(), "{what}: once");
        }
    }

    #[test]
    fn what_is_no_source_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sources")).unwrap();
        let mut files = watch(folder.path());
        for name in ["notes.txt", ".a.toml.swp", ".a.toml"] {
            fs::write(folder.path().join("sources").join(name), "").unwrap();
        }
        assert!(!files.poll_changes() && !files.poll_changes());
    }

    /// Kubernetes mounts a ConfigMap as links to a folder behind a link, which it replaces.
    #[test]
    fn a_replaced_link_above_the_file_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("pitwall.toml"), "# same size").unwrap();
        }
        symlink("..1", path("..data")).unwrap();
        symlink("..data/pitwall.toml", path("pitwall.toml")).unwrap();
        let mut files = watch(folder.path());
        assert!(!files.poll_changes());
        symlink("..2", path("..new")).unwrap();
        fs::rename(path("..new"), path("..data")).unwrap();
        assert!(!files.poll_changes());
        assert!(files.poll_changes());
    }
}
