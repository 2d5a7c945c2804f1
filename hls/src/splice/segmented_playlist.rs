//! A media playlist parsed into self-contained segments.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attribute::Attribute;
use crate::delivery::DeliveryOffer;
use crate::limits::PlaylistLimits;
use crate::line::{self, LineKind, Tag};
use crate::segment_context::{KeysInForce, PendingSegmentTags, SegmentTags};
use crate::tag::{
    Key, MultivariantTag as M, PlaylistTag as P, PlaylistType, SegmentTag as S, TagKind as Kind,
};

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
    /// Whether EXT-X-DISCONTINUITY-SEQUENCE counts the tags that are no longer in the playlist.
    pub has_discontinuity_sequence: bool,
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
    #[error("no media sequence number can follow its last one")]
    NumbersExhausted,
}

/// Reads the lines of a playlist into its segments.
#[derive(Default)]
struct PlaylistReader<'a> {
    playlist: SegmentedPlaylist,
    next: PendingSegmentTags<'a>,
    keys: KeysInForce<'a>,
    /// Program date-time of the last segment's end, if its start is known.
    end_of_last: Option<Timestamp>,
    /// The EXT-X-MAP line in force, and the EXT-X-KEY lines under which it was declared.
    map: String,
    map_key: Option<String>,
    lines: String,
    /// Whether a segment was read, also one that is left out.
    has_segments: bool,
}

impl SegmentedPlaylist {
    /// Parses a media playlist without limits on its size.
    ///
    /// # Errors
    /// [`ParseError`] if the text is no playlist, not UTF-8, multivariant, or a delta update, or if
    /// its numbers end where no other can follow: the next segment would have the last one's.
    pub fn parse(text: &[u8]) -> Result<Self, ParseError> {
        Self::parse_from_number(text, 0)
    }

    /// Parses a media playlist, and leaves out all segments but the newest `count`: of a playlist of
    /// hours, the older ones would take megabytes with every poll.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_newest(text: &[u8], count: u64) -> Result<Self, ParseError> {
        let next = DeliveryOffer::read(text).next_number;
        Self::parse_from_number(text, next.saturating_sub(count))
    }

    /// Parses a media playlist, and leaves out the segments below the media sequence number
    /// `first`. The others have the tags that apply to them, wherever these stand.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_from_number(text: &[u8], first: u64) -> Result<Self, ParseError> {
        let lines = line::parse_lines(text, &PlaylistLimits::UNLIMITED)
            .map_err(|_| ParseError::NotAPlaylist)?;
        let mut reader = PlaylistReader::default();
        reader.playlist.version = 1;
        for line in lines {
            let Ok(line) = line else { return Err(ParseError::NotAPlaylist) };
            let text = std::str::from_utf8(line.text).map_err(|_| ParseError::NotUtf8)?;
            match line.kind() {
                LineKind::Blank => {}
                LineKind::Comment => push_line(&mut reader.lines, text),
                LineKind::Uri if reader.next.tags.number < first => reader.leave_segment_out(),
                LineKind::Uri => {
                    push_line(&mut reader.lines, text);
                    let segment = reader.take_segment();
                    reader.playlist.segments.push(segment);
                }
                LineKind::Tag(tag) => reader.read_tag(&tag, text)?,
            }
        }
        let playlist = reader.finish();
        match playlist.first_number.checked_add(playlist.segments.len() as u64) {
            Some(_) => Ok(playlist),
            None => Err(ParseError::NumbersExhausted),
        }
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
}

impl<'a> PlaylistReader<'a> {
    fn read_tag(&mut self, tag: &Tag<'a>, text: &str) -> Result<(), ParseError> {
        let kind = tag.kind();
        self.next.observe_tag(&kind);
        let playlist = &mut self.playlist;
        match kind {
            Kind::Segment(S::Key) => self.keys.observe_key(Key::parse(tag)),
            // A key applies to the maps after it, not to those before it.
            Kind::Segment(S::Map(_)) => {
                text.clone_into(&mut self.map);
                self.map_key = Some(print_keys(&self.keys, None));
            }
            // The offset is written out: the segment before, where a range without one begins, may
            // lie outside the window.
            Kind::Segment(S::ByteRange(_)) => {
                if let Some((length, offset)) = self.next.byte_range_of(ONE_RESOURCE) {
                    push_line(&mut self.lines, &format!("#EXT-X-BYTERANGE:{length}@{offset}"));
                }
            }
            // Those of all sources are counted and printed again.
            Kind::Segment(S::Discontinuity) => {}
            Kind::Segment(
                S::Inf(_) | S::ProgramDateTime(_) | S::Gap | S::Part | S::PreloadHint | S::Prefetch,
            )
            | Kind::Segment(S::Bitrate | S::Tiles | S::Cue) => push_line(&mut self.lines, text),
            Kind::Multivariant(M::StreamInf) => return Err(ParseError::Multivariant),
            Kind::Playlist(P::Skip(_)) => return Err(ParseError::DeltaUpdate),
            Kind::Playlist(P::Version(version)) => playlist.version = version,
            Kind::Playlist(P::TargetDuration(seconds)) => {
                playlist.target_duration = seconds.unwrap_or_default().ceil() as u64;
            }
            Kind::Playlist(P::PlaylistType(of)) => playlist.is_vod = of == Some(PlaylistType::Vod),
            Kind::Playlist(P::EndList) => playlist.has_ended = true,
            Kind::Playlist(P::IndependentSegments) => playlist.has_independent_segments = true,
            Kind::Playlist(P::ServerControl) => playlist.push_server_control(tag),
            Kind::Playlist(P::DateRange) => {
                playlist.date_ranges.extend(split_date_range_at_id(tag, text))
            }
            Kind::Playlist(P::PartInf(_) | P::Define | P::IFramesOnly) => {
                push_line(&mut playlist.header, text);
            }
            // What the spliced playlist has of its own, or must not have.
            Kind::Playlist(P::DiscontinuitySequence(_)) => {
                playlist.has_discontinuity_sequence = true;
            }
            Kind::Playlist(P::Header | P::MediaSequence(_)) => {}
            Kind::Playlist(P::Start | P::RenditionReport) => {}
            // Unknown tags above the first segment may apply to the whole playlist; kept with the
            // first segment, they would move from segment to segment as the window advances.
            Kind::Multivariant(_) | Kind::Unknown => match self.has_segments {
                false => push_line(&mut playlist.header, text),
                true => push_line(&mut self.lines, text),
            },
        }
        Ok(())
    }

    /// The tags of the next segment, and its program date-time as written.
    fn take_tags(&mut self) -> (SegmentTags<'a>, Option<Timestamp>) {
        self.has_segments = true;
        let tags = self.next.take_segment_tags(ONE_RESOURCE);
        let written = tags.date.and_then(|date| std::str::from_utf8(date).ok()?.parse().ok());
        // A date cannot be computed across a discontinuity, where another clock may begin.
        if tags.discontinuity_tags > 0 {
            self.end_of_last = None;
        }
        (tags, written)
    }

    fn leave_segment_out(&mut self) {
        let (tags, written) = self.take_tags();
        let duration = tags.inf.map_or(0.0, |inf| inf.duration());
        self.end_of_last = end_time(written.or(self.end_of_last), duration);
        self.lines.clear();
    }

    fn take_segment(&mut self) -> Segment {
        let (tags, written) = self.take_tags();
        let segment = Segment {
            number: tags.number,
            discontinuity: tags.discontinuity,
            tags: tags.discontinuity_tags,
            duration: tags.inf.map_or(0.0, |inf| inf.duration()),
            date: written.or(self.end_of_last),
            dated: written.is_some(),
            key: print_keys(&self.keys, Some(tags.number)),
            map: self.map.clone(),
            map_key: self.map_key.clone(),
            lines: std::mem::take(&mut self.lines),
        };
        self.end_of_last = segment.end_time();
        segment
    }

    fn finish(mut self) -> SegmentedPlaylist {
        let next = self.take_segment();
        let mut playlist = self.playlist;
        playlist.first_number = playlist.segments.first().map_or(next.number, |one| one.number);
        let default_segment = Segment::default();
        let last = playlist.segments.last().unwrap_or(&default_segment);
        let has_same_key = last.key == print_keys(&self.keys, Some(last.number));
        let has_same_map = (&last.map, &last.map_key) == (&next.map, &next.map_key);
        // Partial segments after a key, map or discontinuity of their own are withheld until their
        // segment is complete and carries those tags.
        if next.tags == 0 && has_same_key && has_same_map {
            playlist.trailer = next.lines;
        }
        playlist
    }
}

/// The resource of all byte ranges: every segment has a link of its own, so links do not tell
/// whether two segments are ranges of one resource.
const ONE_RESOURCE: &[u8] = b"";

fn push_line(lines: &mut String, text: &str) {
    lines.reserve(text.len() + 1);
    lines.push_str(text);
    lines.push('\n');
}

/// The EXT-X-KEY lines. With the `number` of a segment, an IV that the number was is written out,
/// because the splice changes the number.
fn print_keys(keys: &KeysInForce<'_>, number: Option<u64>) -> String {
    let mut lines = String::new();
    for key in &keys.0 {
        lines.push_str("#EXT-X-KEY:");
        lines.push_str(&String::from_utf8_lossy(key.list));
        if let Some(number) = number.filter(|_| key.has_sequence_number_iv()) {
            // Writing to a string cannot fail.
            let _ = write!(lines, ",IV=0x{number:032x}");
        }
        lines.push('\n');
    }
    lines
}

impl SegmentedPlaylist {
    /// Stores EXT-X-SERVER-CONTROL without its CAN-SKIP attributes: delta updates count segments
    /// from the source's first number, not the published one.
    fn push_server_control(&mut self, tag: &Tag<'_>) {
        let is_kept = |attribute: &Attribute<'_>| {
            !attribute.has_name("CAN-SKIP-UNTIL") && !attribute.has_name("CAN-SKIP-DATERANGES")
        };
        let text = String::from_utf8_lossy;
        let print = |one: Attribute<'_>| format!("{}={}", text(one.name), text(one.value));
        let attributes: Vec<String> = tag.attributes().filter(is_kept).map(print).collect();
        if !attributes.is_empty() {
            let text = format!("#EXT-X-SERVER-CONTROL:{}", attributes.join(","));
            push_line(&mut self.header, &text);
        }
    }
}

fn has_tag(lines: &str, is_wanted: impl Fn(S<'_>) -> bool) -> bool {
    line::tags_of(lines.as_bytes())
        .any(|tag| matches!(tag.kind(), Kind::Segment(tag) if is_wanted(tag)))
}

/// Splits an EXT-X-DATERANGE line at the start of its ID's value.
fn split_date_range_at_id(tag: &Tag<'_>, text: &str) -> Option<(String, String)> {
    let id = tag.find_attribute("ID")?;
    let value = text.len() - tag.value.len();
    let (before, after) = text.split_at_checked(value + id.value_start - tag.value_start)?;
    Some((before.to_owned(), after.to_owned()))
}

impl Segment {
    /// The segment without its partial segments, which are no longer announced once another source
    /// plays.
    pub(super) fn without_parts(&self) -> Cow<'_, Self> {
        let is_part = |tag: S<'_>| matches!(tag, S::Part | S::PreloadHint);
        // Most segments have none, and there may be thousands.
        if !["#EXT-X-PART", "#EXT-X-PRELOAD"].iter().any(|name| self.lines.contains(name)) {
            return Cow::Borrowed(self);
        }
        let lines = self.lines.split_inclusive('\n').filter(|line| !has_tag(line, is_part));
        Cow::Owned(Self { lines: lines.collect(), ..self.clone() })
    }

    /// EXT-X-GAP: the segment is missing and players do not load it.
    pub(crate) fn is_gap(&self) -> bool {
        has_tag(&self.lines, |tag| matches!(tag, S::Gap))
    }

    /// Discontinuity sequence number before the segment's own tags.
    pub(super) fn discontinuity_sequence_before(&self) -> u64 {
        self.discontinuity.saturating_sub(self.tags)
    }

    /// EXT-X-KEY lines of the map if they differ from the segment's own.
    pub(super) fn map_key_lines_if_different(&self) -> Option<&str> {
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
        end_time(self.date, self.duration)
    }
}

/// When a segment of `duration` seconds ends that starts at `date`.
fn end_time(date: Option<Timestamp>, duration: f64) -> Option<Timestamp> {
    let duration = jiff::SignedDuration::try_from_secs_f64(duration).ok()?;
    date?.checked_add(duration).ok()
}
