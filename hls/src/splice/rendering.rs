//! Rendering of spliced segments as a playlist.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use memchr::memmem;

use super::segmented_playlist::{Segment, SegmentedPlaylist};
use super::window::{PlaylistWindow, listed_durations};
use super::{SequenceRegression, Splice};
use crate::limits::PlaylistLimits;
use crate::line::{self, Lines};
use crate::tag::{Key, PlaylistTag as P, TagKind as Kind};

impl Splice {
    /// Renders the playlist that is published while this source is the active one. `ended` adds
    /// `EXT-X-ENDLIST`: no source will add segments.
    ///
    /// # Errors
    /// [`SequenceRegression`] if the source's media sequence numbers went backwards.
    pub fn render(
        &self,
        playlist: &SegmentedPlaylist,
        window: PlaylistWindow,
        ended: bool,
    ) -> Result<String, SequenceRegression> {
        let segments = self.visible_segments(playlist)?;
        let target_duration = self.published_target_duration(playlist);
        Ok(self.render_segments(window.select(&segments, target_duration), playlist, ended))
    }

    /// Renders a playlist of the first source, shortened to `window` and with the discontinuities
    /// that it does not count itself. `None` if it can be published as it came. `published`: as in
    /// [`renumber_discontinuities`](Self::renumber_discontinuities).
    pub fn render_initial(
        &self,
        text: &[u8],
        published: &[Segment],
        window: PlaylistWindow,
        ended: bool,
    ) -> Option<String> {
        // A playlist that cannot be parsed is published whole, and so is a VOD playlist, which
        // never changes.
        let playlist = SegmentedPlaylist::parse(text).ok().filter(|playlist| !playlist.is_vod);
        let mut playlist = playlist?;
        let is_renumbered = self.renumber_discontinuities(&mut playlist, published);
        let is_uncounted = match playlist.has_discontinuity_sequence {
            true => is_renumbered,
            false => {
                let first = playlist.segments.first();
                first.is_some_and(|first| first.discontinuity_sequence_before() > 0)
            }
        };
        let target_duration = self.published_target_duration(&playlist);
        let segments = window.select(&playlist.segments, target_duration);
        (is_uncounted || segments.len() < playlist.segments.len())
            .then(|| self.render_segments(segments, &playlist, ended))
    }

    /// Target duration in seconds as published. The value of a source after the first does not
    /// count: [`Splice::target_duration`] covers it.
    fn published_target_duration(&self, playlist: &SegmentedPlaylist) -> u64 {
        match self.target_duration {
            fixed if fixed > 0 && !self.is_initial() => fixed,
            fixed => fixed.max(playlist.target_duration),
        }
    }

    fn render_segments<T: Borrow<Segment>>(
        &self,
        window: &[T],
        playlist: &SegmentedPlaylist,
        ended: bool,
    ) -> String {
        let mut text = String::from("#EXTM3U\n");
        let first: Option<&Segment> = window.first().map(Borrow::borrow);
        let number = first.map_or(self.from.published, |first| first.number);
        // EXT-X-DISCONTINUITY-SEQUENCE excludes the tags in front of the first segment, which are
        // written out.
        let discontinuity = first
            .map_or(self.discontinuity_sequence_before(), Segment::discontinuity_sequence_before);
        let version = self.version.max(playlist.version);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{number}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}\n",
            self.published_target_duration(playlist),
        );
        if self.independent && playlist.has_independent_segments {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        text.push_str(&playlist.header);
        // IDs of the first source are published unchanged; those of later sources get the splice
        // generation as a prefix, so that two sources with the same ID do not collide.
        let id_prefix =
            if self.is_initial() { String::new() } else { format!("{}-", self.generation) };
        for (before, after) in &playlist.date_ranges {
            let _ = writeln!(text, "{before}{id_prefix}{after}");
        }
        let mut previous: Option<&Segment> = None;
        for segment in window {
            let segment = segment.borrow();
            print_segment(segment, previous, &mut text);
            previous = Some(segment);
        }
        // Partial segments are published only once this source's segments are, because they would
        // seem to follow the last segment of an earlier source.
        if window.last().is_some_and(|last| last.borrow().number >= self.from.published) {
            text.push_str(&playlist.trailer);
        }
        if ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }
}

const DISCONTINUITY_SEQUENCE_TAG: &str = "#EXT-X-DISCONTINUITY-SEQUENCE";

/// Media sequence number of a playlist's first segment.
pub fn first_sequence_number(text: &[u8]) -> u64 {
    let number = line::tags_of(text).find_map(|tag| match tag.kind() {
        Kind::Playlist(P::MediaSequence(number)) => Some(number),
        _ => None,
    });
    number.unwrap_or(0)
}

/// Whether there is an EXT-X-DISCONTINUITY.
pub fn has_discontinuity(text: &[u8]) -> bool {
    let tags = memmem::find_iter(text, b"#EXT-X-DISCONTINUITY");
    tags.filter_map(|at| text.get(at..))
        .any(|tag| !tag.starts_with(DISCONTINUITY_SEQUENCE_TAG.as_bytes()))
}

/// Whether EXT-X-DISCONTINUITY-SEQUENCE counts the discontinuities of a playlist. `None`: it has
/// neither the tag nor a discontinuity.
pub fn has_discontinuity_sequence(text: &[u8]) -> Option<bool> {
    let tag = memmem::find(text, b"#EXT-X-DISCONTINUITY").and_then(|at| text.get(at..))?;
    Some(tag.starts_with(DISCONTINUITY_SEQUENCE_TAG.as_bytes()))
}

/// The newest segments of a live playlist, as its source writes them: at least those of the last
/// `max_duration`. A playlist may list hours that are never published, and to rewrite all of them
/// with every poll would take seconds. `None` if nothing can be left out.
pub fn cut_live_playlist(text: &[u8], max_duration: Duration) -> Option<String> {
    if listed_durations(text).iter().sum::<f64>() <= max_duration.as_secs_f64() {
        return None;
    }
    let playlist = SegmentedPlaylist::parse(text).ok()?;
    if playlist.has_ended || playlist.is_vod {
        return None;
    }
    let window = PlaylistWindow::MaxDuration(max_duration);
    let segments = window.select(&playlist.segments, playlist.target_duration);
    (segments.len() < playlist.segments.len()).then(|| {
        let unchanged = Splice::initial(String::new(), playlist.target_duration);
        let text = unchanged.render_segments(segments, &playlist, false);
        match playlist.has_discontinuity_sequence {
            true => text,
            // What the source does not count is left to `renumber_discontinuities`.
            false => {
                let is_kept = |line: &&str| !line.starts_with(DISCONTINUITY_SEQUENCE_TAG);
                text.split_inclusive('\n').filter(is_kept).collect()
            }
        }
    })
}

/// Seconds beyond which a segment may be taken for an error of its source.
const SEGMENT_MAX_SECS: f64 = 60.0;

/// The target duration of a media playlist in seconds: what it states, and at least what its segments
/// last (RFC 8216bis, 4.4.3.1). A segment of more than a minute that is said to last ten times what is
/// stated is an error of the source: with its length as target duration, players would hardly reload.
pub fn required_target_duration(text: &[u8]) -> u64 {
    let stated = line::tags_of(text).find_map(|tag| match tag.kind() {
        Kind::Playlist(P::TargetDuration(seconds)) => seconds,
        _ => None,
    });
    let stated = stated.unwrap_or_default().ceil();
    let limit = (10.0 * stated).max(SEGMENT_MAX_SECS);
    let rounded = listed_durations(text).into_iter().map(f64::round);
    rounded.filter(|seconds| *seconds <= limit).fold(stated, f64::max) as u64
}

/// Applies to a playlist that is otherwise published as it came what its source does not decide
/// alone: the target duration in seconds, which holds for all sources, and whether the stream has
/// ended. `None` if nothing changes.
pub fn override_playlist_tags(text: &[u8], target_duration: u64, ended: bool) -> Option<Vec<u8>> {
    // Replacements by the start of their lines.
    let mut edits = BTreeMap::new();
    let find = |name: &'static str| memmem::find_iter(text, name);
    for position in find("#EXT-X-TARGETDURATION").chain(find("#EXT-X-ENDLIST")) {
        let (before, _) = text.split_at(position);
        let start = memchr::memrchr2(b'\r', b'\n', before).map_or(0, |line_end| line_end + 1);
        let mut lines = Lines::new(text.split_at(start).1, PlaylistLimits::UNLIMITED);
        let Some(tag) = lines.next().and_then(|line| line.ok()?.tag()) else { continue };
        let replacement = match tag.kind() {
            Kind::Playlist(P::TargetDuration(seconds))
                if seconds.unwrap_or_default().ceil() < target_duration as f64 =>
            {
                format!("#EXT-X-TARGETDURATION:{target_duration}\n")
            }
            Kind::Playlist(P::EndList) if !ended => String::new(),
            _ => continue,
        };
        edits.insert(start, (start + lines.position(), replacement));
    }
    (!edits.is_empty()).then(|| {
        let mut out = text.to_vec();
        for (start, (end, replacement)) in edits.into_iter().rev() {
            out.splice(start..end, replacement.into_bytes());
        }
        out
    })
}

fn print_segment<'a>(segment: &'a Segment, previous: Option<&'a Segment>, out: &mut String) {
    for _ in 0..segment.tags {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    let restarts = previous.is_none() || segment.tags > 0;
    let mut key_in_force = previous.map_or("", |previous| &previous.key);
    // After a discontinuity key and map are repeated.
    let mut is_key_written = previous.is_none() || !restarts;
    // `METHOD=NONE` where a key ends without a successor of its format, because a player would
    // otherwise continue to decrypt with it (RFC 8216bis, 4.4.4.4).
    let mut apply_key = |key: &'a str, out: &mut String| {
        if !std::mem::replace(&mut is_key_written, true) || key_in_force != key {
            if key.is_empty() || has_key_format_without_successor(key_in_force, key) {
                out.push_str("#EXT-X-KEY:METHOD=NONE\n");
            }
            out.push_str(key);
            key_in_force = key;
        }
    };
    let is_declared =
        |previous: &Segment| previous.map == segment.map && previous.map_key == segment.map_key;
    if !segment.map.is_empty() && (restarts || !previous.is_some_and(is_declared)) {
        apply_key(segment.map_key_lines_if_different().unwrap_or(&segment.key), out);
        out.push_str(&segment.map);
        out.push('\n');
    }
    apply_key(&segment.key, out);
    if let Some(date) = segment.date.filter(|_| restarts && !segment.dated) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{date:.3}");
    }
    out.push_str(&segment.lines);
}

/// Whether a key format of `before` is not among those of `after`, both EXT-X-KEY lines.
fn has_key_format_without_successor(before: &str, after: &str) -> bool {
    fn key_formats_of(keys: &str) -> impl Iterator<Item = &[u8]> {
        line::tags_of(keys.as_bytes()).map(|tag| Key::parse(&tag).format)
    }
    (before.contains("KEYFORMAT") || after.contains("KEYFORMAT"))
        && key_formats_of(before)
            .any(|format| !key_formats_of(after).any(|other| other.eq_ignore_ascii_case(format)))
}
