//! HLS playlists (RFC 8216bis) as text in and text out, without I/O, clock or state between calls.
//!
//! Rewriting, analysis and splicing all read the text through the modules listed first, so that
//! none of them misses a tag that another one knows:
//!
//! - [`mod@line`]: bytes to lines with their offsets; rejects input that is no playlist or exceeds
//!   [`PlaylistLimits`].
//! - [`attribute`]: a tag's value to `NAME=VALUE` pairs with offsets.
//! - [`variables`]: `EXT-X-DEFINE`: the values of variables, and which of them a child playlist
//!   imports.
//! - [`uri_resolver`]: a URI as written to the absolute URL, byte for byte (RFC 3986).
//! - [`tag`]: which tag a line is, and its value as a type.
//! - [`segment_context`]: which tags apply to the next segment, and its numbers.
//! - [`playlist_kind`]: whether a playlist is multivariant or media.
//! - [`playlist_timing`]: target duration, part target, segment count and end of a media playlist.
//! - [`rewrite`](mod@rewrite): replaces every URI with the link that a [`UriMapper`] writes, and
//!   what its [`Redactor`] does not let pass; every other byte stays.
//! - [`uri_mapper`]: what a [`UriMapper`] receives: role, route, absolute URL, sequence number.
//! - [`delivery`]: which delivery directives a media playlist offers, and how far it has come.
//! - [`delta_update`]: a media playlist without the segments that a player has already.
//! - [`redaction`]: empties `EXT-X-DEFINE` values that name the origin once no attribute uses them.
//! - [`redactor`]: which of the text that is no URI names the origin, and is not published.
//! - [`document`]: the same rewriting for steering manifests and asset lists (JSON).
//! - [`splice`]: one continuous media playlist across a switch of source.
//! - [`analysis`]: a typed, read-only model for checking, ranking and splicing.
//! - [`container`]: the container format of segments, by name or by first bytes.
//! - [`codecs`]: the codecs of segments, by the tables at their beginning.
//! - `fuzzing`: properties that hold for any input; only for tests and the fuzz crate.
//!
//! There is deliberately no playlist model that can be serialised: a model prints only the tags
//! that the model knows, whereas editing the text preserves tags that are defined later.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failing test may panic")
)]

pub mod analysis;
mod attribute;
mod codecs;
mod container;
mod delivery;
mod delta_update;
mod document;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod line;
mod number;
mod playlist_kind;
mod playlist_timing;
mod redaction;
mod redactor;
mod rewrite;
mod segment_context;
pub mod splice;
mod tag;
mod uri_mapper;
mod uri_resolver;
mod variables;

pub use analysis::{Playlist, parse_playlist};
pub use codecs::CodecFamilies;
pub use container::{Container, guess_container, has_unknown_extension};
pub use delivery::DeliveryOffer;
pub use delta_update::{offer_delta_updates, write_delta_update};
pub use document::rewrite_json_document;
pub use error::{InvalidDocument, InvalidPlaylist, UnexpectedContent};
pub use limits::PlaylistLimits;
pub use playlist_kind::PlaylistKind;
pub use playlist_timing::PlaylistTiming;
pub use redactor::{PublicUrlFilter, Redactor};
pub use rewrite::{RewriteOutput, rewrite};
pub use splice::{SegmentedPlaylist, Splice};
pub use uri_mapper::{LinkRoute, UriMapper, UriReference, UriRole};
pub use variables::{InvalidVariables, Variables};
