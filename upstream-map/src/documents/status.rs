//! [`Status`]: how the control plane fares.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: u64,
    pub generated_at: Timestamp,
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
    /// Sessions to come or live on which sources disagree.
    #[serde(default)]
    pub disagreements: usize,
    #[serde(default)]
    pub providers: Vec<ProviderStatus>,
}

/// One place the schedule is read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderStatus {
    pub name: String,
    pub fetched_at: Option<Timestamp>,
    /// Since when it could not be read.
    pub stale_since: Option<Timestamp>,
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct StreamCount {
    /// Known ones, those that are down included.
    pub total: usize,
    pub healthy: usize,
    /// Nothing of these plays.
    #[serde(default)]
    pub down: usize,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ExtractorCount {
    pub total: usize,
    pub failing: usize,
}
