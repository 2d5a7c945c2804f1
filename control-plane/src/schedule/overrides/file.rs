//! The override file as text: judged value by value, so that a mistake is named by file, line
//! and key, and read again when it changes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::Overrides;
use crate::schedule::calendar::is_id;
use crate::settings::{from_text, locate};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct OverrideError {
    /// File and, where it is known, line.
    pub place: String,
    /// Key and what is wrong with it.
    pub message: String,
}

pub(crate) fn read(path: &Path) -> Result<Overrides, OverrideError> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| OverrideError { place: name.clone(), message: error.to_string() })?;
    parse(&name, &text)
}

pub(crate) fn parse(name: &str, text: &str) -> Result<Overrides, OverrideError> {
    let overrides: Overrides = toml::from_str(text).map_err(|error| {
        let (line, message) = locate(text, &error);
        let place = line.map_or(name.to_owned(), |line| format!("{name}:{line}"));
        OverrideError { place, message }
    })?;
    let refuse = |message: String| Err(OverrideError { place: name.to_owned(), message });
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

/// A file that is looked at again and again: taken when it is fine, kept as it was when not.
pub(crate) struct OverrideFile {
    path: PathBuf,
    seen: Option<Result<Overrides, OverrideError>>,
}

impl OverrideFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// What it says, if that is news.
    pub(crate) fn look(&mut self) -> Option<Result<Overrides, OverrideError>> {
        let read = read(&self.path);
        if self.seen.as_ref() == Some(&read) {
            return None;
        }
        self.seen = Some(read.clone());
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
    pub(super) fn meeting(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(meeting, _)| meeting)
    }

    pub(super) fn code(&self) -> &str {
        self.0.rsplit_once(':').map_or("", |(_, code)| code)
    }
}

fn parts(text: &str, count: usize, like: &str) -> Result<String, String> {
    if text.len() > 256 || text.split(':').count() != count || !text.split(':').all(is_id) {
        return Err(format!("{text:?} is not an id such as {like:?}"));
    }
    Ok(text.to_owned())
}

from_text!(SessionId, |text| { parts(text, 4, "2026:miami-grand-prix:miami:race").map(Self) });

from_text!(MeetingId, |text| { parts(text, 3, "2026:miami-grand-prix:miami").map(Self) });

/// A moment, as TOML has it or as text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment(pub(super) Timestamp);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Day(pub(super) Date);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            let like = "a date and time with its offset, such as 2026-05-03T17:00:00Z";
            D::Error::custom(format!("{text:?} is not {like}"))
        })
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        // A whole moment would be taken for its day.
        text.parse()
            .ok()
            .filter(|_| text.len() == 10)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is not a date such as 2026-05-03")))
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => Ok(text),
        toml::Value::Datetime(moment) => Ok(moment.to_string()),
        other => Err(D::Error::custom(format!("a date is wanted, not {}", other.type_str()))),
    }
}
