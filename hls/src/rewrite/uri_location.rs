//! Which attributes of each tag hold URIs: the table to extend when a tag is defined.

use memchr::memmem;

use crate::uri_mapper::UriRole;

/// Where a tag holds URIs.
pub(super) enum UriLocation {
    NoUri,
    /// The tag's whole value is a URI.
    WholeValue(UriRole),
    /// The `URI` attribute is a URI.
    UriAttribute(UriRole),
    /// These attributes are URIs, and so is `URI` if it names a host.
    NamedAttributes(&'static [(&'static str, UriRole)]),
}

/// Whether the line begins like a tag that never holds a URI and changes no state, so that it is
/// skipped without parsing: in a long playlist it may precede every segment.
pub(super) fn has_no_uri(text: &[u8]) -> bool {
    text.starts_with(b"#EXT-X-PROGRAM-DATE-TIME:")
}

impl UriLocation {
    pub(super) fn of(tag: &[u8]) -> Self {
        match tag {
            b"EXT-X-MEDIA" => Self::UriAttribute(UriRole::Rendition),
            b"EXT-X-I-FRAME-STREAM-INF" => Self::UriAttribute(UriRole::IFrameVariant),
            b"EXT-X-IMAGE-STREAM-INF" => Self::UriAttribute(UriRole::ImageVariant),
            b"EXT-X-RENDITION-REPORT" => Self::UriAttribute(UriRole::RenditionReport),
            b"EXT-X-KEY" => Self::UriAttribute(UriRole::Key),
            b"EXT-X-SESSION-KEY" => Self::UriAttribute(UriRole::SessionKey),
            b"EXT-X-MAP" => Self::UriAttribute(UriRole::Map),
            b"EXT-X-PART" => Self::UriAttribute(UriRole::Part),
            b"EXT-X-PRELOAD-HINT" => Self::UriAttribute(UriRole::PreloadHint),
            b"EXT-X-SESSION-DATA" => Self::UriAttribute(UriRole::SessionData),
            b"EXT-X-CONTENT-STEERING" => {
                Self::NamedAttributes(&[("SERVER-URI", UriRole::Steering)])
            }
            b"EXT-X-DATERANGE" => Self::NamedAttributes(&[
                ("X-ASSET-URI", UriRole::Asset),
                ("X-ASSET-LIST", UriRole::AssetList),
            ]),
            b"EXT-X-PREFETCH" | b"EXT-X-TWITCH-PREFETCH" => Self::WholeValue(UriRole::Prefetch),
            // Titles, SCTE-35 messages and thumbnail layouts are data, even if they look like URIs.
            b"EXTINF"
            | b"EXT-X-DEFINE"
            | b"EXT-X-TILES"
            | b"EXT-X-SKIP"
            | b"EXT-X-PROGRAM-DATE-TIME"
            | b"EXT-X-BYTERANGE" => Self::NoUri,
            _ if tag.starts_with(b"EXT-X-CUE") || memmem::find(tag, b"SCTE35").is_some() => {
                Self::NoUri
            }
            _ => Self::NamedAttributes(&[]),
        }
    }

    /// The role of an attribute's URI; `None` if the attribute holds none. Any `URI` attribute that
    /// names a host counts as a URI, whatever its tag.
    pub(super) fn role(&self, has_name: impl Fn(&str) -> bool) -> Option<UriRole> {
        match self {
            Self::NoUri | Self::WholeValue(_) => None,
            Self::UriAttribute(role) => has_name("URI").then_some(*role),
            Self::NamedAttributes(named) => {
                let named = named.iter().find(|(name, _)| has_name(name)).map(|(_, role)| *role);
                named.or_else(|| has_name("URI").then_some(UriRole::UnknownTag))
            }
        }
    }
}
