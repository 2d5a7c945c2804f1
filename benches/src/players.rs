//! Virtual players: each polls its live playlist, takes every new segment once and keeps a
//! buffer clock, so that what is counted is what viewers would have seen.
//!
//! ```text
//! buffer     the clock of one player's buffer: what played, what stalled
//! feed       which of a playlist's segments a player takes next, and when it polls again
//! client     HTTP as one player has it: connections of its own
//! viewer     one player, from the playlist to the last segment
//! audience   many of them; what came of it
//! ```
//!
//! Deliberately absent: decoding, rendition switching, separate sound, low latency parts.

mod audience;
mod buffer;
mod client;
mod feed;
mod viewer;

pub use audience::{Audience, Delays, Outcome};
pub use buffer::Buffer;
pub use client::{CannotPlay, Connector};
