//! pitwall-benches: how fast is it, beside everybody else?
//!
//! ```text
//! corpus       playlists to measure with, made to size
//! players      virtual players: `pitwall bench` and the comparison share them
//! statistics   medians and spread
//! main         the program: peers, load and report (its map is in main.rs)
//! ```

mod corpus;
pub mod players;
pub mod statistics;

pub use corpus::{live, master, recording, terse_recording, window, window_head, window_lines};
