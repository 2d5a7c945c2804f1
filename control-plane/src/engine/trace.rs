//! What the last run of a source did, for whoever holds the admin token. Of URLs it shows
//! where they lead, and no token.

use std::sync::Arc;

use jiff::Timestamp;
use pitwall_upstream_map::documents::ExtractorError;
use serde::Serialize;
use utoipa::ToSchema;

use super::work::Report;
use crate::extract::TracedStep;
use crate::source::Source;

/// `GET /api/extractors/{name}/trace`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Trace {
    pub(crate) extractor: String,
    pub(crate) kind: &'static str,
    pub(crate) ended_at: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) candidates: usize,
    /// Found beyond what is taken.
    pub(crate) dropped: usize,
    pub(crate) failures: Vec<ExtractorError>,
    /// Of the extractor, with secrets masked.
    pub(crate) steps: Arc<[TracedStep]>,
    /// In the order in which they ended.
    pub(crate) checks: Vec<TracedCheck>,
}

/// Of one candidate.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TracedCheck {
    pub(crate) feed: String,
    /// `None`: it passed.
    pub(crate) refused: Option<String>,
}

impl Trace {
    pub(crate) fn of(source: &Source, report: Report, ended_at: Timestamp) -> Self {
        Self {
            extractor: source.name.clone(),
            kind: source.kind(),
            ended_at,
            duration_ms: u64::try_from(report.duration.as_millis()).unwrap_or(u64::MAX),
            candidates: report.candidates,
            dropped: report.dropped,
            failures: report.failures,
            steps: report.steps,
            checks: report.checks,
        }
    }
}
