//! The edge: one HTTP origin between any player and every upstream.
//!
//! A request passes through these modules, in this order:
//! - [`server`]: connections, and each request of one, until it is ready for the next.
//! - [`edge`]: what a request goes through, from its header to its response.
//! - [`http`]: clients and their limits, admission, access, responses.
//! - [`route`]: what is requested.
//! - [`upstream`]: which upstream URL a link names, and whether it may be reached.
//! - [`live`], [`proxy_handler`]: playlists, fetched once for all who poll them and rewritten
//!   ([`playlist`]).
//! - [`media_handler`], [`cache`], [`media_response`]: segments, fetched once for all who request
//!   them, and before anybody does ([`prefetch`]).
//! - [`api`]: `/api` and the documents for calendars and IPTV players; [`control_plane_client`]:
//!   commands, forwarded to the control plane.
//! - [`page`]: the files of the page, its shell for every other path, and the login page.
//!
//! Beside them: [`edge_state`] (what the handlers share), [`edge_settings`] (what of the
//! configuration may change), [`request_context`] (the state of one request), [`access_log`] (its
//! line), [`feedback`] (viewers, and what their players report), [`shards`],
//! [`drain`], [`config`], [`metrics`], [`server`] (listeners,
//! TLS, shutdown), [`admin`], and `fuzzing` (properties that hold for any input; only for tests and
//! the fuzz targets).

pub mod access_log;
pub mod admin;
pub mod api;
pub mod cache;
pub mod config;
pub mod control_plane_client;
pub mod drain;
pub mod edge;
pub mod edge_settings;
pub mod edge_state;
pub mod feedback;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod live;
pub mod media_handler;
pub mod media_response;
pub mod metrics;
pub mod page;
pub mod playlist;
pub mod prefetch;
pub mod proxy_handler;
pub mod request_context;
pub mod route;
pub mod server;
pub mod shards;
pub mod upstream;

pub use self::http::access::{AccessControl, AccessKeys, KeyLine};
pub use self::http::admin_token::AdminToken;
pub use access_log::ACCESS_LOG_TARGET;
pub use admin::{LogFilter, ProcessControls, ReloadRequestSender};
pub use api::OpenApi;
pub use config::Config;
pub use drain::{DrainReason, DrainSignal};
pub use edge::{Edge, EdgeSecrets};
pub use server::{EdgeListeners, PreparedSettings, Server, SettingsHandle, TaskEnd};
