//! Rendering of spliced segments as a playlist.

use std::fmt::Write as _;

use super::segmented_playlist::{Segment, SegmentedPlaylist};
use super::window::PlaylistWindow;
use super::{SequenceRegression, Splice};
use crate::number;

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

    /// Renders a playlist of the first source, shortened to `window`. `None` if the window holds
    /// all of it and it can be published as it came.
    pub fn render_shortened(
        &self,
        text: &[u8],
        window: PlaylistWindow,
        ended: bool,
    ) -> Option<String> {
        // A playlist that cannot be parsed is published whole, and so is a VOD playlist, which
        // never changes.
        let playlist = SegmentedPlaylist::parse(text).ok().filter(|playlist| !playlist.is_vod)?;
        let target_duration = self.published_target_duration(&playlist);
        let segments = window.select(&playlist.segments, target_duration);
        (segments.len() < playlist.segments.len())
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

    fn render_segments(
        &self,
        window: &[Segment],
        playlist: &SegmentedPlaylist,
        ended: bool,
    ) -> String {
        let mut text = String::from("#EXTM3U\n");
        let first = window.first();
        let number = first.map_or(self.from.published, |first| first.number);
        // EXT-X-DISCONTINUITY-SEQUENCE excludes the tags in front of the first segment, which are
        // written out.
        let discontinuity =
            first.map_or(self.discontinuity_before(), Segment::discontinuity_before);
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
            print_segment(segment, previous, &mut text);
            previous = Some(segment);
        }
        // Partial segments are published only once this source's segments are, because they would
        // seem to follow the last segment of an earlier source.
        if window.last().is_some_and(|last| last.number >= self.from.published) {
            text.push_str(&playlist.trailer);
        }
        if ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }
}

/// Applies to a playlist that is otherwise published as it came what its source does not decide
/// alone: the target duration in seconds, which holds for all sources, and whether the stream has
/// ended. `None` if nothing changes.
pub fn override_playlist_tags(text: &[u8], target_duration: u64, ended: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let content = line.trim_ascii();
        if let Some(value) = content.strip_prefix(b"#EXT-X-TARGETDURATION:") {
            let source_duration = number::parse_decimal(value).unwrap_or_default();
            if source_duration.ceil() < target_duration as f64 {
                out.extend_from_slice(
                    format!("#EXT-X-TARGETDURATION:{target_duration}\n").as_bytes(),
                );
                changed = true;
                continue;
            }
        }
        if content == b"#EXT-X-ENDLIST" && !ended {
            changed = true;
            continue;
        }
        out.extend_from_slice(line);
    }
    changed.then_some(out)
}

fn print_segment(segment: &Segment, previous: Option<&Segment>, out: &mut String) {
    for _ in 0..segment.tags {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    let restarts = previous.is_none() || segment.tags > 0;
    let mut keys = KeyState {
        in_force: match previous {
            None => Some(""),
            // After a discontinuity key and map are repeated.
            Some(_) if restarts => None,
            Some(previous) => Some(&previous.key),
        },
    };
    let is_declared =
        |previous: &Segment| previous.map == segment.map && previous.map_key == segment.map_key;
    if !segment.map.is_empty() && (restarts || !previous.is_some_and(is_declared)) {
        keys.apply_key(segment.differing_map_key().unwrap_or(&segment.key), out);
        out.push_str(&segment.map);
        out.push('\n');
    }
    keys.apply_key(&segment.key, out);
    if let Some(date) = segment.date.filter(|_| restarts && !segment.dated) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{date:.3}");
    }
    out.push_str(&segment.lines);
}

/// The EXT-X-KEY lines in force at the end of the text written so far; `None` forces them to be
/// written again.
struct KeyState<'a> {
    in_force: Option<&'a str>,
}

impl<'a> KeyState<'a> {
    /// Writes `key` if it differs from the key in force; `METHOD=NONE` for clear segments, because
    /// a player would otherwise continue to decrypt with the last key (RFC 8216bis, 4.4.4.4).
    fn apply_key(&mut self, key: &'a str, out: &mut String) {
        if self.in_force != Some(key) {
            out.push_str(if key.is_empty() { "#EXT-X-KEY:METHOD=NONE\n" } else { key });
        }
        self.in_force = Some(key);
    }
}
