//! The state directory: what an earlier run left in it, and whether anything can be kept there.

use std::io::{self, ErrorKind};
use std::path::Path;

/// The names that files of ours begin with, but for the seal key.
const OURS: [&str; 4] = ["map", "splices", "schedule", "history"];

/// A file of an earlier run, if the directory has one. A directory that is not there yet is as good
/// as an empty one.
pub(crate) fn kept_in(directory: &Path) -> io::Result<Option<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_ours = |name: &String| OURS.contains(&name.split('.').next().unwrap_or_default());
    Ok(names.filter(is_ours).min())
}

/// Can files be made in the directory, or where it is still to be made? Leaves nothing behind.
pub(crate) fn is_writable(directory: &Path) -> io::Result<()> {
    let is_there = |path: &&Path| !matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound);
    let nearest = directory.ancestors().find(is_there).unwrap_or(Path::new("/"));
    tempfile::tempfile_in(nearest).map(drop)
}

/// State of an earlier version, which was in the working directory: it is used no more where the
/// configuration is in another folder.
pub(crate) fn left_behind(working: &Path, written: &Path, directory: &Path) -> Option<String> {
    let old = working.join(written);
    let same = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if same(&old) == same(directory) {
        return None;
    }
    let has_key = |path: &Path| path.join("seal.key").exists();
    let has_state = |path: &Path| has_key(path) || matches!(kept_in(path), Ok(Some(_)));
    (has_state(&old) && !has_state(directory)).then(|| {
        format!(
            "{} holds state that is not used: a relative [state] dir is relative to the folder of \
             the configuration. To keep its seal key, and with it the links that are out, move it \
             to {}",
            old.display(),
            directory.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_to_later_is_tried_now() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (directory, expected) in [
            (folder.path().to_owned(), None),
            (folder.path().join("to/be/made"), None),
            (file.clone(), Some(ErrorKind::NotADirectory)),
            (file.join("below"), Some(ErrorKind::NotADirectory)),
        ] {
            let outcome = is_writable(&directory).err().map(|error| error.kind());
            assert_eq!(outcome, expected, "{}", directory.display());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn state_in_the_working_directory_is_missed_only_where_there_is_no_other() {
        let (working, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (old, new) = (working.path().join("state"), folder.path().join("state"));
        let ask = || left_behind(working.path(), Path::new("state"), &new);
        assert_eq!(ask(), None);
        fs::create_dir(&old).unwrap();
        fs::write(old.join("somebody's"), "").unwrap();
        assert_eq!(ask(), None, "another program's folder of this name");
        fs::write(old.join("seal.key"), "").unwrap();
        let said = ask().unwrap();
        for path in [&old, &new] {
            assert!(said.contains(&path.display().to_string()), "{said}");
        }
        assert_eq!(left_behind(working.path(), Path::new("state"), &old), None, "the same one");
        fs::create_dir(&new).unwrap();
        fs::write(new.join("history.json"), "").unwrap();
        assert_eq!(ask(), None, "it was moved, or a new one is in use");
    }
}
