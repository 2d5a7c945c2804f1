//! Generated playlists of a given size.

use std::fmt::Write;

/// A live media playlist of `segments` segments with EXT-X-MAP and EXT-X-PROGRAM-DATE-TIME.
pub fn live_playlist(segments: u64) -> String {
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

/// The lines before the first segment of a media playlist that begins with segment `first`.
pub fn window_header(first: usize) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        862_000_000 + first
    )
}

/// Appends `count` segments from `first` on, all of which take the same number of bytes. Their URIs
/// name one file and differ in the query.
pub fn append_window_lines(first: usize, count: usize, out: &mut String) {
    for n in first..first + count {
        let _ = write!(
            out,
            "#EXTINF:2.00000,\nsegment.ts?n={:09}&exp=1795221000&sig=8f14e45fceea167a5a36dedd4bea2543\n",
            862_000_000 + n
        );
    }
}

/// A live media playlist without EXT-X-PROGRAM-DATE-TIME, of `count` segments from `first` on.
pub fn window_playlist(first: usize, count: usize) -> String {
    let mut text = window_header(first);
    append_window_lines(first, count, &mut text);
    text
}

/// A multivariant playlist of four variants and an audio rendition, all of which are `live.m3u8`.
pub fn multivariant_playlist() -> String {
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

/// A VOD playlist as long as usual limits allow: 9 500 segments, 1 MB, signed relative URIs.
pub fn vod_playlist() -> String {
    build_long_vod(|text, n| {
        let _ = writeln!(
            text,
            "v720/world-feed-{n:06}.ts?exp=1795221000&sig=8f14e45fceea167a5a36dedd4bea2543"
        );
    })
}

/// A VOD playlist like [`vod_playlist`] with the shortest URIs in use, where the cost per line
/// exceeds the cost per byte.
pub fn short_uri_vod_playlist() -> String {
    build_long_vod(|text, n| {
        let _ = writeln!(text, "seg-{n:05}.ts");
    })
}

fn build_long_vod(mut write_uri: impl FnMut(&mut String, u64)) -> String {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n",
    );
    for n in 0..9500 {
        text.push_str("#EXTINF:6.00600,\n");
        write_uri(&mut text, n);
    }
    text.push_str("#EXT-X-ENDLIST\n");
    text
}
