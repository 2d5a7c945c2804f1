//! [`Explanation`]: why a stream's upstreams are ranked in their order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stream::{Health, StreamId};

/// `GET /api/streams/{id}/explain`: why the stream's upstreams are ranked in this order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    pub stream: StreamId,
    pub feed: String,
    pub viewers: usize,
    /// Why the active upstream was selected, in a sentence.
    pub summary: String,
    /// Upstreams by rank, best first, including those that are down or on trial.
    pub upstreams: Vec<ExplainedUpstream>,
}

/// The figures are as of `measured_at`: they are taken anew when one has changed enough to matter.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExplainedUpstream {
    pub source: String,
    pub label: Option<String>,
    /// Whether the upstream is the active one.
    pub active: bool,
    pub health: Health,
    /// Why the upstream has this rank, in a sentence.
    pub reason: String,
    pub priority: i32,
    /// Sum of `points` over `parts`; decides among upstreams of equal priority.
    pub score: f64,
    pub parts: Vec<ScorePart>,
    pub breaker: BreakerState,
    pub measured_at: Timestamp,
    pub error: Option<String>,
    pub expires_at: Option<Timestamp>,
    /// Origin of `expires_at`.
    pub expiry: ExpirySource,
    pub latency_ms: Option<u64>,
    /// Bits per second, measured over the beginning of a segment.
    pub throughput: Option<u64>,
    /// Bits per second of the newest segment.
    pub bitrate: Option<u64>,
    /// How many seconds the newest segment lags behind the clock, if the playlist has program
    /// date-times.
    pub behind_seconds: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScorePart {
    /// `success`, `latency`, `throughput`, `stalls`, or the name of a preference.
    pub name: String,
    /// 0 to 1; always 1 for a preference.
    pub value: f64,
    pub weight: f64,
    /// Contribution to the score.
    pub points: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    Closed,
    Open,
    /// The upstream responds again, but the breaker closes only after a few more successes.
    HalfOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExpirySource {
    /// Stated by the URL or the site.
    Upstream,
    /// Learned from when earlier URLs were rejected.
    Learned,
    Configured,
    /// Not known.
    Unknown,
}
