//! What every request and response passes through, whatever it is for.
//!
//! - [`client_address`]: which client sent a request; [`limits`]: how much one client may take.
//! - [`admission`]: which methods, fields and bodies are accepted.
//! - [`query`]: the parameters of a request, and the links in them.
//! - [`access`]: whether a client may have what it requests; [`admin_token`]: the operator's token.
//! - [`response`], [`problem`]: responses, and errors with their statuses.

pub mod access;
pub mod admin_token;
pub mod admission;
pub mod client_address;
pub mod limits;
pub mod problem;
pub mod query;
pub mod response;
