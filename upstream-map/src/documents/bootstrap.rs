//! [`Bootstrap`]: the document that the page loads first.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schedule::Session;
use super::streams::PublicStream;

/// `GET /api/bootstrap`: everything that the page needs to start playback.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Bootstrap {
    /// The version of the map in which the session or a stream last changed: Unix milliseconds.
    pub version: u64,
    /// The session that is live, else the next one.
    pub session: Option<Session>,
    pub streams: Vec<PublicStream>,
}
