//! The only way out: everything that Pitwall fetches (playlists, segments, pages, schedules) goes
//! through [`Fetcher`], so that one address policy covers all requests.
//!
//! - [`policy`]: [`AddressPolicy`]: which URLs and addresses may be reached.
//! - [`own_listeners`]: where Pitwall itself is reached, which is never fetched from.
//! - [`address`]: which addresses are public, however they are written.
//! - [`resolver`]: host names to addresses that the policy allows.
//! - [`headers`]: which request fields a source may set. [`cookies`]: what upstreams set.
//! - [`request`]: what is sent.
//! - [`fetcher`]: sending, redirects and timeouts.
//! - [`http_client`]: HTTP/1.1 for `http:`. [`https_client`]: `https:`.
//! - [`content_coding`]: decoding of bodies.
//! - [`response`]: bodies with limits.
//! - [`written_query`]: the query of a URL as it was written.
//! - `dial`: vetted TCP connections for protocols that others speak.
//! - [`error`]: what can go wrong, and whose fault it is; [`failure_reason`]: the exact reason.
//! - `fuzzing`: properties that hold for any input; only for tests and the fuzz targets.

pub mod address;
mod content_coding;
pub mod cookies;
mod dial;
pub mod error;
mod failure_reason;
pub mod fetcher;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod headers;
mod http_client;
mod https_client;
mod own_listeners;
pub mod policy;
pub mod request;
mod resolver;
pub mod response;
mod written_query;

pub use cookies::CookieJar;
pub use error::{FetchError, FetchErrorKind};
pub use failure_reason::{CertificateFault, ConnectionFault, FailureReason, PolicyDenial};
pub use fetcher::{Fetcher, Timeouts};
pub use headers::{HeaderError, parse_source_header, parse_source_headers};
pub use own_listeners::OwnListeners;
pub use policy::{AddressPolicy, PrivateRange, USER_INFO_ERROR, parse_url};
pub use request::{NamedUrlFilter, Request, RequestBody};
pub use response::Response;
pub use written_query::{as_written, join_url, keep_written_query};
