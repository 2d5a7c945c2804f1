//! Live streams: a segment every two seconds, and which is the newest is a function of the clock.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::PLAYLIST;
use crate::serve::Answer;

/// Of a segment.
pub(crate) const TARGET: Duration = Duration::from_secs(2);

const WINDOW: u64 = 6;

/// Streams do not all step at the same moment.
const APART: u64 = 617;

pub(super) struct Live {
    /// The newest segment that is complete.
    newest: u64,
}

impl Live {
    pub(super) fn of(stream: u64) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::at(stream, now)
    }

    fn at(stream: u64, now: Duration) -> Self {
        let target = TARGET.as_millis() as u64;
        let shifted = now.as_millis() as u64 + stream * APART % target;
        Self { newest: (shifted / target).saturating_sub(1) }
    }

    pub(super) fn playlist(&self) -> Answer {
        let first = self.newest.saturating_sub(WINDOW - 1);
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n",
            TARGET.as_secs()
        );
        for number in first..=self.newest {
            let _ = write!(text, "#EXTINF:{:.3},\n{number}.ts\n", TARGET.as_secs_f64());
        }
        Answer::new("200 OK", PLAYLIST, text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_segment_is_told_by_the_clock() {
        for (stream, milliseconds, newest) in
            [(0, 20_000, 9), (0, 21_999, 9), (0, 22_000, 10), (1, 21_383, 10), (1, 21_382, 9)]
        {
            let live = Live::at(stream, Duration::from_millis(milliseconds));
            assert_eq!(live.newest, newest, "stream {stream} at {milliseconds}");
        }
        let text = Live { newest: 9 }.playlist().body;
        let text = std::str::from_utf8(&text).unwrap();
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:4\n") && text.ends_with("\n9.ts\n"), "{text}");
    }
}
