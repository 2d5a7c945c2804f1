//! [`Recording`]: one run of a source with its requests and responses, as stored on disk.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::RecordedRequest;
use crate::charset;
use crate::extract::error::StepFailure;
use crate::extract::trace::TracedStep;

/// One run of a source: its exchanges and its traced steps. A recording holds tokens and cookies
/// unmasked, so its files are readable by their owner only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Recording {
    pub source: String,
    pub kind: String,
    /// When the run was recorded; a replay sees this time.
    pub at: Timestamp,
    /// The seed of the run's random values.
    pub seed: u64,
    /// Whether the run found at least one candidate and no step failed.
    pub good: bool,
    pub exchanges: Vec<RecordedExchange>,
    pub steps: Vec<TracedStep>,
}

/// One request of a run and its response, or why there was none.
#[derive(Clone, Serialize, Deserialize)]
pub struct RecordedExchange {
    /// The path of the [`RunBranch`](crate::extract::RunBranch) that sent the request.
    pub track: Vec<usize>,
    pub ask: RecordedRequest,
    pub(crate) answer: Result<RecordedResponse, StepFailure>,
}

/// The response of a server, or the output of a program or browser in the same form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordedResponse {
    /// The URL that answered, after redirects.
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The run's cookies for this URL after the response, as `name=value`.
    pub(crate) cookies: Vec<String>,
    /// Stored in a file of its own, so that an editor can show it.
    #[serde(skip)]
    pub(crate) body: Bytes,
}

/// Why a [`Recording`] could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("there is no recording of {source_name:?} in {folder}")]
    Missing { source_name: String, folder: String },
    #[error("{path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("{path}: not a recording: {error}")]
    Malformed { path: String, error: serde_json::Error },
    #[error("this is a recording of the source {recorded:?}")]
    SourceMismatch { recorded: String },
}

impl RecordedResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        charset::decode_body(&self.body, self.header("content-type"))
    }
}
