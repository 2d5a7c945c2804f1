//! HLS playlists: text in, text out. No I/O, no clock, no state between calls.
//!
//! Two readers share one view of the text:
//!
//! ```text
//!   line       bytes  -> lines with their offsets; refuses what is no playlist or too large
//!   attribute  a tag's value -> NAME=VALUE with offsets; parsed, never searched
//!   variables  EXT-X-DEFINE: what a name stands for, and what a child playlist inherits
//!   resolve    a URI as written -> the absolute URL, byte for byte (RFC 3986)
//!   sequence   which media sequence number comes next
//!   kind       multivariant or media
//!   tempo      how fast a media playlist moves, and whether it still does
//!
//!   rewrite    every URI becomes the link a Linker writes; every other byte stays
//!     reference  what a Linker is told: role, target, absolute URL, sequence number
//!     withhold   DEFINE values that only named the origin leave with the URIs that used them
//!   document   the same for steering manifests and asset lists (JSON)
//!
//!   splice     one media playlist across a change of source
//!
//!   analysis   a typed, read-only picture, for checking, ranking and splicing
//!   container  what the segments are made of, by name or by first bytes
//!
//!   fuzzing    what holds for any bytes; only for tests and the fuzz crate
//! ```
//!
//! Deliberately absent: a playlist model that can be written back. Whoever prints a model prints
//! what the model knows; rewriting edits the text instead, so a tag invented next year survives.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")
)]

pub mod analysis;
mod attribute;
mod container;
mod document;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod kind;
mod limits;
mod line;
mod number;
mod reference;
mod resolve;
mod rewrite;
mod sequence;
pub mod splice;
mod tempo;
mod variables;
mod withhold;

pub use analysis::{Playlist, analyse};
pub use container::{Container, container_hint, is_masked};
pub use document::rewrite_document;
pub use error::{InvalidDocument, InvalidPlaylist, Seen};
pub use kind::Kind;
pub use limits::Limits;
pub use reference::{Linker, Reference, Role, Target};
pub use rewrite::{Rewritten, rewrite};
pub use splice::{Cut, Splice};
pub use tempo::Tempo;
pub use variables::{InvalidVariables, Variables};
