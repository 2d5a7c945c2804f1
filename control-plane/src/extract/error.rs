//! What went wrong in a run. Public answers show it, so it names no upstream.

use std::fmt;

use pitwall_fetch::{FetchError, Kind, USER_INFO};
use serde::{Deserialize, Serialize};

use super::mask;
use crate::source::Source;

/// Which step failed and why. Public answers show `step` and `message`, so neither holds a URL,
/// a token or a host; `detail` is for logs and the terminal. `step` is made of what is
/// configured alone, so it may be a label of a metric.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ExtractError {
    pub step: String,
    pub message: String,
    pub detail: Option<String>,
    /// Might the same run succeed if it were tried again soon?
    pub retryable: bool,
}

/// Why a step failed, before it is known which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) retryable: bool,
}

impl ExtractError {
    pub(crate) fn new(
        step: impl Into<String>,
        message: impl Into<String>,
        retryable: bool,
    ) -> Self {
        Self { step: step.into(), message: message.into(), detail: None, retryable }
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.detail.as_ref().unwrap_or(&self.message))
    }
}

impl Failure {
    /// What the same run would meet again.
    pub(crate) fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), detail: None, retryable: false }
    }

    pub(crate) fn passing(message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::lasting(message) }
    }

    /// For logs and the terminal; whatever looks like a URL in it is masked.
    pub(crate) fn detail(self, detail: impl fmt::Display) -> Self {
        let detail = format!("{} ({})", self.message, mask::urls(&detail.to_string()));
        Self { detail: Some(detail), ..self }
    }

    pub(crate) fn status(status: u16) -> Self {
        let retryable = status >= 500 || matches!(status, 408 | 429);
        Self { retryable, ..Self::lasting(format!("the server answered {status}")) }
    }

    pub(crate) fn at(self, step: impl Into<String>) -> ExtractError {
        let Self { message, detail, retryable } = self;
        ExtractError { step: step.into(), message, detail, retryable }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::lasting(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::lasting(message)
    }
}

impl Failure {
    /// The operator is told which key of the source would allow what the address policy forbids.
    pub(crate) fn of_fetch(error: &FetchError, source: &Source) -> Self {
        Self::of_error(error, error.operator(&source.place()))
    }

    fn of_error(error: &FetchError, detail: String) -> Self {
        let message = error.public();
        let detail = match error.kind {
            Kind::BadUrl(USER_INFO) => format!("{detail}: {USE_HEADERS}"),
            _ => detail,
        };
        let detail = (detail != message).then_some(detail);
        Self { message, detail, retryable: error.is_transient() }
    }
}

/// Of an answer that has begun, and of what is nobody's source.
impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::of_error(&error, error.to_string())
    }
}

/// What to write in the place of a URL with a user name or password.
pub(crate) const USE_HEADERS: &str = "leave them out of it and write headers = { Authorization = \"Basic …\" }, where … is the base64 of USER:PASSWORD";

/// Names for the operator, in quotes, a few of them.
pub(crate) fn listing<T: fmt::Display>(names: impl Iterator<Item = T>) -> String {
    const MOST: usize = 20;
    let mut names: Vec<String> = names.take(MOST + 1).map(|name| name.to_string()).collect();
    let more = names.len() > MOST;
    names.truncate(MOST);
    format!("{}{}", names.join(", "), if more { ", …" } else { "" })
}
