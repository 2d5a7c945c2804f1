//! pitwall-benches: Pitwall's performance beside that of other servers.
//!
//! - `synthetic_playlists`: generated playlists of a given size.
//! - [`players`]: virtual players, which `pitwall bench` and the comparison share.
//! - [`statistics`]: medians and spread.
//!
//! The modules of the program, with peers, load and report, are listed in main.rs.

pub mod players;
pub mod statistics;
mod synthetic_playlists;

pub use synthetic_playlists::{
    append_window_lines, live_playlist, multivariant_playlist, short_uri_vod_playlist,
    vod_playlist, window_header, window_playlist,
};
