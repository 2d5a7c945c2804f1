//! [`Extractors`]: the sources' last runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/extractors`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Extractors {
    pub extractors: Vec<ExtractorStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExtractorStatus {
    /// The source's name.
    pub name: String,
    pub kind: String,
    pub state: ExtractorState,
    pub every_seconds: u64,
    pub last_run_at: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    pub next_run_at: Option<Timestamp>,
    pub duration_ms: Option<u64>,
    /// How many the last successful run found.
    pub candidates: usize,
    /// In the state `ok`: something that was found cannot be a stream, and was left out.
    pub error: Option<ExtractorError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtractorState {
    /// Its last run failed in nothing, and nothing of what it found is down.
    Ok,
    /// Its last run failed, wholly or in part, or something that it found is down.
    Failing,
    /// Has not finished a run yet.
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtractorError {
    /// Which step failed, such as `3 select form input[name=csrf]`.
    pub step: String,
    pub message: String,
}
