//! Which segments of a media playlist a player fetches next, and when it reloads the playlist.

use std::time::Duration;

use pitwall_hls::analysis::{MediaPlaylist, Segment};

/// Number of segments from the end of a live playlist at which a player starts.
const LIVE_START_SEGMENTS: usize = 3;

/// A player's position in one media playlist.
#[derive(Debug, Default)]
pub(super) struct PlaylistCursor {
    /// Media sequence number of the last segment that was taken.
    last_sequence: Option<u64>,
    /// Number of segments that left the playlist before they were taken.
    pub(super) missed: u64,
}

impl PlaylistCursor {
    /// Takes the segments that were not taken yet, oldest first.
    pub(super) fn take_new_segments(&mut self, media: &MediaPlaylist) -> Vec<Segment> {
        let start = match self.last_sequence {
            Some(last) => media.segments.partition_point(|segment| segment.sequence <= last),
            // A playlist with EXT-X-ENDLIST is played from its beginning.
            None if media.has_end_list => 0,
            None => media.segments.len().saturating_sub(LIVE_START_SEGMENTS),
        };
        let segments = media.segments.get(start..).unwrap_or_default();
        if let (Some(last), Some(first)) = (self.last_sequence, segments.first()) {
            self.missed += first.sequence.saturating_sub(last + 1);
        }
        self.last_sequence = segments.last().map(|segment| segment.sequence).or(self.last_sequence);
        segments.to_vec()
    }
}

/// Time from the start of one playlist request to the next: the target duration, or half of it when
/// the playlist had no new segment (RFC 8216, 6.3.4).
pub(super) fn reload_interval(media: &MediaPlaylist, has_new_segments: bool) -> Duration {
    let seconds = media.target_duration.unwrap_or(2.0).clamp(0.2, 60.0);
    Duration::from_secs_f64(if has_new_segments { seconds } else { seconds / 2.0 })
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Playlist, PlaylistLimits, Variables, parse_playlist};
    use url::Url;

    use super::*;

    fn media(first: usize, count: usize, end: &str) -> MediaPlaylist {
        let text = crate::window_playlist(first, count) + end;
        let base = Url::parse("http://127.0.0.1/live.m3u8").unwrap();
        match parse_playlist(
            text.as_bytes(),
            &base,
            &Variables::default(),
            &PlaylistLimits::default(),
        )
        .unwrap()
        {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => panic!("a media playlist"),
        }
    }

    fn taken(cursor: &mut PlaylistCursor, media: &MediaPlaylist) -> Vec<u64> {
        cursor
            .take_new_segments(media)
            .iter()
            .map(|segment| segment.sequence - 862_000_000)
            .collect()
    }

    #[test]
    fn each_segment_is_taken_once() {
        let mut cursor = PlaylistCursor::default();
        assert_eq!(taken(&mut cursor, &media(0, 6, "")), [3, 4, 5]);
        assert!(taken(&mut cursor, &media(0, 6, "")).is_empty());
        assert_eq!(taken(&mut cursor, &media(1, 6, "")), [6]);
        assert_eq!((taken(&mut cursor, &media(9, 2, "")), cursor.missed), (vec![9, 10], 2));
        // A playlist whose sequence numbers went back has no new segment.
        assert!(taken(&mut cursor, &media(0, 6, "")).is_empty());
    }

    #[test]
    fn a_recording_is_taken_whole() {
        assert_eq!(
            taken(&mut PlaylistCursor::default(), &media(0, 4, "#EXT-X-ENDLIST\n")),
            [0, 1, 2, 3]
        );
    }

    #[test]
    fn the_reload_interval_is_half_without_new_segments() {
        let media = media(0, 6, "");
        assert_eq!(reload_interval(&media, true), Duration::from_secs(2));
        assert_eq!(reload_interval(&media, false), Duration::from_secs(1));
    }
}
