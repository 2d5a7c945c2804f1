//! [`LiveEdge`]: the position of a live playlist. A playlist whose live edge does not advance is
//! frozen.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_hls::analysis::MediaPlaylist;

use super::CheckError;
use super::run::NO_SEGMENTS_MESSAGE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveEdge {
    pub(crate) last_sequence: u64,
    pub(crate) target_duration: Duration,
    /// End of the newest segment by EXT-X-PROGRAM-DATE-TIME, where the playlist has one.
    pub(crate) ends_at: Option<Timestamp>,
}

/// A longer target duration is rejected: viewers would be minutes behind.
const TARGET_DURATION_MAX_SECONDS: f64 = 60.0;
/// Used for a target duration below 0.1 s, which players accept.
const DEFAULT_TARGET_DURATION: Duration = Duration::from_secs(6);

impl LiveEdge {
    pub(super) fn of(media: &MediaPlaylist) -> Result<Self, CheckError> {
        let last_sequence = media.last_sequence().ok_or(CheckError::new(NO_SEGMENTS_MESSAGE))?;
        Ok(Self {
            last_sequence,
            target_duration: target_duration(media)?,
            ends_at: newest_segment_end(media),
        })
    }

    /// Time between the live edge and `now`; `None` without EXT-X-PROGRAM-DATE-TIME.
    pub(crate) fn lag(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(now.duration_since(self.ends_at?))
    }
}

pub(super) fn target_duration(media: &MediaPlaylist) -> Result<Duration, CheckError> {
    match media.target_duration {
        None => Err(CheckError::new("the playlist names no target duration")),
        Some(long) if !(0.0..=TARGET_DURATION_MAX_SECONDS).contains(&long) => {
            let message = format!("a target duration of {long} s is not that of a live stream");
            Err(CheckError::new(message))
        }
        Some(short) if short < 0.1 => Ok(DEFAULT_TARGET_DURATION),
        // Some packagers state less than their segments last.
        Some(target) => {
            let newest = media.segments.iter().rev().take(2).map(|segment| segment.duration);
            let longest = newest.fold(0.0, f64::max).min(TARGET_DURATION_MAX_SECONDS);
            let is_too_short = longest.round() > target;
            Ok(Duration::from_secs_f64(if is_too_short { longest } else { target }))
        }
    }
}

fn newest_segment_end(media: &MediaPlaylist) -> Option<Timestamp> {
    let mut date: Option<Timestamp> = None;
    for segment in &media.segments {
        // A date without a UTC offset is ambiguous and is ignored.
        let stated = segment.program_date_time.as_ref().and_then(|text| text.trim().parse().ok());
        date = stated.or(date);
        let duration = SignedDuration::try_from_secs_f64(segment.duration).ok()?;
        date = date.and_then(|date| date.checked_add(duration).ok());
    }
    date
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Playlist, PlaylistLimits, Variables, parse_playlist};
    use url::Url;

    use super::*;

    fn parse_live_edge(tags: &str, segments: &str) -> Result<LiveEdge, String> {
        let text = format!("#EXTM3U\n{tags}\n#EXT-X-MEDIA-SEQUENCE:7\n{segments}\n");
        let base = Url::parse("https://a.example/m.m3u8").unwrap();
        let playlist = parse_playlist(
            text.as_bytes(),
            &base,
            &Variables::default(),
            &PlaylistLimits::default(),
        )
        .unwrap();
        let Playlist::Media(media) = playlist else { panic!("{text}") };
        LiveEdge::of(&media).map_err(|error| error.message)
    }

    #[test]
    fn targets() {
        let of = |tag: &str| {
            parse_live_edge(tag, "#EXTINF:4,\na.ts")
                .map(|live_edge| live_edge.target_duration.as_millis())
        };
        assert_eq!(of("#EXT-X-TARGETDURATION:4"), Ok(4000));
        assert_eq!(of("#EXT-X-TARGETDURATION:6.5"), Ok(6500), "players take it");
        assert_eq!(of("#EXT-X-TARGETDURATION:0"), Ok(6000), "players take it");
        assert_eq!(of("#EXT-X-TARGETDURATION:2"), Ok(4000), "as its segments show");
        assert!(of("#EXT-X-TARGETDURATION:3600").unwrap_err().contains("3600 s is not"));
    }

    #[test]
    fn dates() {
        let date = |first: &str, second: &str| {
            let tag = |text: &str| match text {
                "" => String::new(),
                text => format!("#EXT-X-PROGRAM-DATE-TIME:{text}\n"),
            };
            let segments =
                format!("{}#EXTINF:4,\na.ts\n{}#EXTINF:2.5,\nb.ts", tag(first), tag(second));
            let live_edge = parse_live_edge("#EXT-X-TARGETDURATION:4", &segments).unwrap();
            assert_eq!(live_edge.last_sequence, 8);
            live_edge.ends_at.map(|date| date.to_string())
        };
        for (first, second, expected) in [
            ("", "", None),
            ("2026-05-03T17:00:00.000Z", "", Some("2026-05-03T17:00:06.5Z")),
            ("2026-05-03T19:00:00+02:00", "", Some("2026-05-03T17:00:06.5Z")),
            ("2026-05-03T19:00:00.000+0200", "", Some("2026-05-03T17:00:06.5Z")),
            ("2026-05-03T17:00:00Z", "2026-05-03T18:00:00Z", Some("2026-05-03T18:00:02.5Z")),
            ("2026-05-03T17:00:00", "", None),
            ("yesterday", "", None),
        ] {
            assert_eq!(date(first, second).as_deref(), expected, "{first} {second}");
        }
    }
}
