//! A media playlist taken apart.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::line::{self, Content, Tag};
use crate::number;

/// A media playlist as its segments, and what is said of all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cut {
    pub version: u64,
    pub target_duration: u64,
    pub independent: bool,
    /// Nothing will be added.
    pub ended: bool,
    /// Nothing will change at all.
    pub fixed: bool,
    /// Of its first segment, also when there is none.
    pub first: u64,
    pub segments: Vec<Segment>,
    /// Tags that speak of the whole and hold for any window of it.
    pub(super) header: String,
    /// EXT-X-DATERANGE, each up to its ID and from there on: sources may use the same ones.
    pub(super) dates: Vec<(String, String)>,
    /// Parts of the segment that is not there yet, and hints.
    pub(super) trailer: String,
}

/// A segment with all that applies to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub number: u64,
    /// With its own tags counted.
    pub discontinuity: u64,
    /// How many EXT-X-DISCONTINUITY stand in front of it.
    pub tags: u64,
    pub duration: f64,
    /// When it began, told or worked out from those before it.
    pub date: Option<Timestamp>,
    /// Is the date among its lines?
    pub dated: bool,
    /// EXT-X-KEY lines that apply, none with the number for an IV; empty: it is clear.
    pub key: String,
    /// The EXT-X-MAP line that applies, if any.
    pub map: String,
    /// EXT-X-KEY lines under which the map was declared, as they came; empty: it is clear. `None`:
    /// there is no map, or whoever wrote this knew of no other keys than the segment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key: Option<String>,
    /// Everything else about it, from EXTINF to its URI.
    pub lines: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCut {
    #[error("it is no playlist")]
    NotAPlaylist,
    #[error("it is a delta")]
    Delta,
    #[error("it is a multivariant playlist")]
    Multivariant,
    #[error("it is not UTF-8")]
    NotText,
}

/// What has been said and applies from here on.
#[derive(Default)]
struct Current {
    key: Vec<(String, bool)>,
    /// The line before was a key as well, of the same set.
    key_open: bool,
    map: String,
    /// The keys that applied where the map was declared.
    map_key: String,
    lines: String,
    discontinuity: u64,
    tags: u64,
    duration: f64,
    date: Option<Timestamp>,
    dated: bool,
    /// Where the last range ended.
    range_end: u64,
}

impl Cut {
    pub fn of(text: &[u8]) -> Result<Self, NoCut> {
        let lines = line::open(text, &Limits::NONE).map_err(|_| NoCut::NotAPlaylist)?;
        let mut cut = Self { version: 1, ..Self::default() };
        let mut current = Current::default();
        for line in lines {
            let Ok(line) = line else { return Err(NoCut::NotAPlaylist) };
            let text = std::str::from_utf8(line.text).map_err(|_| NoCut::NotText)?;
            match line.content() {
                Content::Blank => {}
                Content::Comment => current.add(text),
                Content::Uri => {
                    current.add(text);
                    let number = cut.next();
                    cut.segments.push(current.segment(number));
                }
                Content::Tag(tag) => cut.tag(&tag, text, &mut current)?,
            }
        }
        // Parts behind a key, a map or a discontinuity of their own wait until their segment is
        // there, and has these with it.
        let (tags, next) = (current.tags, current.segment(0));
        let begins = Segment::default();
        if tags == 0 && cut.segments.last().unwrap_or(&begins).is_alike(&next) {
            cut.trailer = next.lines;
        }
        Ok(cut)
    }

    /// What was published, as others tell it.
    pub fn shown(segments: Vec<Segment>) -> Self {
        Self {
            first: segments.first().map_or(0, |first| first.number),
            segments,
            ..Self::default()
        }
    }

    /// The least target duration that its segments allow.
    pub fn longest(&self) -> u64 {
        let rounded = self.segments.iter().map(|segment| segment.duration.round() as u64);
        rounded.max().unwrap_or_default()
    }

    /// The number that the next segment will have.
    pub fn next(&self) -> u64 {
        self.first.saturating_add(self.segments.len() as u64)
    }

    fn tag(&mut self, tag: &Tag<'_>, text: &str, current: &mut Current) -> Result<(), NoCut> {
        let integer = || number::integer(tag.value).unwrap_or_default();
        if tag.name != b"EXT-X-KEY" {
            current.key_open = false;
        }
        match tag.name {
            b"EXT-X-SKIP" => return Err(NoCut::Delta),
            b"EXT-X-STREAM-INF" => return Err(NoCut::Multivariant),
            b"EXTM3U" => {}
            b"EXT-X-VERSION" => self.version = integer(),
            b"EXT-X-TARGETDURATION" => {
                let seconds = number::decimal(tag.value).unwrap_or_default();
                self.target_duration = seconds.ceil() as u64;
            }
            b"EXT-X-MEDIA-SEQUENCE" if self.segments.is_empty() => self.first = integer(),
            b"EXT-X-DISCONTINUITY-SEQUENCE" if self.segments.is_empty() => {
                current.discontinuity = integer() + current.tags;
            }
            // Of a source, not of the playlist that it becomes a part of.
            b"EXT-X-MEDIA-SEQUENCE" | b"EXT-X-DISCONTINUITY-SEQUENCE" => {}
            b"EXT-X-PLAYLIST-TYPE" => self.fixed = tag.value.trim_ascii() == b"VOD",
            b"EXT-X-START" | b"EXT-X-RENDITION-REPORT" => {}
            b"EXT-X-ENDLIST" => self.ended = true,
            b"EXT-X-INDEPENDENT-SEGMENTS" => self.independent = true,
            b"EXT-X-SERVER-CONTROL" => self.control(tag),
            b"EXT-X-PART-INF" | b"EXT-X-DEFINE" => self.header(text),
            b"EXT-X-DATERANGE" => self.dates.extend(around_id(tag, text)),
            b"EXT-X-DISCONTINUITY" => {
                current.discontinuity += 1;
                current.tags += 1;
                // No clock runs across it.
                current.date = None;
            }
            b"EXT-X-KEY" => current.key(tag, text),
            b"EXT-X-MAP" => current.map(text),
            b"EXT-X-BYTERANGE" => current.range(tag),
            b"EXTINF" => {
                current.duration = number::decimal(tag.value).unwrap_or_default();
                current.add(text);
            }
            b"EXT-X-PROGRAM-DATE-TIME" => {
                let told = std::str::from_utf8(tag.value).ok().and_then(|text| text.parse().ok());
                if told.is_some() {
                    (current.date, current.dated) = (told, true);
                }
                current.add(text);
            }
            // What stands above the first segment may be meant for the whole, and would move from
            // segment to segment as they leave.
            _ if self.segments.is_empty() && !of_a_segment(tag.name) => self.header(text),
            _ => current.add(text),
        }
        Ok(())
    }

    fn header(&mut self, text: &str) {
        self.header.push_str(text);
        self.header.push('\n');
    }

    /// Deltas count from a number that is not ours.
    fn control(&mut self, tag: &Tag<'_>) {
        let kept: Vec<String> = tag
            .attributes()
            .filter(|attribute| {
                !attribute.is("CAN-SKIP-UNTIL") && !attribute.is("CAN-SKIP-DATERANGES")
            })
            .map(|attribute| {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                format!("{}={}", text(attribute.name), text(attribute.value))
            })
            .collect();
        if !kept.is_empty() {
            self.header(&format!("#EXT-X-SERVER-CONTROL:{}", kept.join(",")));
        }
    }
}

impl Current {
    fn add(&mut self, text: &str) {
        self.lines.push_str(text);
        self.lines.push('\n');
    }

    /// A key applies to the maps that follow it, and never to one that stands before it.
    fn map(&mut self, text: &str) {
        text.clone_into(&mut self.map);
        self.map_key = self.key.iter().map(|(line, _)| format!("{line}\n")).collect();
    }

    /// Keys that stand together are one key in several formats.
    fn key(&mut self, tag: &Tag<'_>, text: &str) {
        if !self.key_open {
            self.key.clear();
        }
        self.key_open = true;
        if tag.attribute("METHOD") == Some(b"NONE") {
            return;
        }
        let numbered = takes_number_as_iv(tag) && tag.attribute("IV").is_none();
        self.key.push((text.to_owned(), numbered));
    }

    /// One without an offset begins where the segment before it ended, which may not be shown.
    fn range(&mut self, tag: &Tag<'_>) {
        let Some((length, offset)) = number::byte_range(tag.value) else { return };
        let offset = offset.unwrap_or(self.range_end);
        self.range_end = offset.saturating_add(length);
        self.add(&format!("#EXT-X-BYTERANGE:{length}@{offset}"));
    }

    fn segment(&mut self, number: u64) -> Segment {
        let key = self.key.iter().map(|(line, numbered)| match numbered {
            // As the number changes with the source, it is said.
            true => format!("{line},IV=0x{number:032x}\n"),
            false => format!("{line}\n"),
        });
        let segment = Segment {
            number,
            discontinuity: self.discontinuity,
            tags: std::mem::take(&mut self.tags),
            duration: self.duration,
            date: self.date,
            dated: std::mem::take(&mut self.dated),
            key: key.collect(),
            map: self.map.clone(),
            map_key: (!self.map.is_empty()).then(|| self.map_key.clone()),
            lines: std::mem::take(&mut self.lines),
        };
        self.date = segment.end();
        self.key_open = false;
        self.duration = 0.0;
        segment
    }
}

/// The media sequence number is the IV of what is encrypted with a key of the `identity` format.
fn takes_number_as_iv(tag: &Tag<'_>) -> bool {
    let format = tag.attribute("KEYFORMAT").unwrap_or(b"identity");
    let method = tag.attribute("METHOD").unwrap_or_default();
    format.eq_ignore_ascii_case(b"identity")
        && [&b"AES-128"[..], b"AES-256", b"SAMPLE-AES"].contains(&method)
}

fn of_a_segment(name: &[u8]) -> bool {
    matches!(
        name,
        b"EXT-X-PART" | b"EXT-X-PRELOAD-HINT" | b"EXT-X-GAP" | b"EXT-X-BITRATE" | b"EXT-X-PREFETCH"
    ) || name.starts_with(b"EXT-X-CUE")
}

/// A line up to the value of its ID, and from there on.
fn around_id(tag: &Tag<'_>, text: &str) -> Option<(String, String)> {
    let id = tag.attributes().filter(|attribute| attribute.is("ID")).last()?;
    let value = text.len() - tag.value.len();
    let (before, after) = text.split_at_checked(value + id.value_start - tag.start)?;
    Some((before.to_owned(), after.to_owned()))
}

impl Segment {
    /// Without the parts that it came in, which are those of a source that plays no more.
    pub(super) fn whole(&self) -> Self {
        let is_of_a_part = |line: &str| {
            line.starts_with("#EXT-X-PART:") || line.starts_with("#EXT-X-PRELOAD-HINT:")
        };
        let mut whole = self.clone();
        if self.lines.split('\n').any(is_of_a_part) {
            let lines = self.lines.split_inclusive('\n');
            whole.lines = lines.filter(|line| !is_of_a_part(line)).collect();
        }
        whole
    }

    /// The discontinuity number in front of its own tags.
    pub(super) fn before(&self) -> u64 {
        self.discontinuity.saturating_sub(self.tags)
    }

    /// Is it decrypted with the same key, and decoded with the same map? Where the number is the
    /// IV, that differs.
    fn is_alike(&self, other: &Self) -> bool {
        let key = |segment: &Self| -> String {
            let numbered = format!(",IV=0x{:032x}\n", segment.number);
            segment.key.replace(&numbered, "\n")
        };
        self.map == other.map && self.map_key == other.map_key && key(self) == key(other)
    }

    /// The keys under which its map is to be declared, where these are others than its own.
    pub(super) fn other_map_key(&self) -> Option<&str> {
        let map_key = self.map_key.as_deref()?;
        // Its own may have the number for an IV, which was not written at the source.
        let is_same = |(own, maps): (&str, &str)| {
            let added = own.strip_prefix(maps);
            added.is_some_and(|iv| iv.is_empty() || (iv.starts_with(",IV=0x") && iv.len() == 38))
        };
        let same_count = self.key.lines().count() == map_key.lines().count();
        let same = same_count && self.key.lines().zip(map_key.lines()).all(is_same);
        (!same).then_some(map_key)
    }

    /// When it ends, where that is known.
    pub fn end(&self) -> Option<Timestamp> {
        let seconds = jiff::SignedDuration::try_from_secs_f64(self.duration).ok()?;
        self.date?.checked_add(seconds).ok()
    }
}
