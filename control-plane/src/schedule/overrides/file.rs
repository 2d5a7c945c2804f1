//! [`OverrideFile`]: reads the override file and reads it again when it changes. Each value is
//! validated by itself, so that an error names file, line and key.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::Overrides;
use crate::schedule::calendar::is_id_part;
use crate::settings::{from_text, locate_error};

/// Why an override file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {message}")]
pub struct OverrideError {
    /// The file and, if it is known, the line.
    pub location: String,
    /// The key and what is wrong with it.
    pub message: String,
}

pub(crate) fn read_overrides(path: &Path) -> Result<Overrides, OverrideError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| OverrideError { location: name.clone(), message: error.to_string() })?;
    parse_overrides(&name, &text)
}

pub(crate) fn parse_overrides(name: &str, text: &str) -> Result<Overrides, OverrideError> {
    let overrides: Overrides = toml::from_str(text).map_err(|error| {
        let (line, message) = locate_error(text, &error);
        let location = line.map_or(name.to_owned(), |line| format!("{name}:{line}"));
        OverrideError { location, message }
    })?;
    let refuse = |message: String| Err(OverrideError { location: name.to_owned(), message });
    let mut seen = HashSet::new();
    for session in &overrides.sessions {
        let id = &session.id.0;
        if !seen.insert(id.as_str()) {
            return refuse(format!("session.id: {id} is overridden twice"));
        }
        let (start, end) = (session.start.map(|at| at.0), session.end.map(|at| at.0));
        if start.zip(end).is_some_and(|(start, end)| end <= start) {
            return refuse(format!("session.end: {id} ends before it begins"));
        }
    }
    for meeting in &overrides.meetings {
        if !seen.insert(meeting.id.0.as_str()) {
            return refuse(format!("meeting.id: {} is overridden twice", meeting.id.0));
        }
    }
    Ok(overrides)
}

/// The override file and the result of its last reading, by which changes are recognised.
pub(crate) struct OverrideFile {
    path: PathBuf,
    last_result: Option<Result<Overrides, OverrideError>>,
}

impl OverrideFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last_result: None }
    }

    /// Reads the file, and returns the overrides or the error if they differ from the last reading.
    pub(crate) fn poll_changes(&mut self) -> Option<Result<Overrides, OverrideError>> {
        let read = read_overrides(&self.path);
        if self.last_result.as_ref() == Some(&read) {
            return None;
        }
        self.last_result = Some(read.clone());
        Some(read)
    }
}

/// `{season}:{race}:{circuit}:{code}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionId(pub(super) String);

/// `{season}:{race}:{circuit}`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MeetingId(pub(super) String);

impl SessionId {
    pub(super) fn meeting_id(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(meeting, _)| meeting)
    }

    pub(super) fn code(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(_, code)| code)
    }
}

fn check_id(text: &str, count: usize, like: &str) -> Result<String, String> {
    if text.len() > 256 || text.split(':').count() != count || !text.split(':').all(is_id_part) {
        return Err(format!("{text:?} is not an id such as {like:?}"));
    }
    Ok(text.to_owned())
}

from_text!(SessionId, |text| { check_id(text, 4, "2026:miami-grand-prix:miami:race").map(Self) });

from_text!(MeetingId, |text| { check_id(text, 3, "2026:miami-grand-prix:miami").map(Self) });

/// A date and time with an offset, as a TOML datetime or as a string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OverrideTime(pub(super) Timestamp);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OverrideDate(pub(super) Date);

impl<'de> Deserialize<'de> for OverrideTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserialize_text(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            let like = "a date and time with its offset, such as 2026-05-03T17:00:00Z";
            D::Error::custom(format!("{text:?} is not {like}"))
        })
    }
}

impl<'de> Deserialize<'de> for OverrideDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserialize_text(deserializer)?;
        // The parser would accept a date with a time and drop the time.
        text.parse()
            .ok()
            .filter(|_| text.len() == 10)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is not a date such as 2026-05-03")))
    }
}

fn deserialize_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(text),
        toml::Value::Datetime(datetime) => Ok(datetime.to_string()),
        other => Err(D::Error::custom(format!("a date is wanted, not {}", other.type_str()))),
    }
}
