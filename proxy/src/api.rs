//! What may be asked about rather than watched: `/api`, and the documents for calendars and
//! other players.
//!
//! - [`desk`]: where it is answered.
//! - [`channels`]: the list of streams, as each viewer may use it.
//! - [`operations`]: the table of all of it, by which requests are routed.
//! - [`openapi`]: the same table as an OpenAPI document.
//! - [`views`]: parts of what the control plane has written.
//! - [`overruled`]: where this edge does not do what that says.
//! - [`events`]: what changes, as it does.

pub mod channels;
pub mod desk;
pub mod events;
pub mod openapi;
pub mod operations;
pub mod overruled;
pub mod views;

pub use desk::Desk;
pub use openapi::OpenApi;
pub use operations::{Ask, Document, find};
