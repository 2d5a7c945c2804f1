//! A typed, read-only model of a playlist, for checking, ranking and splicing; it is never
//! serialised.

mod kept_attributes;
mod media;
mod multivariant;
mod segment;
mod value_resolver;

use url::Url;

pub use self::kept_attributes::AttributeList;
pub use self::media::{MediaPlaylist, ServerControl};
pub use self::multivariant::{
    MediaKind, MediaRendition, MultivariantPlaylist, SessionTag, Variant,
};
pub use self::segment::{Key, Map, Segment};
use self::value_resolver::ValueResolver;
use crate::error::InvalidPlaylist;
use crate::limits::PlaylistLimits;
use crate::line;
use crate::playlist_kind::{KindDetector, PlaylistKind};
pub use crate::tag::PlaylistType;
use crate::variables::Variables;

/// A playlist of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Playlist {
    Multivariant(MultivariantPlaylist),
    Media(MediaPlaylist),
}

/// Parses a playlist that was loaded from `base` (the URL after redirects); `imported` are the
/// variables of its multivariant playlist.
///
/// # Errors
/// [`InvalidPlaylist`] if the input is no playlist or exceeds `limits`.
pub fn parse_playlist(
    input: &[u8],
    base: &Url,
    imported: &Variables,
    limits: &PlaylistLimits,
) -> Result<Playlist, InvalidPlaylist> {
    let lines = line::parse_lines(input, limits)?;
    let kind = KindDetector::scan(lines.clone())?.kind()?;
    let variables = Variables::collect_definitions(input, base, imported, limits)?;
    let reader = ValueResolver::new(base, &variables, limits);
    match kind {
        PlaylistKind::Multivariant => {
            multivariant::read_multivariant(lines, reader, variables.clone())
                .map(Playlist::Multivariant)
        }
        PlaylistKind::Media => media::read_media(lines, reader).map(Playlist::Media),
    }
}

#[cfg(test)]
mod tests;
