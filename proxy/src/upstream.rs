//! Which upstream URL a link names, and how it is reached.
//!
//! - [`target`]: a URL and the profile of requests to it. [`target_resolver`]: the target that a link
//!   names. [`client`]: requests to targets.
//! - [`profile`]: the headers, policy and limiter of requests to a source.
//! - [`resolved_links`]: what links of stored objects were resolved to.
//! - [`resolved_map`]: the map with its profiles resolved, once per version.
//! - [`seal`]: links that name an upstream URL without telling it.
//! - [`limiter`]: concurrent requests per source.
//! - [`denials`]: refused targets, logged once each.

pub mod client;
pub mod denials;
pub mod limiter;
pub mod profile;
pub mod resolved_links;
pub mod resolved_map;
pub mod seal;
pub mod target;
pub mod target_resolver;
