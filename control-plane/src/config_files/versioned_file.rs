//! [`VersionedFile`]: a text file that is read with its version and replaced whole.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use http::{HeaderMap, header};

use super::FileError;

/// Longer than any file that a person writes. A command that carries one has at most 64 KiB.
pub(super) const TEXT_MAX_BYTES: usize = 48 * 1024;
/// Permissions of a new file, which may hold credentials of a source.
const NEW_FILE_MODE: u32 = 0o600;

/// The version of a file's content, as 32 hex digits: a hash of it under a key that is made anew in
/// each process, so that nobody can try guesses of the file's secrets against a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileVersion(String);

/// Which version of a file a change is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// `If-Match`: one of these versions.
    Versions(Vec<FileVersion>),
    /// `If-None-Match: *`: there is no such file yet.
    Absent,
}

pub(super) struct VersionedFile(PathBuf);

static VERSION_KEY: LazyLock<[u8; 32]> = LazyLock::new(rand::random);

impl FileVersion {
    fn of_text(text: &str) -> Self {
        let hash = blake3::keyed_hash(&VERSION_KEY, text.as_bytes()).to_hex();
        Self(hash.as_str().split_at(32).0.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Precondition {
    /// # Errors
    /// [`FileError::PreconditionMissing`], also for `If-Match: *`, which names no version.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Self, FileError> {
        let text = |name| {
            let values = headers.get_all(name).iter();
            values.filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
        };
        let (matching, absent) = (text(header::IF_MATCH), text(header::IF_NONE_MATCH));
        if absent.trim() == "*" && matching.is_empty() {
            return Ok(Self::Absent);
        }
        let tags = matching.split(',').filter_map(|tag| {
            Some(FileVersion(tag.trim().strip_prefix('"')?.strip_suffix('"')?.to_owned()))
        });
        match tags.collect::<Vec<_>>() {
            tags if tags.is_empty() => Err(FileError::PreconditionMissing),
            tags => Ok(Self::Versions(tags)),
        }
    }

    fn is_met_by(&self, current: Option<&FileVersion>) -> bool {
        match (self, current) {
            (Self::Absent, current) => current.is_none(),
            (Self::Versions(versions), Some(current)) => versions.contains(current),
            (Self::Versions(_), None) => false,
        }
    }
}

impl VersionedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The text with its version; `None` where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is no text.
    pub(super) fn read(&self) -> Result<Option<(String, FileVersion)>, FileError> {
        match fs::read_to_string(&self.0) {
            Ok(text) => {
                let version = FileVersion::of_text(&text);
                Ok(Some((text, version)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.io_error(&error)),
        }
    }

    /// Replaces the file if it meets `precondition`, and gives its new version. A reader sees the
    /// old text or the new one.
    ///
    /// # Errors
    /// [`FileError::Changed`], [`FileError::ReadOnly`], or the file cannot be written.
    pub(super) fn replace(
        &self,
        precondition: &Precondition,
        text: &str,
    ) -> Result<FileVersion, FileError> {
        self.check_precondition(precondition)?;
        self.write(text).map_err(|error| self.io_error(&error))?;
        Ok(FileVersion::of_text(text))
    }

    /// # Errors
    /// As [`replace`](Self::replace).
    pub(super) fn remove(&self, precondition: &Precondition) -> Result<(), FileError> {
        self.check_precondition(precondition)?;
        fs::remove_file(&self.0).map_err(|error| self.io_error(&error))
    }

    pub(super) fn check_precondition(&self, precondition: &Precondition) -> Result<(), FileError> {
        // A link into a mounted volume would be replaced by a file that the volume does not know.
        if fs::symlink_metadata(&self.0).is_ok_and(|found| !found.is_file()) {
            let why = format!("{} is a link or no file: change what it leads to", self.0.display());
            return Err(FileError::ReadOnly(why));
        }
        let current = self.read()?.map(|(_, version)| version);
        if precondition.is_met_by(current.as_ref()) { Ok(()) } else { Err(FileError::Changed) }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let folder = self.0.parent().ok_or(ErrorKind::InvalidInput)?;
        fs::create_dir_all(folder)?;
        let mode = fs::metadata(&self.0).map_or(NEW_FILE_MODE, |found| found.permissions().mode());
        // A hidden name without the ending of a source file, so that no reader of the folder takes
        // it for one.
        let mut new =
            tempfile::Builder::new().prefix(".pitwall-").suffix(".new").tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        new.as_file().set_permissions(Permissions::from_mode(mode))?;
        new.as_file().sync_all()?;
        new.persist(&self.0).map_err(|error| error.error)?;
        // Some file systems cannot sync a folder; the text itself is on the disk by then.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn io_error(&self, error: &io::Error) -> FileError {
        let why = format!("{}: {error}", self.0.display());
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => FileError::ReadOnly(why),
            _ => FileError::Io(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preconditions_are_read() {
        let versions = |names: &[&str]| {
            let versions = names.iter().map(|name| FileVersion((*name).to_owned()));
            Ok(Precondition::Versions(versions.collect()))
        };
        let missing = || Err(FileError::PreconditionMissing);
        for (name, value, expected) in [
            ("if-match", "\"a\"", versions(&["a"])),
            ("if-match", "\"a\", \"b\"", versions(&["a", "b"])),
            ("if-match", "*", missing()),
            ("if-match", "W/\"a\"", missing()),
            ("if-match", "a", missing()),
            ("if-none-match", "*", Ok(Precondition::Absent)),
            ("if-none-match", "\"a\"", missing()),
            ("accept", "*", missing()),
        ] {
            let name: http::HeaderName = name.parse().unwrap();
            let headers = HeaderMap::from_iter([(name.clone(), value.parse().unwrap())]);
            assert_eq!(Precondition::of_headers(&headers), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_file_is_replaced_only_in_the_version_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = VersionedFile::new(folder.path().join("sources/a.toml"));
        let at = |version: &FileVersion| Precondition::Versions(vec![version.clone()]);
        assert_eq!(file.read(), Ok(None));
        let first = file.replace(&Precondition::Absent, "one").unwrap();
        assert_eq!(file.replace(&Precondition::Absent, "two"), Err(FileError::Changed));
        let second = file.replace(&at(&first), "two").unwrap();
        assert_ne!(first, second);
        assert_eq!(file.replace(&at(&first), "three"), Err(FileError::Changed));
        assert_eq!(file.read(), Ok(Some(("two".to_owned(), second.clone()))));
        assert_eq!(file.remove(&at(&first)), Err(FileError::Changed));
        file.remove(&at(&second)).unwrap();
        assert_eq!(file.read(), Ok(None));
        assert_eq!(file.remove(&at(&second)), Err(FileError::Changed));
        let left = fs::read_dir(folder.path().join("sources")).unwrap().count();
        assert_eq!(left, 0, "no temporary file is left");
    }

    #[test]
    fn permissions_stay_and_links_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let file = VersionedFile::new(path.clone());
        let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let version = file.replace(&Precondition::Absent, "one").unwrap();
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let version = file.replace(&Precondition::Versions(vec![version]), "two").unwrap();
        assert_eq!(mode(&path), 0o640);
        let link = folder.path().join("b.toml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let linked = VersionedFile::new(link);
        let replaced = linked.replace(&Precondition::Versions(vec![version]), "three");
        assert!(matches!(replaced, Err(FileError::ReadOnly(_))), "{replaced:?}");
    }

    #[test]
    fn a_version_tells_texts_apart_and_is_no_hash_that_anybody_can_make() {
        let text = "url = \"https://a.example/?token=0000\"\n";
        assert_eq!(FileVersion::of_text(text), FileVersion::of_text(text));
        assert_ne!(FileVersion::of_text(text), FileVersion::of_text(&text.replace('0', "1")));
        let plain = blake3::hash(text.as_bytes()).to_hex();
        assert!(!plain.as_str().starts_with(FileVersion::of_text(text).as_str()));
    }
}
