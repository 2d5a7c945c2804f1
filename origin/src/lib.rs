//! pitwall-origin: a scriptable live HLS origin. The demo's picture, the tests' upstream.
//!
//! ```text
//! clock      the injected time: everything below is a function of it
//! media      the embedded loop: four feeds, three renditions and a sound each (recipe: media/make.sh)
//! timeline   which segment is live: number = unix time / 2 s, so that a restart continues
//! restamp    mp4, ts: moves a segment of the loop to its place in time
//! playlist   multivariant and media playlists
//! token      signed, expiring query tokens; the form's CSRF value
//! gate       Referer and token, before anything under /hls and /cdn
//! schedule   an invented season with a race that is live now: calendar, jolpica, openf1
//! page       the watch page, the player in its iframe, the form, and others to write recipes for
//! answer     bodies: gzip, ranges, JSON; an error becomes a status here
//! routes     the table of contents of the HTTP side
//! origin     Origin, OriginConfig: what other crates see
//! ```
//!
//! Deliberately absent: CORS headers (a real source has none for us), TLS, faults. Faults belong
//! in a `tower` layer around `routes::live`, the router that serves playlists and segments.

mod answer;
mod clock;
mod gate;
mod media;
mod origin;
mod page;
mod playlist;
mod restamp;
mod routes;
mod schedule;
mod timeline;
mod token;

pub use clock::Clock;
pub use origin::{Origin, OriginConfig};
