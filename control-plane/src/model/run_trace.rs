//! [`RunTrace`]: what the last run of a source did, for holders of the admin token. URLs in it are
//! shown without tokens.

use std::sync::Arc;

use jiff::Timestamp;
use pitwall_upstream_map::documents::ExtractorError;
use serde::Serialize;
use utoipa::ToSchema;

use super::run_report::{CheckTrace, SourceRunReport};
use crate::extract::TracedStep;
use crate::source::Source;

/// Response of `GET /api/extractors/{name}/trace`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RunTrace {
    pub(crate) extractor: String,
    pub(crate) kind: &'static str,
    pub(crate) ended_at: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) candidates: usize,
    /// Number of candidates beyond the limit.
    pub(crate) dropped: usize,
    pub(crate) failures: Vec<ExtractorError>,
    /// Steps of the extractor, with secrets masked.
    pub(crate) steps: Arc<[TracedStep]>,
    /// Checks of the candidates, in the order in which they ended.
    pub(crate) checks: Vec<CheckTrace>,
}

impl RunTrace {
    pub(crate) fn of(source: &Source, report: SourceRunReport, ended_at: Timestamp) -> Self {
        Self {
            extractor: source.name.clone(),
            kind: source.kind,
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
