//! How far a live playlist has come: one whose head does not move is frozen.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pitwall_hls::analysis::Media;

use super::CheckError;
use super::visit::NO_SEGMENTS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: u64,
    pub(crate) target: Duration,
    /// When the newest segment ends, where the playlist has dates.
    pub(crate) date: Option<Timestamp>,
}

/// Longer is no live stream: viewers would be minutes behind.
const LONGEST_TARGET: f64 = 60.0;
/// Players take a target duration of nothing; so does this.
const USUAL_TARGET: Duration = Duration::from_secs(6);

impl Head {
    pub(super) fn of(media: &Media) -> Result<Self, CheckError> {
        let sequence = media.last_sequence().ok_or(CheckError::new(NO_SEGMENTS))?;
        Ok(Self { sequence, target: target(media)?, date: date(media) })
    }

    /// Behind the clock; `None` without dates.
    pub(crate) fn lag(&self, now: Timestamp) -> Option<SignedDuration> {
        Some(now.duration_since(self.date?))
    }
}

pub(super) fn target(media: &Media) -> Result<Duration, CheckError> {
    match media.target_duration {
        None => Err(CheckError::new("the playlist names no target duration")),
        Some(long) if !(0.0..=LONGEST_TARGET).contains(&long) => {
            let message = format!("a target duration of {long} s is not that of a live stream");
            Err(CheckError::new(message))
        }
        Some(short) if short < 0.1 => Ok(USUAL_TARGET),
        Some(target) => Ok(Duration::from_secs_f64(target)),
    }
}

fn date(media: &Media) -> Option<Timestamp> {
    let mut date: Option<Timestamp> = None;
    for segment in &media.segments {
        // A date without an offset is of an unknown place and tells nothing.
        let told = segment.program_date_time.as_ref().and_then(|text| text.trim().parse().ok());
        date = told.or(date);
        let duration = SignedDuration::try_from_secs_f64(segment.duration).ok()?;
        date = date.and_then(|date| date.checked_add(duration).ok());
    }
    date
}

#[cfg(test)]
mod tests {
    use pitwall_hls::{Limits, Playlist, Variables, analyse};
    use url::Url;

    use super::*;

    fn head(tags: &str, segments: &str) -> Result<Head, String> {
        let text = format!("#EXTM3U\n{tags}\n#EXT-X-MEDIA-SEQUENCE:7\n{segments}\n");
        let base = Url::parse("https://a.example/m.m3u8").unwrap();
        let playlist =
            analyse(text.as_bytes(), &base, &Variables::default(), &Limits::default()).unwrap();
        let Playlist::Media(media) = playlist else { panic!("{text}") };
        Head::of(&media).map_err(|error| error.message)
    }

    #[test]
    fn targets() {
        let of = |tag: &str| head(tag, "#EXTINF:4,\na.ts").map(|head| head.target.as_millis());
        assert_eq!(of("#EXT-X-TARGETDURATION:4"), Ok(4000));
        assert_eq!(of("#EXT-X-TARGETDURATION:6.5"), Ok(6500), "players take it");
        assert_eq!(of("#EXT-X-TARGETDURATION:0"), Ok(6000), "players take it");
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
            let head = head("#EXT-X-TARGETDURATION:4", &segments).unwrap();
            assert_eq!(head.sequence, 8);
            head.date.map(|date| date.to_string())
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
