//! The parts put together again.

use std::fmt::Write as _;

use super::cut::{Cut, Segment};
use super::window::Window;
use super::{Regressed, Splice};
use crate::number;

impl Splice {
    /// The playlist that is published while this source is the one that plays. `ended`: nothing
    /// will follow, from no source.
    pub fn print(&self, cut: &Cut, window: Window, ended: bool) -> Result<String, Regressed> {
        let all = self.window(cut)?;
        let target_duration = self.target_duration(cut);
        Ok(self.print_shown(window.of(&all, target_duration), cut, ended))
    }

    /// A playlist of the first source, which is published as it comes as long as all of it is
    /// shown. `None`: it may stay.
    pub fn shortened(&self, text: &[u8], window: Window, ended: bool) -> Option<String> {
        // What cannot be cut stays whole, and so does what says that it never changes.
        let cut = Cut::of(text).ok().filter(|cut| !cut.fixed)?;
        let target_duration = self.target_duration(&cut);
        let shown = window.of(&cut.segments, target_duration);
        (shown.len() < cut.segments.len()).then(|| self.print_shown(shown, &cut, ended))
    }

    /// What a later source claims for itself does not count: its segments are no longer.
    fn target_duration(&self, cut: &Cut) -> u64 {
        match self.target_duration {
            told if told > 0 && !self.is_plain() => told,
            told => told.max(cut.target_duration),
        }
    }

    fn print_shown(&self, window: &[Segment], cut: &Cut, ended: bool) -> String {
        let mut text = String::from("#EXTM3U\n");
        let head = window.first();
        let number = head.map_or(self.from.published, |head| head.number);
        // Those in front of the first one are counted by their tags.
        let discontinuity = head.map_or(self.before(), Segment::before);
        let version = self.version.max(cut.version);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{number}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}\n",
            self.target_duration(cut),
        );
        if self.independent && cut.independent {
            text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        text.push_str(&cut.header);
        // The first source has used its own ids.
        let mark = if self.is_plain() { String::new() } else { format!("{}-", self.generation) };
        for (before, after) in &cut.dates {
            let _ = writeln!(text, "{before}{mark}{after}");
        }
        let mut before: Option<&Segment> = None;
        for segment in window {
            print(segment, before, &mut text);
            before = Some(segment);
        }
        // Parts of what does not follow yet would seem to follow what is shown.
        if window.last().is_some_and(|last| last.number >= self.from.published) {
            text.push_str(&cut.trailer);
        }
        if ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }
}

/// A playlist that is published as it came, but for what its source does not decide alone: its
/// target duration, which holds for all sources, and whether it has ended. `None`: it may stay.
pub fn tailored(text: &[u8], target_duration: u64, ended: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut tailored = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let content = line.trim_ascii();
        if let Some(value) = content.strip_prefix(b"#EXT-X-TARGETDURATION:") {
            let own = number::decimal(value).unwrap_or_default();
            if own.ceil() < target_duration as f64 {
                out.extend_from_slice(
                    format!("#EXT-X-TARGETDURATION:{target_duration}\n").as_bytes(),
                );
                tailored = true;
                continue;
            }
        }
        if content == b"#EXT-X-ENDLIST" && !ended {
            tailored = true;
            continue;
        }
        out.extend_from_slice(line);
    }
    tailored.then_some(out)
}

fn print(segment: &Segment, before: Option<&Segment>, out: &mut String) {
    for _ in 0..segment.tags {
        out.push_str("#EXT-X-DISCONTINUITY\n");
    }
    let anew = before.is_none() || segment.tags > 0;
    let mut keys = KeyState {
        in_force: match before {
            None => Some(""),
            // All is said again behind a discontinuity.
            Some(_) if anew => None,
            Some(before) => Some(&before.key),
        },
    };
    let is_declared =
        |before: &Segment| before.map == segment.map && before.map_key == segment.map_key;
    if !segment.map.is_empty() && (anew || !before.is_some_and(is_declared)) {
        keys.set(segment.other_map_key().unwrap_or(&segment.key), out);
        out.push_str(&segment.map);
        out.push('\n');
    }
    keys.set(&segment.key, out);
    if let Some(date) = segment.date.filter(|_| anew && !segment.dated) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{date:.3}");
    }
    out.push_str(&segment.lines);
}

/// The EXT-X-KEY lines that apply where a playlist has been written up to; `None`: they are to be
/// said again, whatever they are.
struct KeyState<'a> {
    in_force: Option<&'a str>,
}

impl<'a> KeyState<'a> {
    /// A player goes on decrypting with the last key until it is told of another, or of none.
    fn set(&mut self, key: &'a str, out: &mut String) {
        if self.in_force != Some(key) {
            out.push_str(if key.is_empty() { "#EXT-X-KEY:METHOD=NONE\n" } else { key });
        }
        self.in_force = Some(key);
    }
}
