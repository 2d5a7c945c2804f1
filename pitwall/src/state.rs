//! The state directory: state files of an earlier run, and whether the directory can be written to.

use std::io::{self, ErrorKind};
use std::path::Path;

/// What the names of Pitwall's state files begin with, up to the first dot; the seal key is not
/// one.
const STATE_FILE_STEMS: [&str; 4] = ["map", "splices", "schedule", "history"];

/// The name of a state file of an earlier run; `None` if the directory has none or does not exist.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn find_state_file(directory: &Path) -> io::Result<Option<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_state_file =
        |name: &String| STATE_FILE_STEMS.contains(&name.split('.').next().unwrap_or_default());
    Ok(names.filter(is_state_file).min())
}

/// Checks that files can be made in the directory, or in the nearest existing one above it. Leaves
/// no file behind.
///
/// # Errors
/// No file can be made there.
pub(crate) fn ensure_writable(directory: &Path) -> io::Result<()> {
    let exists = |path: &&Path| !matches!(std::fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound);
    let nearest = directory.ancestors().find(exists).unwrap_or(Path::new("/"));
    tempfile::tempfile_in(nearest).map(drop)
}

/// A warning about state that is no longer used: earlier versions took a relative `[state] dir` as
/// relative to the working directory.
///
/// `written`: the path as configured; `directory`: the path that is used.
pub(crate) fn describe_unused_state(
    working: &Path,
    written: &Path,
    directory: &Path,
) -> Option<String> {
    let old = working.join(written);
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if canonical(&old) == canonical(directory) {
        return None;
    }
    let has_key = |path: &Path| path.join("seal.key").exists();
    let has_state = |path: &Path| has_key(path) || matches!(find_state_file(path), Ok(Some(_)));
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
    fn a_directory_is_writable_or_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (directory, expected) in [
            (folder.path().to_owned(), None),
            (folder.path().join("to/be/made"), None),
            (file.clone(), Some(ErrorKind::NotADirectory)),
            (file.join("below"), Some(ErrorKind::NotADirectory)),
        ] {
            let outcome = ensure_writable(&directory).err().map(|error| error.kind());
            assert_eq!(outcome, expected, "{}", directory.display());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn unused_state_is_reported_only_where_no_other_state_exists() {
        let (working, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (old, new) = (working.path().join("state"), folder.path().join("state"));
        let describe = || describe_unused_state(working.path(), Path::new("state"), &new);
        assert_eq!(describe(), None);
        fs::create_dir(&old).unwrap();
        fs::write(old.join("somebody's"), "").unwrap();
        assert_eq!(describe(), None, "another program's folder of this name");
        fs::write(old.join("seal.key"), "").unwrap();
        let warning = describe().unwrap();
        for path in [&old, &new] {
            assert!(warning.contains(&path.display().to_string()), "{warning}");
        }
        assert_eq!(
            describe_unused_state(working.path(), Path::new("state"), &old),
            None,
            "the same one"
        );
        fs::create_dir(&new).unwrap();
        fs::write(new.join("history.json"), "").unwrap();
        assert_eq!(describe(), None, "it was moved, or a new one is in use");
    }
}
