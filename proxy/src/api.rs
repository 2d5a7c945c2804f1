//! The public API under `/api`, and the documents for calendars and IPTV players.
//!
//! - [`operations`]: the table of operations, by which requests are routed.
//! - [`openapi`]: the same table as an OpenAPI document.
//! - [`handler`]: the responses.
//! - [`composed_documents`]: lists and extracts, made of the documents that the control plane
//!   publishes.
//! - [`local_overrides`]: streams for which this edge plays another source than the map says.
//! - [`iptv_playlist`]: the list of streams, with each viewer's tokens.
//! - [`events`]: changes of the map, as server-sent events.

pub mod composed_documents;
pub mod events;
pub mod handler;
pub mod iptv_playlist;
pub mod local_overrides;
pub mod openapi;
pub mod operations;
pub mod schema;

pub use handler::ApiHandler;
pub use openapi::OpenApi;
pub use operations::{ApiRequest, DocumentKind, parse_request};
