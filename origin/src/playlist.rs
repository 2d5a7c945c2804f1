//! Renders multivariant and media playlists from a feed and the time.

use std::fmt::Write;

use crate::media::{AUDIO_CODEC, Feed, Rendition};
use crate::timeline;

/// The multivariant playlist of `feed`. Its URIs are relative and repeat `query` (the token) unless
/// `query` is empty.
pub(crate) fn render_multivariant(feed: &Feed, query: &str) -> String {
    let q = query_suffix(query);
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let _ = writeln!(
        out,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"{} sound\",LANGUAGE=\"en\",DEFAULT=YES,\
         AUTOSELECT=YES,CHANNELS=\"2\",URI=\"{}/index.m3u8{q}\"",
        feed.name, feed.audio.id,
    );
    for (format, rendition) in &feed.video {
        let _ = writeln!(
            out,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{},{AUDIO_CODEC}\",\
             RESOLUTION={}x{},FRAME-RATE=25.000,AUDIO=\"sound\"\n{}/index.m3u8{q}",
            rendition.peak_bits_per_second() + feed.audio.peak_bits_per_second(),
            rendition.average_bits_per_second() + feed.audio.average_bits_per_second(),
            format.codec,
            format.width,
            format.height,
            rendition.id,
        );
    }
    out
}

/// The media playlist of `rendition` at unix time `now_ms`, with the `window` newest segments.
pub(crate) fn render_media(rendition: &Rendition, now_ms: u64, window: u64, query: &str) -> String {
    let q = query_suffix(query);
    let numbers = timeline::playlist_window(now_ms, window);
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n",
        timeline::SEGMENT_DURATION_MS / 1000,
        numbers.start(),
    );
    if rendition.init_segment().is_some() {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"init.mp4{q}\"");
    }
    for n in numbers {
        let Some(segment) = rendition.loop_segment(n) else { continue };
        // Audio segments begin at AAC frame boundaries, up to 21 ms after the video segment of the
        // same number; EXT-X-PROGRAM-DATE-TIME carries that offset.
        let offset_ms = segment.start * 1000.0
            - (timeline::loop_index(n) as u64 * timeline::SEGMENT_DURATION_MS) as f64;
        let date = format_date(
            timeline::segment_date_ms(n).saturating_add_signed(offset_ms.round() as i64),
        );
        let _ = writeln!(
            out,
            "#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:{:.5},\n{n}.{}{q}",
            segment.duration,
            rendition.extension(),
        );
    }
    out
}

fn query_suffix(query: &str) -> String {
    if query.is_empty() { String::new() } else { format!("?{query}") }
}

fn format_date(unix_ms: u64) -> String {
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
            let text = render_multivariant(feed, "exp=1&sig=2");
            let uris: Vec<_> = text.lines().filter(|l| l.contains("index.m3u8")).collect();
            assert_eq!(uris.len(), 4, "{text}");
            assert!(uris.iter().all(|uri| uri.contains("index.m3u8?exp=1&sig=2")), "{text}");
            assert_eq!(text.matches(",AUDIO=\"sound\"").count(), 3);
            assert!(!render_multivariant(feed, "").contains('?'));
        }
    }

    #[test]
    fn a_media_playlist_slides_with_the_clock() {
        let rendition = library().feed("world-feed").unwrap().rendition("v720").unwrap();
        let text = render_media(rendition, NOW_MS, 2, "");
        let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n\
            #EXT-X-MEDIA-SEQUENCE:899999999\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MAP:URI=\"init.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:2027-01-15T07:59:56.000Z\n#EXTINF:2.00000,\n899999999.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:2027-01-15T07:59:58.000Z\n#EXTINF:2.00000,\n900000000.m4s\n";
        assert_eq!(text, expected);
        assert!(
            render_media(rendition, NOW_MS + 500, 2, "").contains("MEDIA-SEQUENCE:900000000\n")
        );
    }

    #[test]
    fn a_transport_stream_has_no_map_and_sound_dates_follow_its_frames() {
        let feed = library().feed("pit-lane").unwrap();
        let text = render_media(&feed.audio, NOW_MS, 8, "exp=1&sig=2");
        assert!(!text.contains("EXT-X-MAP"), "{text}");
        assert_eq!(text.matches(".ts?exp=1&sig=2\n").count(), 8, "{text}");
        assert!(text.contains("#EXTINF:2.00533,") || text.contains("#EXTINF:1.98400,"), "{text}");
    }
}
