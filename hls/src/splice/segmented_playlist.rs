//! A media playlist parsed into self-contained segments.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::PlaylistLimits;
use crate::line::{self, LineKind, Tag};
use crate::number;

/// A media playlist: its segments, and the tags that apply to the whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SegmentedPlaylist {
    pub version: u64,
    /// Seconds.
    pub target_duration: u64,
    pub has_independent_segments: bool,
    /// `EXT-X-ENDLIST`: no segments will be added.
    pub has_ended: bool,
    /// `EXT-X-PLAYLIST-TYPE:VOD`: the playlist never changes.
    pub is_vod: bool,
    /// Media sequence number of the first segment, also if the playlist has no segments.
    pub first_number: u64,
    pub segments: Vec<Segment>,
    /// Tags that apply to the whole playlist and hold for any window of it.
    pub(super) header: String,
    /// EXT-X-DATERANGE lines, each split at the value of its ID, because two sources may use the
    /// same ID.
    pub(super) date_ranges: Vec<(String, String)>,
    /// EXT-X-PART and EXT-X-PRELOAD-HINT lines of the segment that is not complete yet.
    pub(super) trailer: String,
}

/// A segment with all tags that apply to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub number: u64,
    /// Discontinuity sequence number, including the segment's own tags.
    pub discontinuity: u64,
    /// Number of EXT-X-DISCONTINUITY tags directly before the segment.
    pub tags: u64,
    /// Seconds.
    pub duration: f64,
    /// Program date-time of the segment's start, written or computed from the segments before it.
    pub date: Option<Timestamp>,
    /// Whether `lines` contain the EXT-X-PROGRAM-DATE-TIME tag.
    pub dated: bool,
    /// EXT-X-KEY lines that apply, with an explicit IV where the media sequence number was the IV;
    /// empty for a clear segment.
    pub key: String,
    /// The EXT-X-MAP line that applies; empty if there is none.
    pub map: String,
    /// EXT-X-KEY lines under which the map was declared, as they came; empty for a clear map.
    /// `None` if there is no map, or if the record was written by a version that knew only the
    /// segment's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key: Option<String>,
    /// All other lines of the segment, up to and including its URI.
    pub lines: String,
}

/// Why a text cannot be parsed into a [`SegmentedPlaylist`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("it is no playlist")]
    NotAPlaylist,
    #[error("it is a delta")]
    DeltaUpdate,
    #[error("it is a multivariant playlist")]
    Multivariant,
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// The tags read so far that apply to the segments to come.
#[derive(Default)]
struct TagState {
    /// EXT-X-KEY lines, and whether the media sequence number is the key's implicit IV.
    keys: Vec<(String, bool)>,
    /// The previous tag was an EXT-X-KEY of the same set.
    is_key_group_open: bool,
    map: String,
    /// The EXT-X-KEY lines in force where the map was declared.
    map_key: String,
    lines: String,
    discontinuity: u64,
    discontinuity_tags: u64,
    duration: f64,
    date: Option<Timestamp>,
    has_date_tag: bool,
    /// End of the last byte range, the start of the next one that has no offset.
    range_end: u64,
}

impl SegmentedPlaylist {
    /// Parses a media playlist without limits on its size.
    ///
    /// # Errors
    /// [`ParseError`] if the text is no playlist, not UTF-8, multivariant, or a delta update.
    pub fn parse(text: &[u8]) -> Result<Self, ParseError> {
        let lines = line::parse_lines(text, &PlaylistLimits::UNLIMITED)
            .map_err(|_| ParseError::NotAPlaylist)?;
        let mut playlist = Self { version: 1, ..Self::default() };
        let mut current = TagState::default();
        for line in lines {
            let Ok(line) = line else { return Err(ParseError::NotAPlaylist) };
            let text = std::str::from_utf8(line.text).map_err(|_| ParseError::NotUtf8)?;
            match line.kind() {
                LineKind::Blank => {}
                LineKind::Comment => current.push_line(text),
                LineKind::Uri => {
                    current.push_line(text);
                    let number = playlist.next_number();
                    playlist.segments.push(current.take_segment(number));
                }
                LineKind::Tag(tag) => playlist.read_tag(&tag, text, &mut current)?,
            }
        }
        // Partial segments after a key, map or discontinuity of their own are withheld until their
        // segment is complete and carries those tags.
        let (tags, next) = (current.discontinuity_tags, current.take_segment(0));
        let default_segment = Segment::default();
        if tags == 0
            && playlist.segments.last().unwrap_or(&default_segment).has_same_key_and_map(&next)
        {
            playlist.trailer = next.lines;
        }
        Ok(playlist)
    }

    /// A playlist of segments that another edge has published.
    pub fn from_published(segments: Vec<Segment>) -> Self {
        Self {
            first_number: segments.first().map_or(0, |first| first.number),
            segments,
            ..Self::default()
        }
    }

    /// Smallest target duration in seconds that the segments allow (RFC 8216bis, 4.4.3.1).
    pub fn min_target_duration(&self) -> u64 {
        let rounded = self.segments.iter().map(|segment| segment.duration.round() as u64);
        rounded.max().unwrap_or_default()
    }

    /// Media sequence number of the next segment.
    pub fn next_number(&self) -> u64 {
        self.first_number.saturating_add(self.segments.len() as u64)
    }

    fn read_tag(
        &mut self,
        tag: &Tag<'_>,
        text: &str,
        current: &mut TagState,
    ) -> Result<(), ParseError> {
        let integer = || number::parse_integer(tag.value).unwrap_or_default();
        if tag.name != b"EXT-X-KEY" {
            current.is_key_group_open = false;
        }
        match tag.name {
            b"EXT-X-SKIP" => return Err(ParseError::DeltaUpdate),
            b"EXT-X-STREAM-INF" => return Err(ParseError::Multivariant),
            b"EXTM3U" => {}
            b"EXT-X-VERSION" => self.version = integer(),
            b"EXT-X-TARGETDURATION" => {
                let seconds = number::parse_decimal(tag.value).unwrap_or_default();
                self.target_duration = seconds.ceil() as u64;
            }
            b"EXT-X-MEDIA-SEQUENCE" if self.segments.is_empty() => self.first_number = integer(),
            b"EXT-X-DISCONTINUITY-SEQUENCE" if self.segments.is_empty() => {
                current.discontinuity = integer() + current.discontinuity_tags;
            }
            // Numbers of the source do not apply to the spliced playlist.
            b"EXT-X-MEDIA-SEQUENCE" | b"EXT-X-DISCONTINUITY-SEQUENCE" => {}
            b"EXT-X-PLAYLIST-TYPE" => self.is_vod = tag.value.trim_ascii() == b"VOD",
            b"EXT-X-START" | b"EXT-X-RENDITION-REPORT" => {}
            b"EXT-X-ENDLIST" => self.has_ended = true,
            b"EXT-X-INDEPENDENT-SEGMENTS" => self.has_independent_segments = true,
            b"EXT-X-SERVER-CONTROL" => self.push_server_control(tag),
            b"EXT-X-PART-INF" | b"EXT-X-DEFINE" => self.push_header(text),
            b"EXT-X-DATERANGE" => self.date_ranges.extend(split_at_id(tag, text)),
            b"EXT-X-DISCONTINUITY" => {
                current.discontinuity += 1;
                current.discontinuity_tags += 1;
                // Dates cannot be extrapolated across a discontinuity.
                current.date = None;
            }
            b"EXT-X-KEY" => current.add_key(tag, text),
            b"EXT-X-MAP" => current.set_map(text),
            b"EXT-X-BYTERANGE" => current.push_byte_range(tag),
            b"EXTINF" => {
                current.duration = number::parse_decimal(tag.value).unwrap_or_default();
                current.push_line(text);
            }
            b"EXT-X-PROGRAM-DATE-TIME" => {
                let date = std::str::from_utf8(tag.value).ok().and_then(|text| text.parse().ok());
                if date.is_some() {
                    (current.date, current.has_date_tag) = (date, true);
                }
                current.push_line(text);
            }
            // Unknown tags above the first segment may apply to the whole playlist; kept with the
            // first segment, they would move from segment to segment as the window advances.
            _ if self.segments.is_empty() && !is_segment_tag(tag.name) => self.push_header(text),
            _ => current.push_line(text),
        }
        Ok(())
    }

    fn push_header(&mut self, text: &str) {
        self.header.push_str(text);
        self.header.push('\n');
    }

    /// Stores EXT-X-SERVER-CONTROL without its CAN-SKIP attributes: delta updates count segments
    /// from the source's first number, not the published one.
    fn push_server_control(&mut self, tag: &Tag<'_>) {
        let attributes: Vec<String> = tag
            .attributes()
            .filter(|attribute| {
                !attribute.has_name("CAN-SKIP-UNTIL") && !attribute.has_name("CAN-SKIP-DATERANGES")
            })
            .map(|attribute| {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                format!("{}={}", text(attribute.name), text(attribute.value))
            })
            .collect();
        if !attributes.is_empty() {
            self.push_header(&format!("#EXT-X-SERVER-CONTROL:{}", attributes.join(",")));
        }
    }
}

impl TagState {
    fn push_line(&mut self, text: &str) {
        self.lines.push_str(text);
        self.lines.push('\n');
    }

    /// Sets the map and remembers the keys in force: a key applies to the maps after it, not to
    /// those before it.
    fn set_map(&mut self, text: &str) {
        text.clone_into(&mut self.map);
        self.map_key = self.keys.iter().map(|(line, _)| format!("{line}\n")).collect();
    }

    /// Adds a key. Consecutive EXT-X-KEY tags are one key in several formats and replace the
    /// earlier set.
    fn add_key(&mut self, tag: &Tag<'_>, text: &str) {
        if !self.is_key_group_open {
            self.keys.clear();
        }
        self.is_key_group_open = true;
        if tag.attribute("METHOD") == Some(b"NONE") {
            return;
        }
        let has_number_iv = has_sequence_number_iv(tag) && tag.attribute("IV").is_none();
        self.keys.push((text.to_owned(), has_number_iv));
    }

    /// Stores a byte range with an explicit offset: the segment before it, where a range without an
    /// offset begins, may lie outside the window.
    fn push_byte_range(&mut self, tag: &Tag<'_>) {
        let Some((length, offset)) = number::parse_byte_range(tag.value) else { return };
        let offset = offset.unwrap_or(self.range_end);
        self.range_end = offset.saturating_add(length);
        self.push_line(&format!("#EXT-X-BYTERANGE:{length}@{offset}"));
    }

    fn take_segment(&mut self, number: u64) -> Segment {
        let key = self.keys.iter().map(|(line, has_number_iv)| match has_number_iv {
            // The media sequence number changes with the splice, so the implicit IV is written out.
            true => format!("{line},IV=0x{number:032x}\n"),
            false => format!("{line}\n"),
        });
        let segment = Segment {
            number,
            discontinuity: self.discontinuity,
            tags: std::mem::take(&mut self.discontinuity_tags),
            duration: self.duration,
            date: self.date,
            dated: std::mem::take(&mut self.has_date_tag),
            key: key.collect(),
            map: self.map.clone(),
            map_key: (!self.map.is_empty()).then(|| self.map_key.clone()),
            lines: std::mem::take(&mut self.lines),
        };
        self.date = segment.end_time();
        self.is_key_group_open = false;
        self.duration = 0.0;
        segment
    }
}

/// Whether the media sequence number is the IV if the tag has none: with a key of the `identity`
/// format.
fn has_sequence_number_iv(tag: &Tag<'_>) -> bool {
    let format = tag.attribute("KEYFORMAT").unwrap_or(b"identity");
    let method = tag.attribute("METHOD").unwrap_or_default();
    format.eq_ignore_ascii_case(b"identity")
        && [&b"AES-128"[..], b"AES-256", b"SAMPLE-AES"].contains(&method)
}

fn is_segment_tag(name: &[u8]) -> bool {
    matches!(
        name,
        b"EXT-X-PART" | b"EXT-X-PRELOAD-HINT" | b"EXT-X-GAP" | b"EXT-X-BITRATE" | b"EXT-X-PREFETCH"
    ) || name.starts_with(b"EXT-X-CUE")
}

/// Splits an EXT-X-DATERANGE line at the start of its ID's value.
fn split_at_id(tag: &Tag<'_>, text: &str) -> Option<(String, String)> {
    let id = tag.attributes().filter(|attribute| attribute.has_name("ID")).last()?;
    let value = text.len() - tag.value.len();
    let (before, after) = text.split_at_checked(value + id.value_start - tag.value_start)?;
    Some((before.to_owned(), after.to_owned()))
}

impl Segment {
    /// The segment without its partial segments, which are no longer announced once another source
    /// plays.
    pub(super) fn without_parts(&self) -> Self {
        let is_part_tag = |line: &str| {
            line.starts_with("#EXT-X-PART:") || line.starts_with("#EXT-X-PRELOAD-HINT:")
        };
        let mut whole = self.clone();
        if self.lines.split('\n').any(is_part_tag) {
            let lines = self.lines.split_inclusive('\n');
            whole.lines = lines.filter(|line| !is_part_tag(line)).collect();
        }
        whole
    }

    /// Discontinuity sequence number before the segment's own tags.
    pub(super) fn discontinuity_before(&self) -> u64 {
        self.discontinuity.saturating_sub(self.tags)
    }

    /// Whether both segments have the same map and key, disregarding IVs that are the media
    /// sequence number.
    fn has_same_key_and_map(&self, other: &Self) -> bool {
        let key = |segment: &Self| -> String {
            let number_iv = format!(",IV=0x{:032x}\n", segment.number);
            segment.key.replace(&number_iv, "\n")
        };
        self.map == other.map && self.map_key == other.map_key && key(self) == key(other)
    }

    /// EXT-X-KEY lines of the map if they differ from the segment's own.
    pub(super) fn differing_map_key(&self) -> Option<&str> {
        let map_key = self.map_key.as_deref()?;
        // The segment's key may end in an explicit IV that the source did not write.
        let is_same = |(own, maps): (&str, &str)| {
            let added = own.strip_prefix(maps);
            added.is_some_and(|iv| iv.is_empty() || (iv.starts_with(",IV=0x") && iv.len() == 38))
        };
        let same_count = self.key.lines().count() == map_key.lines().count();
        let same = same_count && self.key.lines().zip(map_key.lines()).all(is_same);
        (!same).then_some(map_key)
    }

    /// Program date-time of the segment's end, if its start is known.
    pub fn end_time(&self) -> Option<Timestamp> {
        let seconds = jiff::SignedDuration::try_from_secs_f64(self.duration).ok()?;
        self.date?.checked_add(seconds).ok()
    }
}
