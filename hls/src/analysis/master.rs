//! Multivariant playlists: what can be played.

use super::reader::Reader;
use crate::error::InvalidPlaylist;
use crate::line::{Content, Lines, Tag};
use crate::number;
use crate::variables::Variables;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Master {
    /// In the order of the playlist, which is the order of preference at the start.
    pub variants: Vec<Variant>,
    pub renditions: Vec<MediaRendition>,
    pub independent_segments: bool,
    /// What the children import.
    pub variables: Variables,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    pub url: String,
    pub bandwidth: Option<u64>,
    pub average_bandwidth: Option<u64>,
    pub codecs: Option<String>,
    pub supplemental_codecs: Option<String>,
    pub resolution: Option<(u32, u32)>,
    pub frame_rate: Option<f64>,
    pub score: Option<f64>,
    pub video_range: Option<String>,
    /// The group ids that go with it.
    pub audio: Option<String>,
    pub video: Option<String>,
    pub subtitles: Option<String>,
    /// A group id, or `NONE`.
    pub closed_captions: Option<String>,
    pub name: Option<String>,
    pub pathway: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRendition {
    pub kind: MediaKind,
    /// `None`: it travels inside the variants.
    pub url: Option<String>,
    pub group_id: Option<String>,
    pub name: Option<String>,
    pub language: Option<String>,
    pub assoc_language: Option<String>,
    pub instream_id: Option<String>,
    pub channels: Option<String>,
    pub characteristics: Option<String>,
    pub default: bool,
    pub autoselect: bool,
    pub forced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    Audio,
    Video,
    Subtitles,
    ClosedCaptions,
}

pub(super) fn read(
    lines: Lines<'_>,
    mut reader: Reader<'_>,
    variables: Variables,
) -> Result<Master, InvalidPlaylist> {
    let mut master = Master { variables, ..Master::default() };
    // A STREAM-INF waits for its URI; without one it describes nothing.
    let mut pending = None;
    for line in lines {
        let line = line?;
        reader.at(line.number);
        match line.content() {
            Content::Blank | Content::Comment => {}
            Content::Uri => {
                if let Some(variant) = pending.take() {
                    master.variants.push(Variant { url: reader.url(line.text)?, ..variant });
                }
            }
            Content::Tag(tag) => match tag.name {
                b"EXT-X-STREAM-INF" => pending = Some(variant(&tag, &mut reader)?),
                b"EXT-X-MEDIA" => master.renditions.extend(rendition(&tag, &mut reader)?),
                b"EXT-X-INDEPENDENT-SEGMENTS" => master.independent_segments = true,
                _ => {}
            },
        }
    }
    Ok(master)
}

/// All but the URL.
fn variant(tag: &Tag<'_>, reader: &mut Reader<'_>) -> Result<Variant, InvalidPlaylist> {
    Ok(Variant {
        url: String::new(),
        bandwidth: tag.attribute("BANDWIDTH").and_then(number::integer),
        average_bandwidth: tag.attribute("AVERAGE-BANDWIDTH").and_then(number::integer),
        codecs: reader.text_in(tag, "CODECS")?,
        supplemental_codecs: reader.text_in(tag, "SUPPLEMENTAL-CODECS")?,
        resolution: tag.attribute("RESOLUTION").and_then(number::pair),
        frame_rate: tag.attribute("FRAME-RATE").and_then(number::decimal),
        score: tag.attribute("SCORE").and_then(number::decimal),
        video_range: reader.text_in(tag, "VIDEO-RANGE")?,
        audio: reader.text_in(tag, "AUDIO")?,
        video: reader.text_in(tag, "VIDEO")?,
        subtitles: reader.text_in(tag, "SUBTITLES")?,
        closed_captions: reader.text_in(tag, "CLOSED-CAPTIONS")?,
        name: reader.text_in(tag, "NAME")?,
        pathway: reader.text_in(tag, "PATHWAY-ID")?,
    })
}

/// `None` for a type nobody knows.
fn rendition(
    tag: &Tag<'_>,
    reader: &mut Reader<'_>,
) -> Result<Option<MediaRendition>, InvalidPlaylist> {
    let kind = match tag.attribute("TYPE") {
        Some(b"AUDIO") => MediaKind::Audio,
        Some(b"VIDEO") => MediaKind::Video,
        Some(b"SUBTITLES") => MediaKind::Subtitles,
        Some(b"CLOSED-CAPTIONS") => MediaKind::ClosedCaptions,
        _ => return Ok(None),
    };
    Ok(Some(MediaRendition {
        kind,
        url: reader.url_in(tag, "URI")?,
        group_id: reader.text_in(tag, "GROUP-ID")?,
        name: reader.text_in(tag, "NAME")?,
        language: reader.text_in(tag, "LANGUAGE")?,
        assoc_language: reader.text_in(tag, "ASSOC-LANGUAGE")?,
        instream_id: reader.text_in(tag, "INSTREAM-ID")?,
        channels: reader.text_in(tag, "CHANNELS")?,
        characteristics: reader.text_in(tag, "CHARACTERISTICS")?,
        default: tag.flag("DEFAULT"),
        autoselect: tag.flag("AUTOSELECT"),
        forced: tag.flag("FORCED"),
    }))
}
