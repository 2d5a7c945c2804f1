//! Playlists that move one segment further each time they are asked for.

use std::collections::HashMap;

use bytes::Bytes;
use pitwall_benches::{window_head, window_lines};

use super::PLAYLIST;
use crate::serve::Answer;

/// Steps before a window begins again at its first segment.
const STEPS: usize = 30_000;

const LONGEST: usize = 2_000;

/// Every line that any window has, so that a window is a piece of it.
pub(super) struct Windows {
    lines: Bytes,
    line: usize,
    /// How far each path has come.
    steps: HashMap<String, usize>,
}

impl Default for Windows {
    fn default() -> Self {
        let mut text = String::new();
        window_lines(0, STEPS + LONGEST, &mut text);
        let line = text.len() / (STEPS + LONGEST);
        Self { lines: text.into(), line, steps: HashMap::new() }
    }
}

impl Windows {
    /// `{length}.m3u8?...`: whoever asks under another query has a window of their own.
    pub(super) fn next(&mut self, path: &str) -> Option<Answer> {
        let length: usize = path.split('.').next()?.parse().ok()?;
        if length > LONGEST {
            return None;
        }
        let step = self.steps.entry(path.to_owned()).or_default();
        let first = *step % STEPS;
        *step += 1;
        let lines = self.lines.slice(first * self.line..(first + length) * self.line);
        Some(Answer::pieces(PLAYLIST, &window_head(first), lines))
    }
}

#[cfg(test)]
mod tests {
    use pitwall_benches::window;

    use super::*;

    #[test]
    fn a_window_moves_for_each_who_asks() {
        let mut windows = Windows::default();
        for (path, first) in [("6.m3u8?a", 0), ("6.m3u8?a", 1), ("6.m3u8?b", 0), ("6.m3u8?a", 2)] {
            let answer = windows.next(path).unwrap();
            let text = [answer.head.as_ref(), answer.body.as_ref()].concat();
            assert!(text.ends_with(window(first, 6).as_bytes()), "{path} {first}");
        }
        assert!(windows.next("2001.m3u8").is_none());
        assert!(windows.next("x.m3u8").is_none());
    }
}
