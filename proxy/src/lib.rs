//! The edge: one HTTP origin between any player and every upstream.
//!
//! A request passes through these modules, in this order:
//! - [`edge`]: the phases of a request, as Pingora calls them.
//! - [`client_address`]: which client sent it; [`limits`]: how much one client may take.
//! - [`admission`]: which methods, fields and bodies are accepted; [`route`]: what is requested;
//!   [`access`]: whether the client may have it.
//! - [`target`]: which upstream URL a link names, and whether it may be reached ([`seal`],
//!   [`denials`]).
//! - [`live`], [`proxy_handler`]: playlists, fetched once for all who poll them ([`playlist`]) and
//!   rewritten ([`uri_mappers`], [`multivariant`]).
//! - [`media_response`], [`cache`]: segments, fetched once for all who request them, and before
//!   anybody does ([`prefetch`]).
//! - [`api`]: `/api` and the documents for calendars and IPTV players; [`control_plane_client`]:
//!   commands, forwarded to the control plane.
//! - [`page`]: the files of the page, and its shell for every other path.
//! - [`response`], [`problem`]: responses, and errors with their statuses; [`login_page`]: the form
//!   that asks a person for the key.
//!
//! Beside the phases: [`edge_state`] (what the handlers share), [`upstream_limiter`] (concurrent
//! requests per source), [`viewers`] (viewers per stream) and [`cmcd`] (what players report),
//! [`drain`], [`config`], [`metrics`], [`server`] (listeners, shutdown), [`admin`],
//! [`connection`] (buffering and deadlines of a connection), [`file_descriptors`] (connections per
//! open-file limit), [`tls`].

pub mod access;
pub mod admin;
pub mod admission;
pub mod api;
pub mod cache;
pub mod client_address;
pub mod cmcd;
pub mod config;
pub mod connection;
pub mod control_plane_client;
pub mod denials;
pub mod drain;
pub mod edge;
pub mod edge_state;
pub mod file_descriptors;
pub mod limits;
pub mod live;
pub mod login_page;
pub mod media_response;
pub mod metrics;
pub mod multivariant;
pub mod page;
pub mod playlist;
pub mod prefetch;
pub mod problem;
pub mod proxy_handler;
pub mod response;
pub mod route;
pub mod seal;
pub mod server;
pub mod target;
pub mod tls;
pub mod upstream_limiter;
pub mod uri_mappers;
pub mod viewers;

pub use access::{AccessControl, AccessKeys};
pub use admin::AdminToken;
pub use api::OpenApi;
pub use config::Config;
pub use edge::Edge;
pub use server::Server;
