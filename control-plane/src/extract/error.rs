//! [`ExtractError`] and [`StepFailure`]: which step of a run failed and why. Public responses show
//! the message, so it names no upstream.

use std::collections::BTreeMap;
use std::fmt;

use pitwall_fetch::{FetchError, FetchErrorKind, USER_INFO_ERROR};
use serde::{Deserialize, Serialize};

use super::mask;
use crate::settings::CREDENTIALS_HINT;
use crate::source::Source;

/// Which step failed and why. Public responses show `step` and `message`, so neither holds a URL,
/// a token or a host; `detail` is for logs and the terminal. `step` is built from the configuration
/// alone, so that it may be a label of a metric.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ExtractError {
    pub step: String,
    pub message: String,
    pub detail: Option<String>,
    /// Whether the same run might succeed if it is repeated soon.
    pub retryable: bool,
}

/// Why a step failed; [`at_step`](Self::at_step) adds which one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepFailure {
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

impl StepFailure {
    /// A failure that the same run would meet again.
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self { message: message.into(), detail: None, retryable: false }
    }

    /// A failure that the same run may not meet again.
    pub(crate) fn transient(message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::permanent(message) }
    }

    /// Adds a detail for logs and the terminal; URLs in `detail` are masked.
    pub(crate) fn with_detail(self, detail: impl fmt::Display) -> Self {
        let detail = format!("{} ({})", self.message, mask::mask_urls_in_text(&detail.to_string()));
        Self { detail: Some(detail), ..self }
    }

    /// The failure of a response with `status`; 408, 429 and 5xx may pass.
    pub(crate) fn from_status(status: u16) -> Self {
        let retryable = status >= 500 || matches!(status, 408 | 429);
        Self { retryable, ..Self::permanent(format!("the server answered {status}")) }
    }

    pub(crate) fn at_step(self, step: impl Into<String>) -> ExtractError {
        let Self { message, detail, retryable } = self;
        ExtractError { step: step.into(), message, detail, retryable }
    }
}

impl From<String> for StepFailure {
    fn from(message: String) -> Self {
        Self::permanent(message)
    }
}

impl From<&str> for StepFailure {
    fn from(message: &str) -> Self {
        Self::permanent(message)
    }
}

impl StepFailure {
    /// The failure of a request of `source`; where the address policy denied it, the detail names
    /// the source's key that would allow it.
    pub(crate) fn from_source_fetch(error: &FetchError, source: &Source) -> Self {
        Self::from_fetch_error(error, error.operator_text(&source.config_location()))
    }

    fn from_fetch_error(error: &FetchError, detail: String) -> Self {
        let message = error.public_text();
        let detail = match error.kind {
            FetchErrorKind::BadUrl(USER_INFO_ERROR) => format!("{detail}: {CREDENTIALS_HINT}"),
            _ => detail,
        };
        let detail = (detail != message).then_some(detail);
        Self { message, detail, retryable: error.is_transient() }
    }
}

/// For an error while a response's body is read, and for a request that belongs to no source: in
/// neither case could a key of the source help.
impl From<FetchError> for StepFailure {
    fn from(error: FetchError) -> Self {
        Self::from_fetch_error(&error, error.to_string())
    }
}

/// A text such as `3 left out: 2 not HLS (.ts), 1 under DRM`; `None` if nothing is left out.
pub(crate) fn describe_left_out<R: Ord + fmt::Display>(
    reasons: impl Iterator<Item = R>,
) -> Option<String> {
    let (total, counts) = count_and_describe_reasons(reasons);
    (total > 0).then(|| format!("{total} left out: {counts}"))
}

/// How many reasons there are, and how often each, as in `2 not HLS (.ts), 1 under DRM`.
pub(crate) fn count_and_describe_reasons<R: Ord + fmt::Display>(
    reasons: impl Iterator<Item = R>,
) -> (usize, String) {
    let mut counts: BTreeMap<R, usize> = BTreeMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let texts: Vec<String> =
        counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    (counts.values().sum(), texts.join(", "))
}

/// At most `LISTED_MAX_NAMES` names, separated by commas, for a message to the operator.
pub(crate) fn list_names<T: fmt::Display>(names: impl Iterator<Item = T>) -> String {
    const LISTED_MAX_NAMES: usize = 20;
    let mut names: Vec<String> =
        names.take(LISTED_MAX_NAMES + 1).map(|name| name.to_string()).collect();
    let more = names.len() > LISTED_MAX_NAMES;
    names.truncate(LISTED_MAX_NAMES);
    format!("{}{}", names.join(", "), if more { ", …" } else { "" })
}
