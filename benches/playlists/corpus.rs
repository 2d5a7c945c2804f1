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
