//! What every request and response passes through, whatever it is for.
//!
//! - [`public_path`]: the path below which a proxy in front publishes the edge.
//! - [`client_address`]: which client sent a request; [`limits`]: how much one client may take.
//! - [`admission`]: which methods, fields and bodies are accepted.
//! - [`query`]: the parameters of a request, and the links in them.
//! - [`access`]: whether a client may have what it requests; [`admin_token`]: the operator's token.
//! - [`response`], [`problem`]: responses, and errors with their statuses; [`cors`]: what pages of
//!   other origins may do; [`write_timeout`]: how slowly a client may read.

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
pub mod response;
pub mod write_timeout;
