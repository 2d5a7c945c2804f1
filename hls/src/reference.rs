//! What a linker is told about a URI.

use crate::container;
use crate::variables::Variables;

/// Writes the link that takes a URI's place.
///
/// The link stands where the URI stood, inside its quotes if it had any, so it holds no quote,
/// comma, blank or line end. Equal references must give equal links, bit for bit: players compare
/// whole URLs to recognise a key, a map, and the part they were given a hint of.
pub trait Linker {
    fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>);
}

impl<F: FnMut(&Reference<'_>, &mut Vec<u8>)> Linker for F {
    fn link(&mut self, reference: &Reference<'_>, out: &mut Vec<u8>) {
        self(reference, out);
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    pub role: Role,
    pub target: Target,
    /// Absolute, http or https, ASCII, without fragment. As faithful as it can be: nothing the
    /// playlist wrote legally is decoded, encoded or normalised, since signatures cover raw bytes.
    pub url: &'a str,
    /// The media sequence number: of a segment, of the segment a part or hint belongs to, or the one
    /// a prefetched segment will have.
    pub sequence: Option<u64>,
    /// Length and offset, of a segment or a map that is a part of its resource.
    pub byte_range: Option<(u64, u64)>,
    /// It is marked as missing (EXT-X-GAP, or GAP=YES of a part): nobody is to load it.
    pub is_gap: bool,
    /// What the playlist behind the link can import. Empty unless a multivariant playlist names a
    /// child; goes to the end of the link, so that rendition reports still match by prefix.
    pub variables: &'a Variables,
    /// The bytes being replaced, before variables and resolution.
    pub written: &'a [u8],
}

/// Which route a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Playlist,
    Document,
    Media,
}

/// What a URI is to the playlist that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Variant,
    Rendition,
    IFrameVariant,
    ImageVariant,
    /// Must equal, or be a prefix of, the link its rendition was loaded from.
    Report,
    Segment,
    Map,
    Key,
    SessionKey,
    Part,
    /// Must equal the part, or map, that it announces.
    Hint,
    Prefetch,
    SessionData,
    Steering,
    Asset,
    AssetList,
    /// A tag nobody here knows.
    Vendor,
}

impl Role {
    pub(crate) fn target(self, url: &str) -> Target {
        match self {
            Self::Variant
            | Self::Rendition
            | Self::IFrameVariant
            | Self::ImageVariant
            | Self::Report
            | Self::Asset => Target::Playlist,
            Self::Steering | Self::AssetList => Target::Document,
            Self::Segment
            | Self::Map
            | Self::Key
            | Self::SessionKey
            | Self::Part
            | Self::Hint
            | Self::Prefetch
            | Self::SessionData => Target::Media,
            Self::Vendor => match container::extension(url.as_bytes()) {
                extension
                    if extension.eq_ignore_ascii_case(b"m3u8")
                        || extension.eq_ignore_ascii_case(b"m3u") =>
                {
                    Target::Playlist
                }
                _ => Target::Media,
            },
        }
    }

    /// Does the playlist behind the link import variables from this one?
    pub(crate) fn is_child(self) -> bool {
        matches!(self, Self::Variant | Self::Rendition | Self::IFrameVariant | Self::ImageVariant)
    }
}
