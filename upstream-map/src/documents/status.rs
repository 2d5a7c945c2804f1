//! [`Status`]: the state of the control plane.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub started_at: Timestamp,
    pub schedule: ScheduleStatus,
    pub streams: StreamCount,
    pub extractors: ExtractorCount,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ScheduleStatus {
    pub source: Option<String>,
    pub fetched_at: Option<Timestamp>,
    pub stale_since: Option<Timestamp>,
    pub error: Option<String>,
    /// Number of upcoming or live sessions on which providers disagree.
    #[serde(default)]
    pub disagreements: usize,
    #[serde(default)]
    pub providers: Vec<ProviderStatus>,
}

/// State of a schedule provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderStatus {
    pub name: String,
    pub fetched_at: Option<Timestamp>,
    /// Time since which the provider cannot be read.
    pub stale_since: Option<Timestamp>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StreamCount {
    /// Number of known streams, including those that are down.
    pub total: usize,
    pub healthy: usize,
    /// Number of streams without an active upstream.
    #[serde(default)]
    pub down: usize,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ExtractorCount {
    pub total: usize,
    pub failing: usize,
}
