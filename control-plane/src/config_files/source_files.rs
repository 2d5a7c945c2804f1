//! [`SourceFiles`]: the files in `sources/`, each of which is one source.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pitwall_fetch::OwnListeners;
use serde::Serialize;
use serde_json::Value as Json;
use tokio::sync::watch;
use toml_edit::DocumentMut;
use utoipa::ToSchema;

use super::secret_masks::Masker;
use super::source_draft::SourceDraft;
use super::versioned_file::{FileVersion, Precondition, VersionedFile};
use super::{EditableFiles, FileError, InvalidText};
use crate::extract::{ConfiguredSource, ExtractionRunner};
use crate::settings::SourceName;

/// Where sources are configured.
#[derive(Clone, Debug, Default)]
pub struct SourceFileLocations {
    /// `sources/` beside the configuration file; `None` for a process without such a file.
    pub folder: Option<PathBuf>,
    /// The sources in the configuration file itself.
    pub fixed: Vec<ReadOnlySource>,
}

/// A source that is configured elsewhere than in a file of its own, and is not edited.
#[derive(Clone, Debug)]
pub struct ReadOnlySource {
    pub name: String,
    pub kind: &'static str,
    /// `FILE:LINE`.
    pub location: String,
}

/// Reads, checks and changes the files in `sources/`, one change at a time.
pub(crate) struct SourceFiles {
    files: watch::Receiver<Arc<EditableFiles>>,
    masker: Masker,
    runner: Arc<ExtractionRunner>,
    change_lock: Mutex<()>,
}

/// Response of `GET /api/sources`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SourceList {
    /// The folder of source files; `None` for a process that was started without a configuration
    /// file.
    folder: Option<String>,
    /// Whether files may be written: `[control] edit_files`.
    editable: bool,
    sources: Vec<ListedSource>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct ListedSource {
    /// Name of the source; of a file that cannot be read, the file's.
    name: String,
    kind: Option<String>,
    /// The file, and in the configuration file the line.
    location: String,
    /// The name under which `/api/sources/{name}` has the file; `None` for a source in the
    /// configuration file.
    file: Option<String>,
    /// Why the file cannot be used.
    error: Option<String>,
}

/// A source file with its secrets masked.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SourceFileText {
    file: String,
    location: String,
    /// The same as in `ETag`.
    version: String,
    /// The file, in TOML. Secrets are masked; a mask that is sent back stands for its secret.
    text: String,
    /// The same as JSON; `null` where the file cannot be read.
    #[schema(value_type = Option<Object>)]
    settings: Json,
}

/// A text that could be saved.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct CheckedSource {
    /// Name of the source.
    name: String,
    kind: String,
    /// The file that would be saved, secrets masked.
    text: String,
    /// The same as JSON.
    #[schema(value_type = Object)]
    settings: Json,
    /// What would keep the source from working here: a missing program, or an address that no key
    /// allows.
    warnings: Vec<String>,
}

impl SourceFileText {
    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

impl SourceFiles {
    pub(crate) fn new(
        files: watch::Receiver<Arc<EditableFiles>>,
        runner: Arc<ExtractionRunner>,
    ) -> Self {
        Self { files, masker: Masker::new(), runner, change_lock: Mutex::default() }
    }

    fn editable_files(&self) -> Arc<EditableFiles> {
        self.files.borrow().clone()
    }

    pub(crate) fn list(&self) -> SourceList {
        let editable = self.editable_files();
        let SourceFileLocations { folder, fixed } = &editable.sources;
        let fixed = fixed.iter().map(|source| ListedSource {
            name: source.name.clone(),
            kind: Some(source.kind.to_owned()),
            location: source.location.clone(),
            file: None,
            error: None,
        });
        let files = self.paths().into_iter().map(|(file, path)| {
            let location = path.display().to_string();
            let parsed = VersionedFile::new(path).read().and_then(|found| {
                let text = found.map(|(text, _)| text).unwrap_or_default();
                parse_source(&location, &text)
            });
            let (parsed, error) = match parsed {
                Ok(source) => (Some(source), None),
                Err(error) => (None, Some(describe_file_error(error))),
            };
            let name = parsed.as_ref().map_or(&file, |source| &source.name).clone();
            let kind = parsed.map(|source| source.kind.to_owned());
            // A file whose name no address can have is listed and cannot be edited here.
            let file = SourceName::is_valid(&file).then_some(file);
            ListedSource { name, kind, location, file, error }
        });
        SourceList {
            folder: folder.as_ref().map(|folder| folder.display().to_string()),
            editable: editable.is_editable && folder.is_some(),
            sources: fixed.chain(files).collect(),
        }
    }

    /// # Errors
    /// There is no such file, or it cannot be read.
    pub(crate) fn read(&self, file: &str) -> Result<SourceFileText, FileError> {
        let path = self.path_of(file)?;
        let stored = VersionedFile::new(path.clone()).read()?;
        let (text, version) = stored.ok_or_else(|| FileError::Unknown(file.to_owned()))?;
        Ok(self.to_source_text(file, &path, &text, &version))
    }

    /// Checks what a file would be, without any network.
    ///
    /// # Errors
    /// What is wrong with the draft.
    pub(crate) fn check(
        &self,
        file: &str,
        draft: &SourceDraft,
    ) -> Result<CheckedSource, FileError> {
        let (source, document) = self.compose(file, draft)?;
        let (text, settings) = self.mask(document);
        let mut warnings = source.policy_denials(&OwnListeners::default());
        warnings.extend(self.runner.explain_missing(&source));
        let (name, kind) = (source.name.clone(), source.kind.to_owned());
        Ok(CheckedSource { name, kind, text, settings, warnings })
    }

    /// The source that a draft describes, for a dry run.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn parse(
        &self,
        file: &str,
        draft: &SourceDraft,
    ) -> Result<ConfiguredSource, FileError> {
        self.compose(file, draft).map(|(source, _)| source)
    }

    /// Saves a file that passes its check; says too whether it is a new one.
    ///
    /// # Errors
    /// What is wrong with the draft; the stored file is not the one that it is made of; or nothing
    /// may or can be written.
    pub(crate) fn save(
        &self,
        file: &str,
        draft: &SourceDraft,
        precondition: &Precondition,
    ) -> Result<(SourceFileText, bool), FileError> {
        self.editable_files().require_editable()?;
        let path = self.path_of(file)?;
        let _one_at_a_time = self.change_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = VersionedFile::new(path.clone());
        stored.check_precondition(precondition)?;
        let (_, document) = self.compose(file, draft)?;
        let text = document.to_string();
        let version = stored.replace(precondition, &text)?;
        let is_new = *precondition == Precondition::Absent;
        tracing::info!(file = %path.display(), is_new, "an operator saved a source file");
        Ok((self.to_source_text(file, &path, &text, &version), is_new))
    }

    /// # Errors
    /// The stored file is not the one that was meant, or it may not or cannot be removed.
    pub(crate) fn remove(&self, file: &str, precondition: &Precondition) -> Result<(), FileError> {
        self.editable_files().require_editable()?;
        let path = self.path_of(file)?;
        let _one_at_a_time = self.change_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = VersionedFile::new(path.clone());
        if stored.read()?.is_none() {
            return Err(FileError::Unknown(file.to_owned()));
        }
        stored.remove(precondition)?;
        tracing::info!(file = %path.display(), "an operator removed a source file");
        Ok(())
    }

    fn compose(
        &self,
        file: &str,
        draft: &SourceDraft,
    ) -> Result<(ConfiguredSource, DocumentMut), FileError> {
        let path = self.path_of(file)?;
        let stored = VersionedFile::new(path.clone()).read()?.map(|(text, _)| text);
        let location = path.display().to_string();
        let document = draft.compose(&location, stored.as_deref(), &self.masker)?;
        let source = parse_source(&location, &document.to_string())?;
        match self.location_of(&source.name, &path) {
            Some(location) => Err(FileError::NameTaken { name: source.name.clone(), location }),
            None => Ok((source, document)),
        }
    }

    /// Where a source of this name is configured, other than in the file `except`.
    fn location_of(&self, name: &str, except: &Path) -> Option<String> {
        let files = self.editable_files();
        let fixed = files.sources.fixed.iter().find(|source| source.name == name);
        if let Some(fixed) = fixed {
            return Some(fixed.location.clone());
        }
        let has_name = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let table: toml::Table = text.parse().unwrap_or_default();
            table.get("name").and_then(|it| it.as_str()) == Some(name)
        };
        let others = self.paths().into_values().filter(|path| path != except);
        others.into_iter().find(has_name).map(|path| path.display().to_string())
    }

    /// The source files by name without `.toml`. A folder that cannot be read has none.
    fn paths(&self) -> BTreeMap<String, PathBuf> {
        let files = self.editable_files();
        let entries = files.sources.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok());
        let paths = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let files = paths.filter_map(|path| {
            let stem = path.file_stem()?.to_str()?.to_owned();
            (path.extension()? == "toml").then_some((stem, path))
        });
        files.collect()
    }

    /// A valid name has neither a slash nor a dot, so the file is in the folder.
    fn path_of(&self, file: &str) -> Result<PathBuf, FileError> {
        let files = self.editable_files();
        let folder = files.sources.folder.as_ref().ok_or(FileError::NotConfigured(
            "this process was started without a configuration file, so there is no sources/",
        ))?;
        if !SourceName::is_valid(file) {
            return Err(FileError::BadName(file.to_owned()));
        }
        Ok(folder.join(format!("{file}.toml")))
    }

    fn to_source_text(
        &self,
        file: &str,
        path: &Path,
        text: &str,
        version: &FileVersion,
    ) -> SourceFileText {
        let (text, settings) = match text.parse::<DocumentMut>() {
            Ok(document) => self.mask(document),
            // Secrets cannot be told from other text.
            Err(_) => ("# This file is no TOML; its text is not shown.\n".to_owned(), Json::Null),
        };
        SourceFileText {
            file: file.to_owned(),
            location: path.display().to_string(),
            version: version.as_str().to_owned(),
            text,
            settings,
        }
    }

    fn mask(&self, mut document: DocumentMut) -> (String, Json) {
        self.masker.mask(&mut document);
        let text = document.to_string();
        let settings = toml::from_str(&text).unwrap_or_default();
        (text, settings)
    }
}

fn parse_source(location: &str, text: &str) -> Result<ConfiguredSource, FileError> {
    ConfiguredSource::parse_source_file(text)
        .map_err(|error| FileError::Invalid(InvalidText::of_toml(location, text, &error)))
}

fn describe_file_error(error: FileError) -> String {
    match error {
        FileError::Invalid(invalid) => invalid.to_string(),
        FileError::Io(why) | FileError::ReadOnly(why) => why,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests;
