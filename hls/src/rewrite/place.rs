//! Where each tag keeps its URIs: the table to extend when a tag is invented.

use memchr::memmem;

use crate::reference::Role;

/// Where a tag keeps URIs.
pub(super) enum Place {
    Nowhere,
    /// The whole value is one.
    Value(Role),
    /// `URI` is one.
    Attribute(Role),
    /// These are, and `URI` is one if it names a host.
    Attributes(&'static [(&'static str, Role)]),
}

/// Known by its first bytes, before anything is parsed: what may stand before every segment of a
/// long playlist. It counts nothing either.
pub(super) fn holds_no_uri(text: &[u8]) -> bool {
    text.starts_with(b"#EXT-X-PROGRAM-DATE-TIME:")
}

impl Place {
    pub(super) fn of(tag: &[u8]) -> Self {
        match tag {
            b"EXT-X-MEDIA" => Self::Attribute(Role::Rendition),
            b"EXT-X-I-FRAME-STREAM-INF" => Self::Attribute(Role::IFrameVariant),
            b"EXT-X-IMAGE-STREAM-INF" => Self::Attribute(Role::ImageVariant),
            b"EXT-X-RENDITION-REPORT" => Self::Attribute(Role::Report),
            b"EXT-X-KEY" => Self::Attribute(Role::Key),
            b"EXT-X-SESSION-KEY" => Self::Attribute(Role::SessionKey),
            b"EXT-X-MAP" => Self::Attribute(Role::Map),
            b"EXT-X-PART" => Self::Attribute(Role::Part),
            b"EXT-X-PRELOAD-HINT" => Self::Attribute(Role::Hint),
            b"EXT-X-SESSION-DATA" => Self::Attribute(Role::SessionData),
            b"EXT-X-CONTENT-STEERING" => Self::Attributes(&[("SERVER-URI", Role::Steering)]),
            b"EXT-X-DATERANGE" => {
                Self::Attributes(&[("X-ASSET-URI", Role::Asset), ("X-ASSET-LIST", Role::AssetList)])
            }
            b"EXT-X-PREFETCH" | b"EXT-X-TWITCH-PREFETCH" => Self::Value(Role::Prefetch),
            // Titles, splice messages and thumbnails' layouts are data, whatever they look like.
            b"EXTINF"
            | b"EXT-X-DEFINE"
            | b"EXT-X-TILES"
            | b"EXT-X-SKIP"
            | b"EXT-X-PROGRAM-DATE-TIME"
            | b"EXT-X-BYTERANGE" => Self::Nowhere,
            _ if tag.starts_with(b"EXT-X-CUE") || memmem::find(tag, b"SCTE35").is_some() => {
                Self::Nowhere
            }
            _ => Self::Attributes(&[]),
        }
    }

    /// What the attribute's value is. Any `URI` that names a host is one, known here or not.
    pub(super) fn role(&self, is: impl Fn(&str) -> bool) -> Option<Role> {
        match self {
            Self::Nowhere | Self::Value(_) => None,
            Self::Attribute(role) => is("URI").then_some(*role),
            Self::Attributes(known) => {
                let known = known.iter().find(|(name, _)| is(name)).map(|(_, role)| *role);
                known.or_else(|| is("URI").then_some(Role::Vendor))
            }
        }
    }
}
