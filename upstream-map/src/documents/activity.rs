//! [`Activity`]: what changes although nothing happens. All such figures are in this document, so
//! that the others stay as they are for as long as what they say is true.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stream::StreamId;

/// `GET /api/activity`: when streams were checked and sources asked, as of `generated_at`. It is
/// made anew every half a minute.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    pub generated_at: Timestamp,
    pub streams: BTreeMap<StreamId, StreamActivity>,
    /// By name of the source.
    pub extractors: BTreeMap<String, ExtractorActivity>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamActivity {
    /// Time of the last passed check of the active upstream; while the stream is down, of any of
    /// its upstreams.
    pub checked_at: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtractorActivity {
    pub last_run_at: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    pub next_run_at: Option<Timestamp>,
    /// Duration of the last run.
    pub duration_ms: Option<u64>,
}
