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
