//! pitwall-origin: a live HLS origin whose time and media are deterministic; `pitwall demo` plays
//! it, and tests and benchmarks use it as the upstream.
//!
//! - [`clock`]: the injectable source of time; everything below is a function of it.
//! - [`media`]: the embedded loop: four feeds, each with three video renditions and an audio
//!   rendition (recipe: media/make.sh).
//! - [`timeline`]: which segment is live: segment number = unix time / 2 s, so that a restarted
//!   origin continues the same numbers.
//! - [`restamp`]: shifts the timestamps of a segment of the loop to its position on the timeline.
//! - [`playlist`]: multivariant and media playlists.
//! - [`token`]: signed, expiring query tokens, and the CSRF value of the player's form.
//! - [`hotlink_protection`]: the `Referer` and token checks before everything under /hls and /cdn.
//! - [`calendar`]: an invented season in which a race is always live.
//! - [`state`]: what the handlers share.
//! - [`schedule`]: the season as Jolpica and OpenF1 serve it.
//! - [`page`]: the watch page, the player in its iframe, its form, and other kinds of pages that
//!   recipes are written for.
//! - [`response`]: response bodies (gzip, ranges); the only place where an error becomes a status.
//! - [`routes`]: the routing table.
//! - [`origin`]: [`Origin`] and [`OriginConfig`], the public interface.
//!
//! Deliberately absent: CORS fields (a real upstream sends none that allow the viewer's page), TLS,
//! and faults. Faults belong in a `tower` layer around `routes::media_routes`, the router that
//! serves playlists and segments.

mod calendar;
mod clock;
mod hotlink_protection;
mod media;
mod origin;
mod page;
mod playlist;
mod response;
mod restamp;
mod routes;
mod schedule;
mod state;
mod timeline;
mod token;

pub use clock::Clock;
pub use origin::{Origin, OriginConfig};
