//! Mapping of URIs to links: [`UriMapper`] and what it receives about a URI.

use crate::container;
use crate::redactor::Redactor;
use crate::variables::Variables;

/// Writes the link that replaces a URI.
///
/// The link replaces the URI inside its quotes, if any, so it must contain no quote, comma, blank
/// or line end. Equal references must give equal links byte for byte: players compare whole URLs to
/// recognise a key, a map, and the partial segment that a preload hint announced.
pub trait UriMapper {
    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>);

    /// What may be published of the text that is no URI; `None`: all of it.
    fn redactor(&self) -> Option<&Redactor> {
        None
    }

    /// Writes a name in place of a text that may not be published: of the same characters as a
    /// link, and equal for equal texts, which may be the ID of something.
    fn map_hidden_text(&mut self, _text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"hidden");
    }
}

impl<F: FnMut(&UriReference<'_>, &mut Vec<u8>)> UriMapper for F {
    fn map_uri(&mut self, reference: &UriReference<'_>, out: &mut Vec<u8>) {
        self(reference, out);
    }
}

/// A URI of a playlist, resolved.
#[derive(Clone, Copy, Debug)]
pub struct UriReference<'a> {
    pub role: UriRole,
    pub target: LinkRoute,
    /// Absolute HTTP or HTTPS URL, ASCII, without fragment. Whatever the playlist wrote legally is
    /// not decoded, encoded or normalised, since signatures cover the bytes as written.
    pub url: &'a str,
    /// Media sequence number: of the segment, of the segment that a partial segment or preload hint
    /// belongs to, or the one that a prefetched segment will have.
    pub sequence: Option<u64>,
    /// Length and offset in bytes of a segment or map that is a sub-range of its resource.
    pub byte_range: Option<(u64, u64)>,
    /// The segment or part is marked as missing (EXT-X-GAP, or GAP=YES of a part) and must not be
    /// loaded.
    pub is_gap: bool,
    /// Variables that the linked playlist can import; empty unless a multivariant playlist names a
    /// child. The mapper appends them to the end of the link, so that rendition reports still match
    /// by prefix.
    pub variables: &'a Variables,
    /// The replaced bytes, before substitution and resolution.
    pub written: &'a [u8],
}

/// Route of the edge that a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkRoute {
    Playlist,
    Document,
    Media,
}

/// Role of a URI in the playlist that contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriRole {
    Variant,
    Rendition,
    IFrameVariant,
    ImageVariant,
    /// The link must equal, or be a prefix of, the link that its rendition was loaded from.
    RenditionReport,
    Segment,
    Map,
    Key,
    SessionKey,
    Part,
    /// The link must equal that of the partial segment or map that it announces.
    PreloadHint,
    Prefetch,
    SessionData,
    Steering,
    Asset,
    AssetList,
    /// The URI attribute of an unknown tag, or any other text that is a URL and may not be published.
    UnknownTag,
}

impl UriRole {
    pub(crate) fn link_route(self, url: &str) -> LinkRoute {
        match self {
            Self::Variant
            | Self::Rendition
            | Self::IFrameVariant
            | Self::ImageVariant
            | Self::RenditionReport
            | Self::Asset => LinkRoute::Playlist,
            Self::Steering | Self::AssetList => LinkRoute::Document,
            Self::Segment
            | Self::Map
            | Self::Key
            | Self::SessionKey
            | Self::Part
            | Self::PreloadHint
            | Self::Prefetch
            | Self::SessionData => LinkRoute::Media,
            Self::UnknownTag => match container::extension(url.as_bytes()) {
                extension
                    if extension.eq_ignore_ascii_case(b"m3u8")
                        || extension.eq_ignore_ascii_case(b"m3u") =>
                {
                    LinkRoute::Playlist
                }
                _ => LinkRoute::Media,
            },
        }
    }

    /// Whether the linked playlist imports variables from this one.
    pub(crate) fn is_child(self) -> bool {
        matches!(self, Self::Variant | Self::Rendition | Self::IFrameVariant | Self::ImageVariant)
    }
}
