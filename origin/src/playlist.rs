//! Playlists: a feed and the time in, text out.

use std::fmt::Write;

use crate::media::{AUDIO_CODEC, Feed, Rendition};
use crate::timeline;

/// The multivariant playlist. URIs are relative and carry `query`, the token, when there is one.
pub(crate) fn master(feed: &Feed, query: &str) -> String {
    let q = suffix(query);
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let _ = writeln!(
        out,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"{} sound\",LANGUAGE=\"en\",DEFAULT=YES,\
         AUTOSELECT=YES,CHANNELS=\"2\",URI=\"{}/index.m3u8{q}\"",
        feed.name, feed.audio.id,
    );
    for (picture, rendition) in &feed.video {
        let _ = writeln!(
            out,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{},{AUDIO_CODEC}\",\
             RESOLUTION={}x{},FRAME-RATE=25.000,AUDIO=\"sound\"\n{}/index.m3u8{q}",
            rendition.peak_bits() + feed.audio.peak_bits(),
            rendition.average_bits() + feed.audio.average_bits(),
            picture.codec,
            picture.width,
            picture.height,
            rendition.id,
        );
    }
    out
}

/// The sliding window of one rendition at `now_ms`.
pub(crate) fn media(rendition: &Rendition, now_ms: u64, window: u64, query: &str) -> String {
    let q = suffix(query);
    let numbers = timeline::window(now_ms, window);
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n",
        timeline::SEGMENT_MS / 1000,
        numbers.start(),
    );
    if rendition.init().is_some() {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"init.mp4{q}\"");
    }
    for n in numbers {
        let Some(segment) = rendition.at(n) else { continue };
        // Sound is cut at AAC frames, up to 21 ms after the picture: its date says so.
        let late = segment.start * 1000.0
            - (timeline::media_index(n) as u64 * timeline::SEGMENT_MS) as f64;
        let date = date(timeline::date_ms(n).saturating_add_signed(late.round() as i64));
        let _ = writeln!(
            out,
            "#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:{:.5},\n{n}.{}{q}",
            segment.duration,
            rendition.extension(),
        );
    }
    out
}

fn suffix(query: &str) -> String {
    if query.is_empty() { String::new() } else { format!("?{query}") }
}

fn date(unix_ms: u64) -> String {
    let at = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::library;

    const NOW_MS: u64 = 1_800_000_001_500; // 2027-01-15T08:00:01.5Z

    #[test]
    fn a_multivariant_playlist_carries_the_token_everywhere() {
        for feed in &library().feeds {
            let text = master(feed, "exp=1&sig=2");
            let uris: Vec<_> = text.lines().filter(|l| l.contains("index.m3u8")).collect();
            assert_eq!(uris.len(), 4, "{text}");
            assert!(uris.iter().all(|uri| uri.contains("index.m3u8?exp=1&sig=2")), "{text}");
            assert_eq!(text.matches(",AUDIO=\"sound\"").count(), 3);
            assert!(!master(feed, "").contains('?'));
        }
    }

    #[test]
    fn a_media_playlist_slides_with_the_clock() {
        let rendition = library().feed("world-feed").unwrap().rendition("v720").unwrap();
        let text = media(rendition, NOW_MS, 2, "");
        let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n\
            #EXT-X-MEDIA-SEQUENCE:899999999\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MAP:URI=\"init.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2027-01-15T07:59:56.000Z\n#EXTINF:2.00000,\n899999999.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:2027-01-15T07:59:58.000Z\n#EXTINF:2.00000,\n900000000.m4s\n";
        assert_eq!(text, expected);
        assert!(media(rendition, NOW_MS + 500, 2, "").contains("MEDIA-SEQUENCE:900000000\n"));
    }

    #[test]
    fn a_transport_stream_has_no_map_and_sound_dates_follow_its_frames() {
        let feed = library().feed("pit-lane").unwrap();
        let text = media(&feed.audio, NOW_MS, 8, "exp=1&sig=2");
        assert!(!text.contains("EXT-X-MAP"), "{text}");
        assert_eq!(text.matches(".ts?exp=1&sig=2\n").count(), 8, "{text}");
        assert!(text.contains("#EXTINF:2.00533,") || text.contains("#EXTINF:1.98400,"), "{text}");
    }
}
