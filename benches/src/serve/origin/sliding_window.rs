//! Playlists that advance by one segment at each request.

use std::collections::HashMap;

use bytes::Bytes;
use pitwall_benches::{append_window_lines, window_header};

use super::PLAYLIST_CONTENT_TYPE;
use crate::serve::RawResponse;

/// Number of requests after which a window restarts at its first segment.
const WINDOW_STEPS: usize = 30_000;

const WINDOW_MAX_SEGMENTS: usize = 2_000;

/// The lines of all segments, of which every window is a slice, and the position of each window.
pub(super) struct SlidingWindows {
    lines: Bytes,
    line_bytes: usize,
    /// Number of requests per path and query.
    steps_by_path: HashMap<String, usize>,
}

impl Default for SlidingWindows {
    fn default() -> Self {
        let mut text = String::new();
        append_window_lines(0, WINDOW_STEPS + WINDOW_MAX_SEGMENTS, &mut text);
        let line_bytes = text.len() / (WINDOW_STEPS + WINDOW_MAX_SEGMENTS);
        Self { lines: text.into(), line_bytes, steps_by_path: HashMap::new() }
    }
}

impl SlidingWindows {
    /// The next playlist of `{length}.m3u8?...`; every query has its own window.
    pub(super) fn next_playlist(&mut self, path: &str) -> Option<RawResponse> {
        let length: usize = path.split('.').next()?.parse().ok()?;
        if length > WINDOW_MAX_SEGMENTS {
            return None;
        }
        let step = self.steps_by_path.entry(path.to_owned()).or_default();
        let first = *step % WINDOW_STEPS;
        *step += 1;
        let lines = self.lines.slice(first * self.line_bytes..(first + length) * self.line_bytes);
        Some(RawResponse::from_pieces(PLAYLIST_CONTENT_TYPE, &window_header(first), lines))
    }
}

#[cfg(test)]
mod tests {
    use pitwall_benches::window_playlist;

    use super::*;

    #[test]
    fn each_query_has_its_own_window() {
        let mut windows = SlidingWindows::default();
        for (path, first) in [("6.m3u8?a", 0), ("6.m3u8?a", 1), ("6.m3u8?b", 0), ("6.m3u8?a", 2)] {
            let response = windows.next_playlist(path).unwrap();
            let text = [response.head.as_ref(), response.body.as_ref()].concat();
            assert!(text.ends_with(window_playlist(first, 6).as_bytes()), "{path} {first}");
        }
        assert!(windows.next_playlist("2001.m3u8").is_none());
        assert!(windows.next_playlist("x.m3u8").is_none());
    }
}
