//! [`ProblemDetails`]: the body of an HTTP error response.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Problem details of an HTTP error (RFC 9457).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// `urn:pitwall:problem:` and a name that is stable, because clients and dashboards match on
    /// it.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
}

impl ProblemDetails {
    pub fn new(name: &str, status: StatusCode, detail: String) -> Self {
        Self {
            kind: format!("urn:pitwall:problem:{name}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail,
        }
    }
}
