//! Media playlists: segments with all tags that apply to each.

use std::sync::Arc;

use super::segment::{Key, Map, Segment};
use super::value_reader::ValueReader;
use crate::container::{self, Container};
use crate::error::InvalidPlaylist;
use crate::line::{Line, LineKind, Lines, Tag};
use crate::number;
use crate::sequence::SequenceCounter;

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaPlaylist {
    /// Seconds.
    pub target_duration: Option<f64>,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    pub segments: Vec<Segment>,
    pub has_end_list: bool,
    pub playlist_type: Option<PlaylistType>,
    pub has_independent_segments: bool,
    pub is_i_frames_only: bool,
    /// Low-latency HLS: the playlist has EXT-X-PART, EXT-X-PRELOAD-HINT or EXT-X-PART-INF.
    pub has_parts: bool,
    /// PART-TARGET in seconds.
    pub part_target: Option<f64>,
    /// Number of segments that a delta update (EXT-X-SKIP) omits between `media_sequence` and the
    /// first segment.
    pub skipped_segments: u64,
    pub server_control: Option<ServerControl>,
}

/// EXT-X-PLAYLIST-TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlaylistType {
    Event,
    Vod,
}

/// EXT-X-SERVER-CONTROL; durations in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerControl {
    pub can_block_reload: bool,
    pub can_skip_until: Option<f64>,
    pub hold_back: Option<f64>,
    pub part_hold_back: Option<f64>,
}

impl MediaPlaylist {
    /// Media sequence number of the last segment.
    pub fn last_sequence(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.sequence)
    }

    /// Container of the segments, judged by the first segment's name.
    pub fn container(&self) -> Container {
        match self.segments.first() {
            Some(Segment { map: Some(map), .. }) => container::container_of_map(map.url.as_bytes()),
            Some(segment) => container::container_of_segment(segment.url.as_bytes()),
            None => Container::Unknown,
        }
    }
}

pub(super) fn read_media(
    lines: Lines<'_>,
    reader: ValueReader<'_>,
) -> Result<MediaPlaylist, InvalidPlaylist> {
    let mut builder = MediaPlaylistBuilder {
        reader,
        media: MediaPlaylist::default(),
        sequence: SequenceCounter::default(),
        next: NextSegment::default(),
        map: None,
        keys: Vec::new(),
        variant_follows: false,
    };
    for line in lines {
        builder.read_line(&line?)?;
    }
    Ok(builder.media)
}

struct MediaPlaylistBuilder<'a> {
    reader: ValueReader<'a>,
    media: MediaPlaylist,
    sequence: SequenceCounter,
    next: NextSegment,
    /// The EXT-X-MAP in force.
    map: Option<Arc<Map>>,
    /// The EXT-X-KEYs in force, one per key format.
    keys: Vec<Arc<Key>>,
    /// A stray EXT-X-STREAM-INF was read: the next URI is no segment, so that segments get the same
    /// numbers as in the rewriter.
    variant_follows: bool,
}

/// Tags read so far that apply to the next segment.
#[derive(Default)]
struct NextSegment {
    duration: f64,
    title: Option<String>,
    byte_range: Option<(u64, Option<u64>)>,
    has_discontinuity: bool,
    program_date_time: Option<String>,
    is_gap: bool,
}

impl MediaPlaylistBuilder<'_> {
    fn read_line(&mut self, line: &Line<'_>) -> Result<(), InvalidPlaylist> {
        self.reader.set_line(line.number);
        match line.kind() {
            LineKind::Blank | LineKind::Comment => Ok(()),
            LineKind::Uri if std::mem::take(&mut self.variant_follows) => Ok(()),
            LineKind::Uri => self.push_segment(line.text),
            LineKind::Tag(tag) => {
                self.variant_follows |= tag.name == b"EXT-X-STREAM-INF";
                self.sequence.observe_tag(&tag);
                self.read_playlist_tag(&tag);
                self.read_segment_tag(&tag)
            }
        }
    }

    fn push_segment(&mut self, uri: &[u8]) -> Result<(), InvalidPlaylist> {
        let url = self.reader.read_url(uri)?;
        let next = std::mem::take(&mut self.next);
        let byte_range = next.byte_range.map(|(length, offset)| {
            (length, offset.unwrap_or_else(|| self.end_of_last_range(&url)))
        });
        let key = self.keys.iter().find(|key| key.is_identity()).or(self.keys.first());
        self.media.segments.push(Segment {
            sequence: self.sequence.take_number(),
            url,
            duration: next.duration,
            title: next.title,
            byte_range,
            has_discontinuity: next.has_discontinuity,
            program_date_time: next.program_date_time,
            map: self.map.clone(),
            key: key.cloned(),
            is_gap: next.is_gap,
        });
        Ok(())
    }

    /// Offset of a byte range that has none: the end of the previous range if it is of the same
    /// resource, else 0.
    fn end_of_last_range(&self, url: &str) -> u64 {
        match self.media.segments.last() {
            Some(Segment { url: last, byte_range: Some((length, offset)), .. }) if last == url => {
                offset.saturating_add(*length)
            }
            _ => 0,
        }
    }

    fn read_playlist_tag(&mut self, tag: &Tag<'_>) {
        let media = &mut self.media;
        let integer = || number::parse_integer(tag.value).unwrap_or(0);
        match tag.name {
            b"EXT-X-TARGETDURATION" => media.target_duration = number::parse_decimal(tag.value),
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
            b"EXT-X-ENDLIST" => media.has_end_list = true,
            b"EXT-X-INDEPENDENT-SEGMENTS" => media.has_independent_segments = true,
            b"EXT-X-I-FRAMES-ONLY" => media.is_i_frames_only = true,
            b"EXT-X-PART" | b"EXT-X-PRELOAD-HINT" => media.has_parts = true,
            b"EXT-X-PART-INF" => {
                media.has_parts = true;
                media.part_target = tag.attribute("PART-TARGET").and_then(number::parse_decimal);
            }
            b"EXT-X-SKIP" => {
                let skipped =
                    tag.attribute("SKIPPED-SEGMENTS").and_then(number::parse_integer).unwrap_or(0);
                media.skipped_segments = media.skipped_segments.saturating_add(skipped);
            }
            b"EXT-X-SERVER-CONTROL" => {
                let seconds = |name| tag.attribute(name).and_then(number::parse_decimal);
                media.server_control = Some(ServerControl {
                    can_block_reload: tag.is_yes("CAN-BLOCK-RELOAD"),
                    can_skip_until: seconds("CAN-SKIP-UNTIL"),
                    hold_back: seconds("HOLD-BACK"),
                    part_hold_back: seconds("PART-HOLD-BACK"),
                });
            }
            _ => {}
        }
    }

    fn read_segment_tag(&mut self, tag: &Tag<'_>) -> Result<(), InvalidPlaylist> {
        match tag.name {
            b"EXTINF" => {
                let comma = memchr::memchr(b',', tag.value).unwrap_or(tag.value.len());
                let (duration, title) = tag.value.split_at(comma);
                self.next.duration = number::parse_decimal(duration).unwrap_or(0.0);
                let title = title.strip_prefix(b",").unwrap_or_default().trim_ascii();
                // A title is no attribute, so variables are not substituted in it.
                self.next.title =
                    (!title.is_empty()).then(|| String::from_utf8_lossy(title).into_owned());
            }
            b"EXT-X-BYTERANGE" => self.next.byte_range = number::parse_byte_range(tag.value),
            b"EXT-X-DISCONTINUITY" => self.next.has_discontinuity = true,
            b"EXT-X-GAP" => self.next.is_gap = true,
            b"EXT-X-PROGRAM-DATE-TIME" => {
                self.next.program_date_time = Some(String::from_utf8_lossy(tag.value).into_owned());
            }
            b"EXT-X-MAP" => self.map = self.read_map(tag)?.map(Arc::new),
            b"EXT-X-KEY" => self.read_key(tag)?,
            _ => {}
        }
        Ok(())
    }

    fn read_map(&mut self, tag: &Tag<'_>) -> Result<Option<Map>, InvalidPlaylist> {
        let Some(url) = self.reader.read_url_attribute(tag, "URI")? else { return Ok(None) };
        let byte_range = tag.attribute("BYTERANGE").and_then(number::parse_map_byte_range);
        Ok(Some(Map { url, byte_range }))
    }

    fn read_key(&mut self, tag: &Tag<'_>) -> Result<(), InvalidPlaylist> {
        /// Limit on keys per segment, above the number of existing DRM systems.
        const KEY_FORMATS_MAX: usize = 16;
        let method = self.reader.read_text_attribute(tag, "METHOD")?.unwrap_or_default();
        if method.eq_ignore_ascii_case("NONE") {
            self.keys.clear();
            return Ok(());
        }
        let key = Key {
            method,
            url: self.reader.read_url_attribute(tag, "URI")?,
            iv: tag.attribute("IV").and_then(number::parse_hexadecimal),
            format: self.reader.read_text_attribute(tag, "KEYFORMAT")?,
        };
        self.keys.retain(|other| other.format != key.format);
        if self.keys.len() < KEY_FORMATS_MAX {
            self.keys.push(Arc::new(key));
        }
        Ok(())
    }
}
