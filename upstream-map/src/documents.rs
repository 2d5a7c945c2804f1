//! What the public may see, as the API answers it. Written by the control plane, answered
//! by the edge byte for byte, read by the page (`frontend/src/lib/api`). No upstream URL,
//! header or token belongs in any of these.

mod bootstrap;
mod explanation;
mod extractors;
mod problem;
mod schedule;
mod status;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::bootstrap::Bootstrap;
pub use self::explanation::{
    BreakerState, ExpirySource, ExplainedUpstream, Explanation, ScorePart,
};
pub use self::extractors::{ExtractorError, ExtractorState, ExtractorStatus, Extractors};
pub use self::problem::ProblemDetails;
pub use self::schedule::{Circuit, Claim, Meeting, Schedule, Session, SessionStatus};
pub use self::status::{ExtractorCount, ProviderStatus, ScheduleStatus, Status, StreamCount};
pub use self::streams::{PublicRendition, PublicSource, PublicStream, Streams};
use crate::map::StreamId;

/// The documents of one map, each already written.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Documents {
    pub bootstrap: Document,
    pub schedule: Document,
    pub streams: Document,
    pub extractors: Document,
    pub status: Document,
    /// Of each stream, also of those that nothing plays now.
    #[serde(default)]
    pub explain: BTreeMap<StreamId, Document>,
    /// `/calendar.ics`.
    #[serde(default)]
    pub calendar: Document,
    /// `/iptv/guide.xml`.
    #[serde(default)]
    pub guide: Document,
    /// `/iptv/playlist.m3u`.
    #[serde(default)]
    pub playlist: Document,
}

/// Text, most often JSON, shared by every answer that carries it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(Arc<str>);

impl Document {
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// What is written otherwise than as JSON.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// `None` until the control plane has published it.
    pub fn as_str(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    /// The same, where it is JSON.
    pub fn json(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }
}
