//! The edge: one origin between any player and every upstream.
//!
//! A request goes through these rooms, in this order:
//! - [`edge`]: the phases of a request, as Pingora calls them.
//! - [`client`]: whose it is; [`limits`]: whether there is room for it.
//! - [`admission`]: whether it is taken at all; [`route`]: what is asked for; [`access`]: by whom.
//! - [`target`]: which upstream URL that is, and whether it may be reached ([`seal`], [`denials`]).
//! - [`live`], [`proxied`]: playlists, fetched once for many ([`playlists`]) and rewritten ([`links`],
//!   [`multivariant`]).
//! - [`relay`], [`storage`]: segments, fetched once for many and streamed, and before anybody asks
//!   ([`prefetch`]).
//! - [`api`]: what may be asked about rather than watched; [`control`]: commands to the control plane.
//! - [`page`]: everything else is the page.
//! - [`answer`], [`problem`]: how answers look, and how errors become statuses; [`key_form`]: what a person is shown instead of one.
//!
//! Around them: [`rooms`] (what they share), [`slots`] (how much a source allows), [`audience`] (who watches what) and [`cmcd`] (what they say of it), [`drain`], [`config`], [`metrics`], [`server`] (listeners, shutdown), [`admin`], [`connection`] (how bytes leave), [`tls`].

pub mod access;
pub mod admin;
pub mod admission;
pub mod answer;
pub mod api;
pub mod audience;
pub mod client;
pub mod cmcd;
pub mod config;
pub mod connection;
pub mod control;
pub mod denials;
pub mod descriptors;
pub mod drain;
pub mod edge;
pub mod key_form;
pub mod limits;
pub mod links;
pub mod live;
pub mod metrics;
pub mod multivariant;
pub mod page;
pub mod playlists;
pub mod prefetch;
pub mod problem;
pub mod proxied;
pub mod relay;
pub mod rooms;
pub mod route;
pub mod seal;
pub mod server;
pub mod slots;
pub mod storage;
pub mod target;
pub mod tls;

pub use access::{Access, Keyring};
pub use admin::AdminToken;
pub use api::OpenApi;
pub use config::Config;
pub use edge::Edge;
pub use server::Server;
