//! Multivariant playlists: variants, renditions and session tags.

use super::kept_attributes::AttributeList;
use super::value_resolver::ValueResolver;
use crate::error::InvalidPlaylist;
use crate::line::{LineKind, Lines, Tag};
use crate::number;
use crate::tag::{MultivariantTag as M, PlaylistTag as P, TagKind as Kind};
use crate::variables::Variables;

/// A multivariant playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultivariantPlaylist {
    /// Variants in playlist order, which is the order of preference at the start.
    pub variants: Vec<Variant>,
    pub renditions: Vec<MediaRendition>,
    /// Each EXT-X-I-FRAME-STREAM-INF that has a URI.
    pub i_frame_variants: Vec<Variant>,
    pub session_data: Vec<SessionTag>,
    pub session_keys: Vec<SessionTag>,
    /// EXT-X-START.
    pub start: Option<AttributeList>,
    pub has_independent_segments: bool,
    /// Variables that child playlists can import.
    pub variables: Variables,
}

/// An EXT-X-STREAM-INF or EXT-X-I-FRAME-STREAM-INF with its URI.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    pub url: String,
    pub bandwidth: Option<u64>,
    pub average_bandwidth: Option<u64>,
    pub codecs: Option<String>,
    pub resolution: Option<(u32, u32)>,
    pub frame_rate: Option<f64>,
    pub video_range: Option<String>,
    /// AUDIO: the id of a rendition group; likewise SUBTITLES below.
    pub audio: Option<String>,
    pub subtitles: Option<String>,
    pub name: Option<String>,
    pub pathway: Option<String>,
    /// Attributes that Pitwall repeats.
    pub attributes: AttributeList,
}

/// An EXT-X-MEDIA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRendition {
    pub kind: MediaKind,
    /// Media playlist of the rendition; `None` if the variants contain its media.
    pub url: Option<String>,
    pub group_id: Option<String>,
    pub name: Option<String>,
    pub language: Option<String>,
    pub channels: Option<String>,
    pub default: bool,
    pub autoselect: bool,
    pub forced: bool,
    /// Attributes that Pitwall repeats.
    pub attributes: AttributeList,
}

/// An EXT-X-SESSION-DATA or EXT-X-SESSION-KEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTag {
    /// Absolute URL; as written if its scheme is never fetched.
    pub url: Option<String>,
    /// Attributes that Pitwall repeats.
    pub attributes: AttributeList,
}

/// TYPE of an EXT-X-MEDIA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Audio,
    Video,
    Subtitles,
    ClosedCaptions,
}

pub(super) fn read_multivariant(
    lines: Lines<'_>,
    mut reader: ValueResolver<'_>,
    variables: Variables,
) -> Result<MultivariantPlaylist, InvalidPlaylist> {
    let mut playlist = MultivariantPlaylist { variables, ..MultivariantPlaylist::default() };
    // The EXT-X-STREAM-INF whose URI line has not been read; without one the tag describes nothing.
    let mut pending = None;
    for line in lines {
        let line = line?;
        reader.set_error_line(line.number);
        match line.kind() {
            LineKind::Blank | LineKind::Comment => {}
            LineKind::Uri => {
                if let Some(variant) = pending.take() {
                    playlist.variants.push(Variant { url: reader.read_url(line.text)?, ..variant });
                }
            }
            LineKind::Tag(tag) => match tag.kind() {
                Kind::Multivariant(M::StreamInf) => {
                    pending = Some(read_variant(&tag, &mut reader)?)
                }
                Kind::Multivariant(M::Media) => {
                    playlist.renditions.extend(read_rendition(&tag, &mut reader)?);
                }
                Kind::Multivariant(M::IFrameStreamInf) => {
                    if let Some(url) = reader.read_url_attribute(&tag, "URI")? {
                        let variant = Variant { url, ..read_variant(&tag, &mut reader)? };
                        playlist.i_frame_variants.push(variant);
                    }
                }
                Kind::Multivariant(M::SessionData) => {
                    playlist.session_data.push(read_session_tag(&tag, &mut reader)?);
                }
                Kind::Multivariant(M::SessionKey) => {
                    playlist.session_keys.push(read_session_tag(&tag, &mut reader)?);
                }
                Kind::Playlist(P::Start) => {
                    playlist.start = Some(reader.read_kept_attributes(&tag)?);
                }
                Kind::Playlist(P::IndependentSegments) => playlist.has_independent_segments = true,
                _ => {}
            },
        }
    }
    Ok(playlist)
}

/// Reads an EXT-X-STREAM-INF, whose URL is on a later line, or an EXT-X-I-FRAME-STREAM-INF.
fn read_variant(tag: &Tag<'_>, reader: &mut ValueResolver<'_>) -> Result<Variant, InvalidPlaylist> {
    Ok(Variant {
        url: String::new(),
        bandwidth: tag.integer_attribute("BANDWIDTH"),
        average_bandwidth: tag.integer_attribute("AVERAGE-BANDWIDTH"),
        codecs: reader.read_text_attribute(tag, "CODECS")?,
        resolution: tag.find_attribute_value("RESOLUTION").and_then(number::parse_resolution),
        frame_rate: tag.decimal_attribute("FRAME-RATE"),
        video_range: reader.read_text_attribute(tag, "VIDEO-RANGE")?,
        audio: reader.read_text_attribute(tag, "AUDIO")?,
        subtitles: reader.read_text_attribute(tag, "SUBTITLES")?,
        name: reader.read_text_attribute(tag, "NAME")?,
        pathway: reader.read_text_attribute(tag, "PATHWAY-ID")?,
        attributes: reader.read_kept_attributes(tag)?,
    })
}

/// Reads an EXT-X-MEDIA; `None` for an unknown TYPE.
fn read_rendition(
    tag: &Tag<'_>,
    reader: &mut ValueResolver<'_>,
) -> Result<Option<MediaRendition>, InvalidPlaylist> {
    let kind = match tag.find_attribute_value("TYPE") {
        Some(b"AUDIO") => MediaKind::Audio,
        Some(b"VIDEO") => MediaKind::Video,
        Some(b"SUBTITLES") => MediaKind::Subtitles,
        Some(b"CLOSED-CAPTIONS") => MediaKind::ClosedCaptions,
        _ => return Ok(None),
    };
    Ok(Some(MediaRendition {
        kind,
        url: reader.read_url_attribute(tag, "URI")?,
        group_id: reader.read_text_attribute(tag, "GROUP-ID")?,
        name: reader.read_text_attribute(tag, "NAME")?,
        language: reader.read_text_attribute(tag, "LANGUAGE")?,
        channels: reader.read_text_attribute(tag, "CHANNELS")?,
        default: tag.is_attribute_yes("DEFAULT"),
        autoselect: tag.is_attribute_yes("AUTOSELECT"),
        forced: tag.is_attribute_yes("FORCED"),
        attributes: reader.read_kept_attributes(tag)?,
    }))
}

fn read_session_tag(
    tag: &Tag<'_>,
    reader: &mut ValueResolver<'_>,
) -> Result<SessionTag, InvalidPlaylist> {
    Ok(SessionTag {
        url: reader.read_url_attribute(tag, "URI")?,
        attributes: reader.read_kept_attributes(tag)?,
    })
}
