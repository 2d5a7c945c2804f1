//! Playlists of live streams: a segment every two seconds, the newest one a function of the clock.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::PLAYLIST_CONTENT_TYPE;
use crate::origin::TARGET_DURATION;
use crate::serve::RawResponse;

const WINDOW_SEGMENTS: u64 = 6;

/// Offset in milliseconds between two streams, so that not all of them advance at the same moment.
const STREAM_OFFSET_MS: u64 = 617;

pub(super) struct LiveStream {
    /// The number of the newest complete segment.
    newest_segment: u64,
}

impl LiveStream {
    pub(super) fn of_stream(stream: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::at_time(stream, now)
    }

    fn at_time(stream: u64, now: Duration) -> Self {
        let target = TARGET_DURATION.as_millis() as u64;
        let shifted = now.as_millis() as u64 + stream * STREAM_OFFSET_MS % target;
        Self { newest_segment: (shifted / target).saturating_sub(1) }
    }

    pub(super) fn playlist_response(&self) -> RawResponse {
        let first = self.newest_segment.saturating_sub(WINDOW_SEGMENTS - 1);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n",
            TARGET_DURATION.as_secs()
        );
        for number in first..=self.newest_segment {
            let _ = write!(text, "#EXTINF:{:.3},\n{number}.ts\n", TARGET_DURATION.as_secs_f64());
        }
        RawResponse::new("200 OK", PLAYLIST_CONTENT_TYPE, text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_segment_follows_the_clock() {
        for (stream, milliseconds, newest) in
            [(0, 20_000, 9), (0, 21_999, 9), (0, 22_000, 10), (1, 21_383, 10), (1, 21_382, 9)]
        {
            let live = LiveStream::at_time(stream, Duration::from_millis(milliseconds));
            assert_eq!(live.newest_segment, newest, "stream {stream} at {milliseconds}");
        }
        let text = LiveStream { newest_segment: 9 }.playlist_response().body;
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:4\n") && text.ends_with("\n9.ts\n"), "{text}");
    }
}
