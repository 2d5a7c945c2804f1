//! [`Extractors`]: how the last runs of the sources' extractors ended.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/extractors`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Extractors {
    pub extractors: Vec<ExtractorStatus>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExtractorStatus {
    /// Name of the source.
    pub name: String,
    pub kind: String,
    pub state: ExtractorState,
    pub every_seconds: u64,
    /// Number of candidates that the last successful run found.
    pub candidates: usize,
    /// Error of the last run. In the state `ok`: what the source lists and cannot be a stream, and was
    /// left out.
    pub error: Option<ExtractorError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtractorState {
    /// The last run had no failure, and no candidate that it found is down.
    Ok,
    /// The last run failed wholly or in part, or a candidate that it found is down.
    Failing,
    /// No run has finished yet.
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtractorError {
    /// The step that failed, such as `3 select form input[name=csrf]`.
    pub step: String,
    pub message: String,
}
