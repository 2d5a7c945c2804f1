//! Virtual players: each polls its live playlist, fetches every new segment once and simulates its
//! playback buffer, so that the statistics are those of what a viewer would see.
//!
//! - `buffer`: the simulated playback buffer of one player: time played, time stalled.
//! - `playlist_cursor`: which segments a player fetches next, and when it reloads its playlist.
//! - `client`: the HTTP client of one player, with its own connections.
//! - `viewer`: one player.
//! - `simulation`: many players.
//! - `variant_choice`: which variant of a multivariant playlist a player plays.
//! - `playback_statistics`: the statistics of all players together; `timeline`: what happened when;
//!   `viewer_summary`: what one player saw.
//!
//! Deliberately absent: decoding, variant switching, separate audio renditions, partial segments.

mod buffer;
mod client;
mod playback_statistics;
mod playlist_cursor;
mod simulation;
mod timeline;
mod variant_choice;
mod viewer;
mod viewer_summary;

pub use buffer::PlaybackBuffer;
pub use client::{Connector, HttpVersion, PlaybackError};
pub use playback_statistics::{DelayHistogram, PlaybackStatistics};
pub use simulation::{PlayerShare, ViewerSimulation};
pub use timeline::{Interval, Timeline};
pub use variant_choice::VariantChoice;
pub use viewer_summary::ViewerSummary;
