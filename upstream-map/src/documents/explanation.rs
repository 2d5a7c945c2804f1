//! [`Explanation`]: why a stream's upstreams stand in their order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::map::{Health, StreamId};

/// `GET /api/streams/{id}/explain`: why its upstreams stand in this order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub stream: StreamId,
    pub feed: String,
    pub generated_at: Timestamp,
    pub viewers: usize,
    /// Why the one that plays does, in a sentence.
    pub summary: String,
    /// Best first, those that are down or on trial too.
    pub upstreams: Vec<ExplainedUpstream>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExplainedUpstream {
    pub source: String,
    pub label: Option<String>,
    /// It plays.
    pub active: bool,
    pub health: Health,
    /// Why it stands here, in a sentence.
    pub reason: String,
    pub priority: i32,
    /// The sum of the points of its parts, which decides within a priority.
    pub score: f64,
    pub parts: Vec<ScorePart>,
    pub breaker: BreakerState,
    pub checked_at: Timestamp,
    pub error: Option<String>,
    pub expires_at: Option<Timestamp>,
    /// Who says so.
    pub expiry: ExpirySource,
    pub latency_ms: Option<u64>,
    /// Bits a second, measured over the beginning of a segment.
    pub throughput: Option<u64>,
    /// Bits a second of the newest segment.
    pub bitrate: Option<u64>,
    /// How far its newest segment is behind the clock, where its playlist has dates.
    pub behind_seconds: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScorePart {
    /// `success`, `latency`, `throughput`, `stalls`, or the name of a preference.
    pub name: String,
    /// 0 to 1; of a preference, 1.
    pub value: f64,
    pub weight: f64,
    /// What it adds to the score.
    pub points: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    Closed,
    Open,
    /// It answers again, and has to do so a few times more.
    HalfOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExpirySource {
    /// The URL or the site.
    Upstream,
    /// When earlier ones were refused.
    Learned,
    Configured,
    /// Nobody.
    Unknown,
}
