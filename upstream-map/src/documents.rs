//! The public documents, as the API returns them: serialised by the control plane, served by the
//! edge byte for byte, read by the page (`frontend/src/lib/api`). None of them may contain an
//! upstream URL, header or token.

mod activity;
mod bootstrap;
mod config_changes;
mod explanation;
mod extractors;
mod problem;
mod schedule;
mod status;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::activity::{Activity, ExtractorActivity, StreamActivity};
pub use self::bootstrap::Bootstrap;
pub use self::config_changes::{ConfigChanges, SourceChanges};
pub use self::explanation::{
    BreakerState, ExpirySource, ExplainedUpstream, Explanation, ScorePart,
};
pub use self::extractors::{ExtractorError, ExtractorState, ExtractorStatus, Extractors};
pub use self::problem::ProblemDetails;
pub use self::schedule::{Circuit, Claim, Meeting, Schedule, Session, SessionStatus};
pub use self::status::{ExtractorCount, ProviderStatus, ScheduleStatus, Status, StreamCount};
pub use self::streams::{PublicRendition, PublicSource, PublicStream, Streams};
pub use crate::document::PublicDocument;

/// The documents of one map that belong to no stream. Those of a stream are in
/// [`Stream`](crate::Stream); the edge makes lists from them, so that a change of one stream changes
/// no other document of the map.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SharedDocuments {
    /// The [`Session`] that is live, else the next one; `null` if there is none.
    pub session: PublicDocument,
    /// The version of the map in which `session` or a stream's document last changed, decimal.
    pub version: PublicDocument,
    pub schedule: PublicDocument,
    pub status: PublicDocument,
    pub activity: PublicDocument,
    /// By name of the source.
    pub extractors: BTreeMap<String, Arc<ExtractorDocument>>,
    /// `/calendar.ics`.
    pub calendar: PublicDocument,
    /// `/iptv/guide.xml`.
    pub guide: PublicDocument,
    /// `/iptv/playlist.m3u`.
    pub playlist: PublicDocument,
}

/// A source's place in the configuration, and its [`ExtractorStatus`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractorDocument {
    pub position: usize,
    pub status: PublicDocument,
}
