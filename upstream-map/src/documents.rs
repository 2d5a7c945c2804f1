//! The public documents, as the API returns them: serialised by the control plane, served by the
//! edge byte for byte, read by the page (`frontend/src/lib/api`). None of them may contain an
//! upstream URL, header or token.

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
use crate::stream::StreamId;

/// The serialised documents of one map.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Documents {
    pub bootstrap: Document,
    pub schedule: Document,
    pub streams: Document,
    pub extractors: Document,
    pub status: Document,
    /// Explanations by stream, also for streams without an active upstream.
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

/// Text, usually JSON, shared by all responses that carry it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(Arc<str>);

impl Document {
    /// Serialises a value as JSON.
    ///
    /// # Errors
    /// [`serde_json::Error`] if the value cannot be represented as JSON.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// A document that is not JSON.
    pub fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text; `None` until the control plane has published the document.
    pub fn as_str(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }
}
