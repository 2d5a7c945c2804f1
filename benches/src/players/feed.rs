//! Which of a playlist's segments a player takes next, and when it polls again.

use std::time::Duration;

use pitwall_hls::analysis::{Media, Segment};

/// How far behind the newest segment a player begins, in segments.
const BEHIND: usize = 3;

/// What a player has taken of one media playlist.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The last sequence number that was taken.
    last: Option<u64>,
    /// Segments that fell out of the playlist before they were taken.
    pub(super) missed: u64,
}

impl Feed {
    /// The segments that are new, oldest first.
    pub(super) fn take(&mut self, media: &Media) -> Vec<Segment> {
        let new = match self.last {
            Some(last) => media.segments.partition_point(|segment| segment.sequence <= last),
            // A recording is watched from its beginning.
            None if media.end_list => 0,
            None => media.segments.len().saturating_sub(BEHIND),
        };
        let segments = media.segments.get(new..).unwrap_or_default();
        if let (Some(last), Some(first)) = (self.last, segments.first()) {
            self.missed += first.sequence.saturating_sub(last + 1);
        }
        self.last = segments.last().map(|segment| segment.sequence).or(self.last);
        segments.to_vec()
    }
}

/// How long after a poll began the next one is due: a target duration, or half of one when
/// nothing was new (RFC 8216, 6.3.4).
pub(super) fn next_poll(media: &Media, new: bool) -> Duration {
    let seconds = media.target_duration.unwrap_or(2.0).clamp(0.2, 60.0);
    Duration::from_secs_f64(if new { seconds } else { seconds / 2.0 })
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Limits, Playlist, Variables, analyse};
    use url::Url;

    use super::*;

    fn media(first: usize, count: usize, end: &str) -> Media {
        let text = crate::window(first, count) + end;
        let base = Url::parse("http://127.0.0.1/live.m3u8").unwrap();
        match analyse(text.as_bytes(), &base, &Variables::default(), &Limits::default()).unwrap() {
            Playlist::Media(media) => media,
            Playlist::Master(_) => panic!("a media playlist"),
        }
    }

    fn taken(feed: &mut Feed, media: &Media) -> Vec<u64> {
        feed.take(media).iter().map(|segment| segment.sequence - 862_000_000).collect()
    }

    #[test]
    fn each_segment_is_taken_once() {
        let mut feed = Feed::default();
        assert_eq!(taken(&mut feed, &media(0, 6, "")), [3, 4, 5]);
        assert!(taken(&mut feed, &media(0, 6, "")).is_empty());
        assert_eq!(taken(&mut feed, &media(1, 6, "")), [6]);
        assert_eq!((taken(&mut feed, &media(9, 2, "")), feed.missed), (vec![9, 10], 2));
        // One that went back shows nothing new.
        assert!(taken(&mut feed, &media(0, 6, "")).is_empty());
    }

    #[test]
    fn a_recording_is_taken_whole() {
        assert_eq!(taken(&mut Feed::default(), &media(0, 4, "#EXT-X-ENDLIST\n")), [0, 1, 2, 3]);
    }

    #[test]
    fn polls_keep_the_playlist_s_pace() {
        let media = media(0, 6, "");
        assert_eq!(next_poll(&media, true), Duration::from_secs(2));
        assert_eq!(next_poll(&media, false), Duration::from_secs(1));
    }
}
