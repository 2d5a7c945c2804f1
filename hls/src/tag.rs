//! The tags of RFC 8216bis: which tag a line is, and what its value means.
//!
//! Only this module compares tag names. Analysis, rewriting and splicing match on [`TagKind`], so a
//! tag that is added here does not compile until each of them has decided about it. Nothing is
//! copied, and a value that not every reader needs is parsed when it is asked for.

use crate::line::Tag;
use crate::number;

/// A tag, by what it applies to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TagKind<'a> {
    /// Applies to the next segment, or to all segments from there on.
    Segment(SegmentTag<'a>),
    /// Applies to the playlist as a whole.
    Playlist(PlaylistTag),
    /// Makes the playlist a multivariant playlist.
    Multivariant(MultivariantTag),
    Unknown,
}

/// Defines the enums of [`TagKind`], and [`Tag::kind`], from a table of names and values.
macro_rules! tags {
    ($tag:ident, $($group:ident($enum:ident $(<$lifetime:lifetime>)?) {
        $($name:pat $(if $guard:expr)? => $variant:ident $(($type:ty = $value:expr))?,)*
    })*) => {
        $(#[derive(Clone, Copy, Debug)]
        pub(crate) enum $enum $(<$lifetime>)? { $($variant $(($type))?),* })*

        impl<'a> Tag<'a> {
            #[inline]
            pub(crate) fn kind(&self) -> TagKind<'a> {
                let $tag = *self;
                match $tag.name {
                    $($($name $(if $guard)? => {
                        TagKind::$group($enum::$variant $(($value))?)
                    })*)*
                    _ => TagKind::Unknown,
                }
            }
        }
    };
}

tags! { tag,
    Segment(SegmentTag<'a>) {
        b"EXTINF" => Inf(Inf<'a> = Inf(tag.value)),
        // The date as written.
        b"EXT-X-PROGRAM-DATE-TIME" => ProgramDateTime(&'a [u8] = tag.value),
        // Length and offset; without an offset it follows the range before.
        b"EXT-X-BYTERANGE" => ByteRange(Option<(u64, Option<u64>)> = number::parse_byte_range(tag.value)),
        b"EXT-X-KEY" => Key,
        // Length and offset of its byte range.
        b"EXT-X-MAP" => Map(Option<(u64, u64)> = tag.byte_range_of_map()),
        b"EXT-X-DISCONTINUITY" => Discontinuity,
        b"EXT-X-GAP" => Gap,
        b"EXT-X-PART" => Part,
        b"EXT-X-PRELOAD-HINT" => PreloadHint,
        // The whole value is a URI.
        b"EXT-X-PREFETCH" | b"EXT-X-TWITCH-PREFETCH" => Prefetch,
        b"EXT-X-BITRATE" => Bitrate,
        b"EXT-X-TILES" => Tiles,
        // A tag of the EXT-X-CUE family, or one that holds an SCTE-35 message.
        name if name.starts_with(b"EXT-X-CUE") || name.windows(6).any(|part| part == b"SCTE35") => Cue,
    }
    Playlist(PlaylistTag) {
        b"EXTM3U" => Header,
        b"EXT-X-VERSION" => Version(u64 = tag.integer()),
        // Seconds.
        b"EXT-X-TARGETDURATION" => TargetDuration(Option<f64> = number::parse_decimal(tag.value)),
        b"EXT-X-MEDIA-SEQUENCE" => MediaSequence(u64 = tag.integer()),
        b"EXT-X-DISCONTINUITY-SEQUENCE" => DiscontinuitySequence(u64 = tag.integer()),
        b"EXT-X-PLAYLIST-TYPE" => PlaylistType(Option<PlaylistType> = match tag.value {
            b"EVENT" => Some(PlaylistType::Event),
            b"VOD" => Some(PlaylistType::Vod),
            _ => None,
        }),
        b"EXT-X-ENDLIST" => EndList,
        b"EXT-X-I-FRAMES-ONLY" => IFramesOnly,
        b"EXT-X-INDEPENDENT-SEGMENTS" => IndependentSegments,
        b"EXT-X-START" => Start,
        b"EXT-X-DEFINE" => Define,
        b"EXT-X-SERVER-CONTROL" => ServerControl,
        // PART-TARGET in seconds.
        b"EXT-X-PART-INF" => PartInf(Option<f64> = tag.decimal_attribute("PART-TARGET")),
        // Number of segments that are left out.
        b"EXT-X-SKIP" => Skip(u64 = tag.integer_attribute("SKIPPED-SEGMENTS").unwrap_or(0)),
        b"EXT-X-DATERANGE" => DateRange,
        b"EXT-X-RENDITION-REPORT" => RenditionReport,
    }
    Multivariant(MultivariantTag) {
        b"EXT-X-STREAM-INF" => StreamInf,
        b"EXT-X-MEDIA" => Media,
        b"EXT-X-I-FRAME-STREAM-INF" => IFrameStreamInf,
        b"EXT-X-IMAGE-STREAM-INF" => ImageStreamInf,
        b"EXT-X-SESSION-DATA" => SessionData,
        b"EXT-X-SESSION-KEY" => SessionKey,
        b"EXT-X-CONTENT-STEERING" => ContentSteering,
    }
}

/// EXT-X-PLAYLIST-TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaylistType {
    Event,
    Vod,
}

/// The value of an EXTINF.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inf<'a>(&'a [u8]);

/// An EXT-X-KEY.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    /// The attribute list as written.
    pub(crate) list: &'a [u8],
    pub(crate) method: &'a [u8],
    pub(crate) uri: Option<&'a [u8]>,
    pub(crate) iv: Option<&'a [u8]>,
    /// KEYFORMAT; `identity` if the tag has none.
    pub(crate) format: &'a [u8],
}

/// What lines begin with that may stand before every segment and hold no URI.
pub(crate) const INF: &[u8] = b"#EXTINF:";
pub(crate) const PROGRAM_DATE_TIME: &[u8] = b"#EXT-X-PROGRAM-DATE-TIME:";

impl Tag<'_> {
    fn integer(&self) -> u64 {
        number::parse_integer(self.value).unwrap_or(0)
    }

    pub(crate) fn integer_attribute(&self, name: &str) -> Option<u64> {
        self.find_attribute_value(name).and_then(number::parse_integer)
    }

    pub(crate) fn decimal_attribute(&self, name: &str) -> Option<f64> {
        self.find_attribute_value(name).and_then(number::parse_decimal)
    }

    /// The offset of a map's byte range is 0 if it is missing.
    fn byte_range_of_map(&self) -> Option<(u64, u64)> {
        let (length, offset) = number::parse_byte_range(self.find_attribute_value("BYTERANGE")?)?;
        Some((length, offset.unwrap_or(0)))
    }
}

impl<'a> Inf<'a> {
    pub(crate) fn of(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// Seconds; 0 if the value has no number.
    pub(crate) fn duration(&self) -> f64 {
        number::parse_decimal(self.0).unwrap_or_default()
    }

    pub(crate) fn title(&self) -> Option<&'a [u8]> {
        let title = self.0.get(memchr::memchr(b',', self.0)? + 1..)?.trim_ascii();
        (!title.is_empty()).then_some(title)
    }
}

impl<'a> Key<'a> {
    /// Reads an EXT-X-KEY, which may stand before every segment, in one pass.
    pub(crate) fn parse(tag: &Tag<'a>) -> Self {
        let mut key =
            Self { list: tag.value, method: b"", uri: None, iv: None, format: b"identity" };
        for attribute in tag.attributes() {
            let value = Some(attribute.value);
            match () {
                () if attribute.has_name("METHOD") => key.method = attribute.value,
                () if attribute.has_name("URI") => key.uri = value,
                () if attribute.has_name("IV") => key.iv = value,
                () if attribute.has_name("KEYFORMAT") => key.format = attribute.value,
                () => {}
            }
        }
        key
    }

    /// Whether players decrypt with the key itself, without a DRM module.
    pub(crate) fn is_identity(&self) -> bool {
        self.format.eq_ignore_ascii_case(b"identity")
    }

    /// Whether the media sequence number of a segment is its IV (RFC 8216bis, 5.2).
    pub(crate) fn has_sequence_number_iv(&self) -> bool {
        let is_known = matches!(self.method, b"AES-128" | b"AES-256" | b"SAMPLE-AES");
        is_known && self.iv.is_none() && self.is_identity()
    }
}
