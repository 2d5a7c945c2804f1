//! What one reader of a media playlist knows of a segment, the others know too.

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::line::Lines;
use crate::{
    Playlist, PlaylistLimits, SegmentedPlaylist, UriReference, UriRole, Variables, parse_playlist,
    rewrite,
};

const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n";

/// A segment as one reader sees it: number, name, byte range and gap; and what the rewriter does
/// not ask: discontinuity, date, key and map.
type Seen = (String, String);

fn describe(number: u64, url: &str, byte_range: Option<(u64, u64)>, is_gap: bool) -> String {
    let range = byte_range.map(|(length, offset)| format!(" {length}@{offset}"));
    let gap = if is_gap { " gap" } else { "" };
    format!("{number} {}{}{gap}", name(url), range.unwrap_or_default())
}

fn describe_more(has_discontinuity: bool, date: Option<&str>, key: &str, map: &str) -> String {
    let discontinuity = if has_discontinuity { "discontinuity " } else { "" };
    let date = date.and_then(|date| date.parse::<jiff::Timestamp>().ok());
    let date = date.map(|date| format!("{date} ")).unwrap_or_default();
    format!("{discontinuity}{date}key={} map={}", name(key), name(map))
}

fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn base() -> Url {
    Url::parse("https://o.example/live/index.m3u8").unwrap()
}

fn rewritten(text: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut mapper = |one: &UriReference<'_>, _: &mut Vec<u8>| {
        if one.role == UriRole::Segment {
            seen.push(describe(one.sequence.unwrap(), one.url, one.byte_range, one.is_gap));
        }
    };
    let (variables, limits) = (Variables::default(), PlaylistLimits::default());
    rewrite(text.as_bytes(), &base(), &variables, &limits, &mut mapper).unwrap();
    seen
}

fn analysed(text: &str) -> Vec<Seen> {
    let (variables, limits) = (Variables::default(), PlaylistLimits::default());
    let Ok(Playlist::Media(media)) = parse_playlist(text.as_bytes(), &base(), &variables, &limits)
    else {
        panic!("no media playlist: {text}")
    };
    let segments = media.segments.iter().map(|one| {
        let key = one.key.as_ref().and_then(|key| key.url.as_deref()).unwrap_or_default();
        let map = one.map.as_ref().map_or("", |map| &map.url);
        let date = one.program_date_time.as_deref();
        (
            describe(one.sequence, &one.url, one.byte_range, one.is_gap),
            describe_more(one.has_discontinuity, date, key, map),
        )
    });
    segments.collect()
}

fn spliced(text: &str) -> Vec<Seen> {
    let playlist = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
    let segments = playlist.segments.iter().map(|one| {
        let tags = |text: &'static str, lines: &str| -> Vec<String> {
            lines.lines().filter_map(|line| Some(line.strip_prefix(text)?.to_owned())).collect()
        };
        let range = tags("#EXT-X-BYTERANGE:", &one.lines).pop().map(|range| {
            let (length, offset) = range.split_once('@').unwrap();
            (length.parse().unwrap(), offset.parse().unwrap())
        });
        let mut keys = KeysInForce::default();
        for line in Lines::new(one.key.as_bytes(), PlaylistLimits::UNLIMITED).flatten() {
            keys.observe_key(Key::parse(&line.tag().unwrap()));
        }
        let key = keys.preferred().and_then(|key| key.uri).unwrap_or_default();
        let map = one.map.split('"').nth(1).unwrap_or_default();
        let date = one.date.filter(|_| one.dated).map(|date| date.to_string());
        let url = one.lines.lines().last().unwrap();
        (
            describe(one.number, url, range, one.is_gap()),
            describe_more(one.tags > 0, date.as_deref(), std::str::from_utf8(key).unwrap(), map),
        )
    });
    segments.collect()
}

/// Checks the segments as all three readers see them, each as number, name, byte range and gap.
fn check(lines: &str, expected: &[(&str, &str)]) {
    let text = format!("{HEAD}{lines}");
    let expected: Vec<Seen> =
        expected.iter().map(|(first, more)| ((*first).to_owned(), (*more).to_owned())).collect();
    assert_eq!(analysed(&text), expected, "analysed: {lines}");
    assert_eq!(spliced(&text), expected, "spliced: {lines}");
    let expected: Vec<String> = expected.into_iter().map(|(first, _)| first).collect();
    assert_eq!(rewritten(&text), expected, "rewritten: {lines}");
}

const CLEAR: &str = "key= map=";

#[test]
fn gaps_and_byte_ranges() {
    check(
        "#EXT-X-GAP\n#EXTINF:6,\na\n#EXTINF:6,\n#EXT-X-GAP\nb\nc",
        &[("0 a gap", CLEAR), ("1 b gap", CLEAR), ("2 c", CLEAR)],
    );
    // A whole segment lies between both ranges, so the second has nothing to follow.
    check(
        "#EXT-X-BYTERANGE:10@5\na\na\n#EXT-X-BYTERANGE:7\na",
        &[("0 a 10@5", CLEAR), ("1 a", CLEAR), ("2 a 7@0", CLEAR)],
    );
    // The last one of a tag wins.
    check(
        "#EXT-X-BYTERANGE:10\n#EXT-X-BYTERANGE:20\na\n#EXT-X-BYTERANGE:5\na",
        &[("0 a 20@0", CLEAR), ("1 a 5@20", CLEAR)],
    );
}

#[test]
fn dates_and_discontinuities() {
    const DATE: &str = "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:30:00Z\n";
    let dated = "discontinuity 2026-11-21T05:30:00Z key= map=";
    for lines in [
        format!("a\n{DATE}#EXT-X-DISCONTINUITY\nb"),
        format!("a\n#EXT-X-DISCONTINUITY\n{DATE}b"),
        format!("a\n#EXT-X-DISCONTINUITY\n#EXTINF:6,\n{DATE}#EXT-X-DISCONTINUITY\nb"),
    ] {
        check(&lines, &[("0 a", CLEAR), ("1 b", dated)]);
    }
    check(
        "#EXT-X-DISCONTINUITY-SEQUENCE:18446744073709551615\n#EXT-X-DISCONTINUITY\na",
        &[("0 a", "discontinuity key= map=")],
    );
}

#[test]
fn the_first_numbers_stand_above_the_first_segment() {
    let lines = "#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-MEDIA-SEQUENCE:7\na\n\
                 #EXT-X-DISCONTINUITY-SEQUENCE:5\n#EXT-X-MEDIA-SEQUENCE:9\nb";
    check(lines, &[("7 a", CLEAR), ("8 b", CLEAR)]);
    let text = format!("{HEAD}{lines}");
    let (variables, limits) = (Variables::default(), PlaylistLimits::default());
    let analysed = parse_playlist(text.as_bytes(), &base(), &variables, &limits);
    let Ok(Playlist::Media(media)) = analysed else { panic!("{text}") };
    assert_eq!((media.media_sequence, media.discontinuity_sequence), (7, 3));
    let playlist = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
    assert_eq!((playlist.first_number, playlist.segments[1].discontinuity), (7, 3));
}

#[test]
fn keys_and_maps() {
    const KEY: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n";
    const OTHER: &str = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple\"\n";
    const MAP: &str = "#EXT-X-MAP:URI=\"m\"\n";
    for (what, lines, expected) in [
        ("a key and a map", format!("{KEY}{MAP}"), "key=k map=m"),
        ("a map first", format!("{MAP}{KEY}"), "key=k map=m"),
        ("two formats side by side", format!("{KEY}{OTHER}"), "key=k map="),
        ("a map between", format!("{KEY}{MAP}{OTHER}"), "key=k map=m"),
        ("a segment between", format!("{KEY}#EXTINF:6,\nz\n{OTHER}"), "key=k map="),
        ("a key that ends at once", format!("{KEY}#EXT-X-KEY:METHOD=NONE\n"), CLEAR),
        ("in small letters", format!("{KEY}{MAP}#EXT-X-KEY:METHOD=none\n"), "key= map=m"),
        (
            "the default format by name",
            format!("{KEY}#EXT-X-KEY:METHOD=AES-128,URI=\"l\",KEYFORMAT=\"identity\"\n"),
            "key=l map=",
        ),
        ("blanks", format!("#EXT-X-KEY : METHOD = AES-128 , URI = \"k\"\n{MAP}"), "key=k map=m"),
    ] {
        let text = format!("{HEAD}{lines}#EXTINF:6,\na");
        let last = |seen: Vec<Seen>| seen.into_iter().next_back().unwrap().1;
        assert_eq!(last(analysed(&text)), expected, "analysed: {what}");
        assert_eq!(last(spliced(&text)), expected, "spliced: {what}");
    }
}

fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "a",
        " a\r",
        "",
        "# comment",
        "#EXTINF:6,",
        "#EXTINF : 2.5,title",
        "#EXT-X-GAP",
        "\t#EXT-X-GAP",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-DISCONTINUITY-SEQUENCE:4",
        "#EXT-X-MEDIA-SEQUENCE:18446744073709551000",
        "#EXT-X-MEDIA-SEQUENCE:7",
        "#EXT-X-BYTERANGE:10@5",
        "#EXT-X-BYTERANGE:7",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:30:00Z",
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:30:00.5+01:00",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"l\",IV=0x1",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"f\"",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,KEYFORMAT=\"F\",URI=\"skd://y\"",
        "#EXT-X-KEY:METHOD=NONE",
        "#EXT-X-MAP:URI=\"m\"",
        "#EXT-X-MAP:URI=\"n\",BYTERANGE=\"9@1\"",
        "#EXT-X-PART:DURATION=1,URI=\"p\",GAP=YES",
        "#EXT-X-PREFETCH:q",
        "#EXT-X-CUE-OUT:30",
        "#EXT-X-VENDOR:URI=\"v\"",
        "#EXT-X-DATERANGE:ID=\"d\"",
        "#EXT-X-ENDLIST",
    ])
}

proptest! {
    #[test]
    fn all_readers_agree(lines in prop::collection::vec(line(), 0..40)) {
        let text = format!("{HEAD}{}", lines.join("\n"));
        let analysed = analysed(&text);
        prop_assert_eq!(&spliced(&text), &analysed);
        let analysed: Vec<String> = analysed.into_iter().map(|(first, _)| first).collect();
        prop_assert_eq!(rewritten(&text), analysed);
    }
}
