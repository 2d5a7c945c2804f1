//! What every request and response passes through, whatever it is for.
//!
//! - [`public_path`]: the path below which a proxy in front publishes the edge.
//! - [`client_address`]: which client sent a request; [`limits`]: how much one client may take.
//! - [`admission`]: which methods, fields and bodies are accepted.
//! - [`query`]: the parameters of a request, and the links in them.
//! - [`access`]: whether a client may have what it requests; [`admin_token`]: the operator's token.
//! - [`request_id`]: the name of a request, and the trace that it belongs to.
//! - [`response`], [`problem`]: responses, and errors with their statuses; [`cors`]: what pages of
//!   other origins may do; [`write_timeout`]: how slowly a client may read; [`stream_reset`],
//!   [`connection_reset`]: clients that give up, and responses that break off.

pub mod access;
pub mod admin_token;
pub mod admission;
pub mod client_address;
pub mod connection_reset;
pub mod cors;
pub mod limits;
pub mod problem;
pub mod public_path;
pub mod query;
pub mod refused_keys;
pub mod request_id;
pub mod response;
pub mod stream_reset;
pub mod write_timeout;
