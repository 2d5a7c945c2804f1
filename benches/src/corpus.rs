//! Playlists to measure with, made to size.

use std::fmt::Write;

/// A live media playlist with a window of `segments`.
pub fn live(segments: u64) -> String {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:862000000\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4?exp=1795221000&sig=8f14e45f\"\n",
    );
    for n in 0..segments {
        let _ = write!(
            text,
            "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T04:{:02}:{:02}.000Z\n#EXTINF:2.00000,\n\
             {}.m4s?exp=1795221000&sig=8f14e45fceea167a5a36dedd4bea2543\n",
            n / 30 % 60,
            n * 2 % 60,
            862_000_000 + n,
        );
    }
    text
}

/// What stands before the lines of a window that begins with segment `first`.
pub fn window_head(first: usize) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        862_000_000 + first
    )
}

/// Segments from `first` on, every line of the same length. All are the same file: their names
/// differ in the query.
pub fn window_lines(first: usize, count: usize, out: &mut String) {
    for n in first..first + count {
        let _ = write!(
            out,
            "#EXTINF:2.00000,\nsegment.ts?n={:09}&exp=1795221000&sig=8f14e45fceea167a5a36dedd4bea2543\n",
            862_000_000 + n
        );
    }
}

/// A live media playlist without dates, of `count` segments from `first` on.
pub fn window(first: usize, count: usize) -> String {
    let mut text = window_head(first);
    window_lines(first, count, &mut text);
    text
}

/// A multivariant playlist: four renditions and a sound, all of which are `live.m3u8`.
pub fn master() -> String {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"English\",DEFAULT=YES,URI=\"live.m3u8?rendition=audio\"\n",
    );
    for (height, bandwidth) in
        [(1080, 6_000_000), (720, 3_200_000), (480, 1_400_000), (240, 500_000)]
    {
        let _ = write!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},RESOLUTION={}x{height},CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"aac\"\n\
             live.m3u8?rendition={height}&exp=1795221000&sig=8f14e45fceea167a5a36dedd4bea2543\n",
            height * 16 / 9
        );
    }
    text
}

/// A recording, as long as the usual limits allow: 9 500 segments, 1 MB, signed relative URIs.
pub fn recording() -> String {
    recorded(|text, n| {
        let _ = writeln!(
            text,
            "v720/world-feed-{n:06}.ts?exp=1795221000&sig=8f14e45fceea167a5a36dedd4bea2543"
        );
    })
}

/// The same with the shortest names in use, where the lines cost more than their bytes.
pub fn terse_recording() -> String {
    recorded(|text, n| {
        let _ = writeln!(text, "seg-{n:05}.ts");
    })
}

fn recorded(mut uri: impl FnMut(&mut String, u64)) -> String {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n",
    );
    for n in 0..9500 {
        text.push_str("#EXTINF:6.00600,\n");
        uri(&mut text, n);
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}
