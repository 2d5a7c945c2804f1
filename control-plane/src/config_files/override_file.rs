//! [`OverrideFileEditor`]: the override file of the schedule.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::versioned_file::{FileVersion, Precondition, TEXT_MAX_BYTES, VersionedFile};
use super::{EditableFiles, FileError, InvalidText};
use crate::schedule::count_overrides;

pub(crate) struct OverrideFileEditor {
    files: watch::Receiver<Arc<EditableFiles>>,
    change_lock: Mutex<()>,
}

/// Response of `GET /api/overrides`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OverrideText {
    /// Where the file is.
    location: String,
    /// Whether the file may be written: `[control] edit_files`.
    editable: bool,
    /// The same as in `ETag`; `None` while there is no file.
    version: Option<String>,
    /// The file, in TOML.
    text: String,
    /// Number of sessions and meetings that it overrides.
    overrides: usize,
    /// Why the file is not used.
    error: Option<String>,
}

/// A text that could be saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CheckedOverrides {
    /// Number of sessions and meetings that it overrides.
    overrides: usize,
}

impl OverrideText {
    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl OverrideFileEditor {
    pub(crate) fn new(files: watch::Receiver<Arc<EditableFiles>>) -> Self {
        Self { files, change_lock: Mutex::default() }
    }

    /// # Errors
    /// No override file is configured, or it cannot be read.
    pub(crate) fn read(&self) -> Result<OverrideText, FileError> {
        let path = self.path()?;
        let (text, version) = match VersionedFile::new(path.clone()).read()? {
            Some((text, version)) => (text, Some(version)),
            None => (String::new(), None),
        };
        Ok(self.to_override_text(&path, text, version.as_ref()))
    }

    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn check(&self, text: &str) -> Result<CheckedOverrides, FileError> {
        let location = self.path()?.display().to_string();
        if text.len() > TEXT_MAX_BYTES {
            let why = format!("longer than {TEXT_MAX_BYTES} bytes");
            return Err(FileError::Invalid(InvalidText::new(&location, why)));
        }
        let overrides = count_overrides(&location, text);
        let overrides = overrides.map_err(|error| FileError::Invalid(error.into()))?;
        Ok(CheckedOverrides { overrides })
    }

    /// # Errors
    /// What is wrong with the text; the stored file is not the one that it is made of; or nothing
    /// may or can be written.
    pub(crate) fn save(
        &self,
        text: &str,
        precondition: &Precondition,
    ) -> Result<OverrideText, FileError> {
        self.files.borrow().require_editable()?;
        let path = self.path()?;
        let _one_at_a_time = self.change_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = VersionedFile::new(path.clone());
        stored.check_precondition(precondition)?;
        self.check(text)?;
        let version = stored.replace(precondition, text)?;
        tracing::info!(file = %path.display(), "an operator saved the schedule overrides");
        Ok(self.to_override_text(&path, text.to_owned(), Some(&version)))
    }

    fn to_override_text(
        &self,
        path: &Path,
        text: String,
        version: Option<&FileVersion>,
    ) -> OverrideText {
        let location = path.display().to_string();
        let counted = count_overrides(&location, &text);
        OverrideText {
            editable: self.files.borrow().is_editable,
            version: version.map(|version| version.as_str().to_owned()),
            overrides: counted.as_ref().copied().unwrap_or(0),
            error: counted.err().map(|error| error.to_string()),
            location,
            text,
        }
    }

    fn path(&self) -> Result<PathBuf, FileError> {
        let path = self.files.borrow().overrides.clone();
        path.ok_or(FileError::NotConfigured("[schedule] override_file names no file"))
    }
}
