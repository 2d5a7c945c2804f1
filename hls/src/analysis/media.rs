//! Media playlists: segments, with everything that applies to each carried on to it.

use std::sync::Arc;

use super::reader::Reader;
use super::segment::{Key, Map, Segment};
use crate::container::{self, Container};
use crate::error::InvalidPlaylist;
use crate::line::{Content, Line, Lines, Tag};
use crate::number;
use crate::sequence::Sequence;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    pub target_duration: Option<f64>,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    pub segments: Vec<Segment>,
    pub end_list: bool,
    pub playlist_type: Option<PlaylistType>,
    pub independent_segments: bool,
    pub i_frames_only: bool,
    /// Low latency: it names parts, or announces that it will.
    pub parts: bool,
    pub part_target: Option<f64>,
    /// Segments a delta update leaves out, between `media_sequence` and the first.
    pub skipped: u64,
    pub server_control: Option<ServerControl>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaylistType {
    Event,
    Vod,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerControl {
    pub can_block_reload: bool,
    pub can_skip_until: Option<f64>,
    pub hold_back: Option<f64>,
    pub part_hold_back: Option<f64>,
}

impl Media {
    pub fn last_sequence(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.sequence)
    }

    /// What the segments are made of, going by names.
    pub fn container(&self) -> Container {
        match self.segments.first() {
            Some(Segment { map: Some(map), .. }) => container::of_map(map.url.as_bytes()),
            Some(segment) => container::of_segment(segment.url.as_bytes()),
            None => Container::Unknown,
        }
    }
}

pub(super) fn read(lines: Lines<'_>, reader: Reader<'_>) -> Result<Media, InvalidPlaylist> {
    let mut builder = Builder {
        reader,
        media: Media::default(),
        sequence: Sequence::default(),
        next: Next::default(),
        map: None,
        keys: Vec::new(),
        variant_follows: false,
    };
    for line in lines {
        builder.line(&line?)?;
    }
    Ok(builder.media)
}

struct Builder<'a> {
    reader: Reader<'a>,
    media: Media,
    sequence: Sequence,
    next: Next,
    /// These two apply until replaced.
    map: Option<Arc<Map>>,
    /// One per key format.
    keys: Vec<Arc<Key>>,
    /// A stray STREAM-INF takes its URI with it; the numbers are those the rewriter counts.
    variant_follows: bool,
}

/// What the tags so far say about the segment that comes next.
#[derive(Default)]
struct Next {
    duration: f64,
    title: Option<String>,
    byte_range: Option<(u64, Option<u64>)>,
    discontinuity: bool,
    program_date_time: Option<String>,
    gap: bool,
}

impl Builder<'_> {
    fn line(&mut self, line: &Line<'_>) -> Result<(), InvalidPlaylist> {
        self.reader.at(line.number);
        match line.content() {
            Content::Blank | Content::Comment => Ok(()),
            Content::Uri if std::mem::take(&mut self.variant_follows) => Ok(()),
            Content::Uri => self.segment(line.text),
            Content::Tag(tag) => {
                self.variant_follows |= tag.name == b"EXT-X-STREAM-INF";
                self.sequence.tag(&tag);
                self.playlist_tag(&tag);
                self.segment_tag(&tag)
            }
        }
    }

    fn segment(&mut self, uri: &[u8]) -> Result<(), InvalidPlaylist> {
        let url = self.reader.url(uri)?;
        let next = std::mem::take(&mut self.next);
        let byte_range = next
            .byte_range
            .map(|(length, offset)| (length, offset.unwrap_or_else(|| self.end_of_last(&url))));
        let key = self.keys.iter().find(|key| key.is_identity()).or(self.keys.first());
        self.media.segments.push(Segment {
            sequence: self.sequence.segment(),
            url,
            duration: next.duration,
            title: next.title,
            byte_range,
            discontinuity: next.discontinuity,
            program_date_time: next.program_date_time,
            map: self.map.clone(),
            key: key.cloned(),
            gap: next.gap,
        });
        Ok(())
    }

    /// Where a byte range without an offset begins: after the last one of the same resource.
    fn end_of_last(&self, url: &str) -> u64 {
        match self.media.segments.last() {
            Some(Segment { url: last, byte_range: Some((length, offset)), .. }) if last == url => {
                offset.saturating_add(*length)
            }
            _ => 0,
        }
    }

    fn playlist_tag(&mut self, tag: &Tag<'_>) {
        let media = &mut self.media;
        let integer = || number::integer(tag.value).unwrap_or(0);
        match tag.name {
            b"EXT-X-TARGETDURATION" => media.target_duration = number::decimal(tag.value),
            b"EXT-X-MEDIA-SEQUENCE" if media.segments.is_empty() => {
                media.media_sequence = integer()
            }
            b"EXT-X-DISCONTINUITY-SEQUENCE" => media.discontinuity_sequence = integer(),
            b"EXT-X-PLAYLIST-TYPE" => {
                media.playlist_type = match tag.value {
                    b"EVENT" => Some(PlaylistType::Event),
                    b"VOD" => Some(PlaylistType::Vod),
                    _ => None,
                }
            }
            b"EXT-X-ENDLIST" => media.end_list = true,
            b"EXT-X-INDEPENDENT-SEGMENTS" => media.independent_segments = true,
            b"EXT-X-I-FRAMES-ONLY" => media.i_frames_only = true,
            b"EXT-X-PART" | b"EXT-X-PRELOAD-HINT" => media.parts = true,
            b"EXT-X-PART-INF" => {
                media.parts = true;
                media.part_target = tag.attribute("PART-TARGET").and_then(number::decimal);
            }
            b"EXT-X-SKIP" => {
                let skipped =
                    tag.attribute("SKIPPED-SEGMENTS").and_then(number::integer).unwrap_or(0);
                media.skipped = media.skipped.saturating_add(skipped);
            }
            b"EXT-X-SERVER-CONTROL" => {
                let seconds = |name| tag.attribute(name).and_then(number::decimal);
                media.server_control = Some(ServerControl {
                    can_block_reload: tag.flag("CAN-BLOCK-RELOAD"),
                    can_skip_until: seconds("CAN-SKIP-UNTIL"),
                    hold_back: seconds("HOLD-BACK"),
                    part_hold_back: seconds("PART-HOLD-BACK"),
                });
            }
            _ => {}
        }
    }

    fn segment_tag(&mut self, tag: &Tag<'_>) -> Result<(), InvalidPlaylist> {
        match tag.name {
            b"EXTINF" => {
                let comma = memchr::memchr(b',', tag.value).unwrap_or(tag.value.len());
                let (duration, title) = tag.value.split_at(comma);
                self.next.duration = number::decimal(duration).unwrap_or(0.0);
                let title = title.strip_prefix(b",").unwrap_or_default().trim_ascii();
                // A title is no attribute: nothing is filled in.
                self.next.title =
                    (!title.is_empty()).then(|| String::from_utf8_lossy(title).into_owned());
            }
            b"EXT-X-BYTERANGE" => self.next.byte_range = number::byte_range(tag.value),
            b"EXT-X-DISCONTINUITY" => self.next.discontinuity = true,
            b"EXT-X-GAP" => self.next.gap = true,
            b"EXT-X-PROGRAM-DATE-TIME" => {
                self.next.program_date_time = Some(String::from_utf8_lossy(tag.value).into_owned());
            }
            b"EXT-X-MAP" => self.map = self.map_of(tag)?.map(Arc::new),
            b"EXT-X-KEY" => self.key(tag)?,
            _ => {}
        }
        Ok(())
    }

    fn map_of(&mut self, tag: &Tag<'_>) -> Result<Option<Map>, InvalidPlaylist> {
        let Some(url) = self.reader.url_in(tag, "URI")? else { return Ok(None) };
        let byte_range = tag.attribute("BYTERANGE").and_then(number::map_range);
        Ok(Some(Map { url, byte_range }))
    }

    fn key(&mut self, tag: &Tag<'_>) -> Result<(), InvalidPlaylist> {
        /// More DRM systems than exist.
        const FORMATS: usize = 16;
        let method = self.reader.text_in(tag, "METHOD")?.unwrap_or_default();
        if method.eq_ignore_ascii_case("NONE") {
            self.keys.clear();
            return Ok(());
        }
        let key = Key {
            method,
            url: self.reader.url_in(tag, "URI")?,
            iv: tag.attribute("IV").and_then(number::hexadecimal),
            format: self.reader.text_in(tag, "KEYFORMAT")?,
        };
        self.keys.retain(|other| other.format != key.format);
        if self.keys.len() < FORMATS {
            self.keys.push(Arc::new(key));
        }
        Ok(())
    }
}
