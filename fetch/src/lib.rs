//! The one vetted way out. Everything Pitwall fetches (playlists, segments, pages, schedules)
//! goes through [`Fetcher`], so that one address policy covers it all.
//!
//! - [`policy`]: which URLs and addresses may be reached: [`Policy`].
//! - [`address`]: which addresses are not public, however they are spelt.
//! - [`resolve`]: names to vetted addresses.
//! - [`headers`]: which headers a source may have sent.
//! - [`fetcher`]: requests, redirects by hand, timeouts.
//! - [`plain`]: HTTP/1.1 for `http:`, lean. [`secure`]: `https:`.
//! - [`response`]: bodies with limits.
//! - `dial`: vetted connections for protocols that others speak.
//! - [`error`]: what can go wrong, and whose fault it is; [`reason`]: why, more exactly.

pub mod address;
mod dial;
pub mod error;
pub mod fetcher;
pub mod headers;
mod plain;
pub mod policy;
mod reason;
mod resolve;
pub mod response;
mod secure;

pub use error::{FetchError, Kind};
pub use fetcher::{Fetcher, HostFilter, Request, Timeouts};
pub use headers::{HeaderError, source_headers};
pub use policy::{Policy, PrivateRange, USER_INFO, parse_url};
pub use reason::{CertificateFault, ConnectionFault, Denial, Reason};
pub use reqwest::cookie::{CookieStore, Jar};
pub use response::Response;
