//! [`SourceRunReport`]: the result of one run of a source's extractor.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::ExtractorError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::TracedStep;

/// The step name of a candidate that failed its check.
pub(crate) const CHECK_STEP: &str = "check";

/// The result of one run of a source.
#[derive(Default)]
pub(crate) struct SourceRunReport {
    pub(crate) duration: Duration,
    /// The extractor had no failure, so the candidates are all that the source has.
    pub(crate) is_complete: bool,
    /// Number of candidates.
    pub(crate) candidates: usize,
    pub(crate) dropped: usize,
    /// The earliest expiry of a candidate.
    pub(crate) expires_at: Option<Timestamp>,
    /// Some candidate states no expiry.
    pub(crate) has_unknown_expiry: bool,
    /// Failures of the extractor, then of checks; fit for the public.
    pub(crate) failures: Vec<ExtractorError>,
    /// Something that the source lists cannot be a stream, which is no failure.
    pub(crate) unusable: Option<ExtractorError>,
    pub(crate) steps: Arc<[TracedStep]>,
    pub(crate) checks: Vec<CheckTrace>,
}

impl SourceRunReport {
    /// The first failure of the run.
    pub(crate) fn first_failure(&self) -> Option<&ExtractorError> {
        self.failures.first()
    }
}

/// The check of one candidate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CheckTrace {
    pub(crate) feed: String,
    /// Why the candidate failed its check; `None` if it passed.
    pub(crate) refused: Option<String>,
}
