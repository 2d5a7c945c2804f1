//! Playlist delta updates (RFC 8216bis, 4.4.5.2 and 6.2.5.1): a media playlist without the segments
//! that a player has from its last reload. They are what makes a playlist of hours cheap to reload.

use std::fmt::Write as _;
use std::time::Duration;

use memchr::memmem;

use crate::limits::PlaylistLimits;
use crate::line::{LineKind, Lines, Tag, tags_of};
use crate::segment_context::KeysInForce;
use crate::splice::listed_durations;
use crate::tag::{INF, Key, PlaylistTag as P, SegmentTag as S, TagKind as Kind};

/// Smallest skip boundary in target durations that the standard allows.
const SKIP_BOUNDARY_TARGET_DURATIONS: f64 = 6.0;
/// The version from which on players know EXT-X-SKIP.
const SKIP_VERSION: u64 = 9;

const SERVER_CONTROL: &[u8] = b"#EXT-X-SERVER-CONTROL";
const TARGET_DURATION: &[u8] = b"#EXT-X-TARGETDURATION";

/// Adds CAN-SKIP-UNTIL to a live media playlist of at least `min_duration`. `None` if it is shorter,
/// has ended, has no target duration or offers delta updates already.
pub fn offer_delta_updates(text: &[u8], min_duration: Duration) -> Option<Vec<u8>> {
    if listed_durations(text).iter().sum::<f64>() < min_duration.as_secs_f64() {
        return None;
    }
    let (target_start, target) = find_tag(text, TARGET_DURATION)?;
    let Kind::Playlist(P::TargetDuration(Some(seconds))) = target.kind() else { return None };
    if find_tag(text, b"#EXT-X-ENDLIST").is_some() {
        return None;
    }
    let offer = format!("CAN-SKIP-UNTIL={}", seconds.ceil() * SKIP_BOUNDARY_TARGET_DURATIONS);
    let (position, offer) = match find_tag(text, SERVER_CONTROL) {
        Some((_, control)) if control.find_attribute_value("CAN-SKIP-UNTIL").is_some() => {
            return None;
        }
        Some((_, control)) if control.value.is_empty() => return None,
        Some((start, control)) => (start + control.value_start, format!("{offer},")),
        None => (target_start, format!("#EXT-X-SERVER-CONTROL:{offer}\n")),
    };
    let (before, after) = text.split_at_checked(position)?;
    Some([before, offer.as_bytes(), after].concat())
}

/// The delta update of a media playlist that offers one (CAN-SKIP-UNTIL): what a player lacks that
/// has loaded the playlist less than half the skip boundary ago. Tags of the whole playlist stay,
/// date ranges too; key and map in force are repeated. `None` if nothing can be left out.
pub fn write_delta_update(text: &[u8]) -> Option<Vec<u8>> {
    let (_, control) = find_tag(text, SERVER_CONTROL)?;
    let boundary = control.decimal_attribute("CAN-SKIP-UNTIL")?;
    let (skipped, rest_start) = find_skipped(text, boundary)?;
    let (skipped_text, rest) = text.split_at_checked(rest_start)?;
    if has_relative_byte_range(rest) {
        return None;
    }
    let mut head = HeadOfDelta::default();
    for line in Lines::new(skipped_text, PlaylistLimits::UNLIMITED).flatten() {
        // In a long playlist these are most lines.
        if line.text.starts_with(INF) || !line.text.starts_with(b"#") {
            head.has_segments = true;
        } else if let LineKind::Tag(tag) = line.kind() {
            head.read_tag(&tag, line.text)?;
        }
    }
    Some([&head.finish(skipped), rest].concat())
}

/// Start and tag of the first line that is the tag `name`. Positions of the tag are relative to its
/// line.
fn find_tag<'a>(text: &'a [u8], name: &[u8]) -> Option<(usize, Tag<'a>)> {
    memmem::find_iter(text, name).find_map(|position| {
        let before = position.checked_sub(1)?;
        if !matches!(text.get(before), Some(b'\n' | b'\r')) {
            return None;
        }
        let tag = tags_of(text.get(position..)?).next()?;
        (Some(tag.name) == name.strip_prefix(b"#")).then_some((position, tag))
    })
}

/// How many segments are further from the end than `boundary` seconds, and where their lines end.
fn find_skipped(text: &[u8], boundary: f64) -> Option<(u64, usize)> {
    let mut segments: Vec<(f64, usize)> = Vec::new();
    let mut duration = 0.0;
    let mut lines = Lines::new(text, PlaylistLimits::UNLIMITED);
    while let Some(line) = lines.next() {
        let line = line.ok()?;
        if line.text.starts_with(INF) {
            let Kind::Segment(S::Inf(inf)) = line.tag()?.kind() else { continue };
            duration = inf.duration();
        } else if matches!(line.text.first(), Some(first) if *first != b'#') {
            segments.push((std::mem::take(&mut duration), lines.position()));
        }
    }
    let mut from_end = 0.0;
    let index = segments.iter().rposition(|(duration, _)| {
        let is_skipped = from_end >= boundary;
        from_end += duration;
        is_skipped
    })?;
    Some((index as u64 + 1, segments.get(index)?.1))
}

/// Whether the first segment is a byte range that begins where the one before it ended.
fn has_relative_byte_range(rest: &[u8]) -> bool {
    let lines = Lines::new(rest, PlaylistLimits::UNLIMITED).flatten();
    let mut tags = lines.take_while(|line| !matches!(line.kind(), LineKind::Uri));
    tags.any(|line| {
        let kind = line.tag().map(|tag| tag.kind());
        matches!(kind, Some(Kind::Segment(S::ByteRange(Some((_, None))))))
    })
}

/// What a delta update has of the text that it leaves out.
#[derive(Default)]
struct HeadOfDelta<'a> {
    has_segments: bool,
    version: u64,
    /// The tags of the whole playlist.
    lines: Vec<u8>,
    keys: KeysInForce<'a>,
    /// The EXT-X-MAP line in force, and the keys under which it was declared.
    map: Option<(&'a [u8], Vec<u8>)>,
}

impl<'a> HeadOfDelta<'a> {
    fn read_tag(&mut self, tag: &Tag<'a>, text: &'a [u8]) -> Option<()> {
        match tag.kind() {
            Kind::Multivariant(_) | Kind::Playlist(P::Skip(_)) => return None,
            Kind::Playlist(P::Header) => {}
            Kind::Playlist(P::Version(version)) => self.version = version,
            Kind::Segment(S::Key) => self.keys.observe_key(Key::parse(tag)),
            Kind::Segment(S::Map(_)) => self.map = Some((text, self.print_keys())),
            Kind::Segment(_) => {}
            // An unknown tag above the first segment may be one of the whole playlist.
            Kind::Unknown if self.has_segments => {}
            Kind::Playlist(_) | Kind::Unknown => push_line(&mut self.lines, text),
        }
        Some(())
    }

    fn print_keys(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for key in &self.keys.0 {
            lines.extend_from_slice(b"#EXT-X-KEY:");
            push_line(&mut lines, key.list);
        }
        lines
    }

    fn finish(self, skipped: u64) -> Vec<u8> {
        let keys = self.print_keys();
        let version = self.version.max(SKIP_VERSION);
        let mut head = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n").into_bytes();
        head.extend_from_slice(&self.lines);
        let mut skip = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(skip, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        head.extend_from_slice(skip.as_bytes());
        let mut written = Vec::new();
        if let Some((map, map_keys)) = self.map {
            head.extend_from_slice(&map_keys);
            push_line(&mut head, map);
            written = map_keys;
        }
        if written != keys {
            if !written.is_empty() {
                head.extend_from_slice(b"#EXT-X-KEY:METHOD=NONE\n");
            }
            head.extend_from_slice(&keys);
        }
        head
    }
}

fn push_line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
