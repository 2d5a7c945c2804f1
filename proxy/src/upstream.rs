//! Which upstream URL a link names, and how it is reached.
//!
//! - [`target`]: the URL, headers and policy of a request to an upstream.
//! - [`seal`]: links that name an upstream URL without telling it.
//! - [`limiter`]: concurrent requests per source.
//! - [`denials`]: refused targets, logged once each.

pub mod denials;
pub mod limiter;
pub mod seal;
pub mod target;
