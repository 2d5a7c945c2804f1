//! The files that an operator edits while Pitwall runs: one per source in `sources/`, and the
//! override file of the schedule. A change names the version that it is made of, so that of two
//! operators none overwrites what the other has just written.
//!
//! - [`source_files`]: the files in `sources/`; [`source_draft`]: the text that a source is to have.
//! - [`override_file`]: the override file of the schedule.
//! - [`secret_masks`]: secrets never leave a file; [`merge_patch`]: changes keys of a TOML file and
//!   leaves its comments.
//! - [`versioned_file`]: files that are read with their version and replaced whole.

mod merge_patch;
mod override_file;
mod secret_masks;
mod source_draft;
mod source_files;
mod versioned_file;

use std::fmt;
use std::path::PathBuf;

pub(crate) use self::override_file::{CheckedOverrides, OverrideFileEditor, OverrideText};
pub(crate) use self::source_draft::SourceDraft;
pub(crate) use self::source_files::{CheckedSource, SourceFileText, SourceFiles, SourceList};
pub use self::source_files::{ReadOnlySource, SourceFileLocations};
pub(crate) use self::versioned_file::Precondition;
use crate::schedule::OverrideError;
use crate::settings::locate_error;

/// Which files operators edit, by the configuration in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct EditableFiles {
    pub(crate) sources: SourceFileLocations,
    /// `[schedule] override_file`.
    pub(crate) overrides: Option<PathBuf>,
    /// Whether files may be changed: `[control] edit_files`.
    pub(crate) is_editable: bool,
}

impl EditableFiles {
    fn require_editable(&self) -> Result<(), FileError> {
        match self.is_editable {
            true => Ok(()),
            false => Err(FileError::ReadOnly("[control] edit_files = false".to_owned())),
        }
    }
}

/// Why a file was not read, checked or changed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileError {
    /// This process has no such file, and which key of the configuration would name one.
    NotConfigured(&'static str),
    /// There is no file of this name.
    Unknown(String),
    /// The file may not be changed here, and why.
    ReadOnly(String),
    /// The name is not one that a file in `sources/` may have.
    BadName(String),
    /// Neither `If-Match` nor `If-None-Match` says which version is changed.
    PreconditionMissing,
    /// The file has another version than the one that the change is made of.
    Changed,
    /// Another source has the name of this one, and where it is configured.
    NameTaken { name: String, location: String },
    /// The text cannot be used.
    Invalid(InvalidText),
    /// The file system failed.
    Io(String),
}

/// What is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidText {
    /// `FILE:LINE`, or the file alone.
    location: String,
    /// The key, and what is wrong with its value.
    message: String,
}

impl InvalidText {
    /// The error of a parser of `text`.
    fn of_toml(file: &str, text: &str, error: &toml::de::Error) -> Self {
        let (line, message) = locate_error(text, error);
        let location = line.map_or(file.to_owned(), |line| format!("{file}:{line}"));
        Self { location, message }
    }

    fn new(file: &str, message: impl Into<String>) -> Self {
        Self { location: file.to_owned(), message: message.into() }
    }
}

impl From<OverrideError> for InvalidText {
    fn from(error: OverrideError) -> Self {
        Self { location: error.location, message: error.message }
    }
}

/// `FILE:LINE: KEY: what is wrong`.
impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}
