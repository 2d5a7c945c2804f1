//! A typed, read-only picture of a playlist, for checking, ranking and splicing. Never for writing.

mod master;
mod media;
mod reader;
mod segment;

use url::Url;

pub use self::master::{Master, MediaKind, MediaRendition, Variant};
pub use self::media::{Media, PlaylistType, ServerControl};
use self::reader::Reader;
pub use self::segment::{Key, Map, Segment};
use crate::error::InvalidPlaylist;
use crate::kind::{Evidence, Kind};
use crate::limits::Limits;
use crate::line;
use crate::variables::Variables;

#[derive(Clone, Debug, PartialEq)]
pub enum Playlist {
    Master(Master),
    Media(Media),
}

/// Reads a playlist that was loaded from `base` (after redirects), whose parent defined `imported`.
pub fn analyse(
    input: &[u8],
    base: &Url,
    imported: &Variables,
    limits: &Limits,
) -> Result<Playlist, InvalidPlaylist> {
    let lines = line::open(input, limits)?;
    let kind = Evidence::gather(lines.clone())?.kind()?;
    let variables = Variables::of(input, base, imported, limits)?;
    let reader = Reader::new(base, &variables, limits);
    match kind {
        Kind::Master => Ok(Playlist::Master(master::read(lines, reader, variables.clone())?)),
        Kind::Media => Ok(Playlist::Media(media::read(lines, reader)?)),
    }
}

#[cfg(test)]
mod tests;
