//! [`Recording`]: a run's exchange, as it is kept.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ask;
use crate::extract::error::Failure;
use crate::extract::trace::TracedStep;

/// One run: what was asked and answered, and what became of it. It holds tokens and cookies as
/// they were, so its files are for their owner's eyes only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Recording {
    pub source: String,
    pub kind: String,
    pub at: Timestamp,
    pub seed: u64,
    /// Did the run find something, and nothing fail?
    pub good: bool,
    pub exchanges: Vec<Exchange>,
    pub steps: Vec<TracedStep>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Exchange {
    pub track: Vec<usize>,
    pub ask: Ask,
    pub(crate) answer: Result<Answer, Failure>,
}

/// What came back: of a server, a program or a browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// That answered, after redirects.
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// That the visitor holds for this URL from now on.
    pub(crate) cookies: Vec<String>,
    /// In a file of its own, to be looked at.
    #[serde(skip)]
    pub(crate) body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("there is no recording of {source_name:?} in {folder}")]
    Missing { source_name: String, folder: String },
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("{path}: not a recording: {error}")]
    Broken { path: String, error: serde_json::Error },
    #[error("this is a recording of the source {recorded:?}")]
    Other { recorded: String },
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
