use super::*;
use crate::splice::SegmentedPlaylist;

/// A live playlist of two-second segments from 20 on, each with the tags before it.
fn playlist(head: &str, tags: &[&str]) -> String {
    let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{head}#EXT-X-MEDIA-SEQUENCE:20\n");
    let segment = |(n, tags): (usize, &&str)| format!("{tags}#EXTINF:2,\n{}.ts\n", 20 + n);
    head + &tags.iter().enumerate().map(segment).collect::<String>()
}

fn delta(text: &str) -> Option<String> {
    write_delta_update(text.as_bytes()).map(|delta| String::from_utf8(delta).unwrap())
}

const OFFER: &str = "#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12\n";

#[test]
fn long_live_playlists_offer_delta_updates() {
    let ten = Duration::from_secs(10);
    let five = |head: &str| playlist(head, &[""; 5]);
    let added = |head: &str| {
        five(&format!("{head}{OFFER}")).replace(
            &format!("#EXT-X-TARGETDURATION:2\n{head}{OFFER}"),
            &format!("{OFFER}#EXT-X-TARGETDURATION:2\n{head}"),
        )
    };
    for (what, text, expected) in [
        ("long", five(""), Some(added(""))),
        ("a version", five("#EXT-X-VERSION:3\n"), Some(added("#EXT-X-VERSION:3\n"))),
        ("short", playlist("", &[""; 4]), None),
        ("ended", five("") + "#EXT-X-ENDLIST\n", None),
        ("it offers them", five(OFFER), None),
        (
            "other offers",
            five("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n"),
            Some(five("#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12,CAN-BLOCK-RELOAD=YES\n")),
        ),
        ("no target duration", five("").replace("#EXT-X-TARGETDURATION:2\n", ""), None),
        (
            "a fraction",
            five("").replace("DURATION:2\n", "DURATION:1.5\n"),
            Some(added("").replace("DURATION:2\n", "DURATION:1.5\n")),
        ),
    ] {
        let offered = offer_delta_updates(text.as_bytes(), ten);
        assert_eq!(offered.map(|text| String::from_utf8(text).unwrap()), expected, "{what}");
    }
}

#[test]
fn what_a_delta_update_leaves_out() {
    let head = format!(
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n{OFFER}#EXT-X-MEDIA-SEQUENCE:20\n"
    );
    let segments =
        |from: u64| -> String { (from..30).map(|n| format!("#EXTINF:2,\n{n}.ts\n")).collect() };
    let (key, map) = ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n", "#EXT-X-MAP:URI=\"m\"\n");
    let none = "#EXT-X-KEY:METHOD=NONE\n";
    let skip = "#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n";
    let with_tags = |index: usize, text: &str| {
        let mut tags = vec![""; 10];
        tags[index] = text;
        playlist(OFFER, &tags)
    };
    let expected =
        |before: &str, after: &str| Some(format!("{head}{before}{skip}{after}{}", segments(24)));
    let range = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2027-01-15T08:00:00Z\"\n";
    let key_then_map = format!("{key}{map}");
    let map_then_key = format!("{map}{key}");
    for (what, text, expected) in [
        ("plain", playlist(OFFER, &[""; 10]), expected("", "")),
        ("a comment", with_tags(1, "# old\n"), expected("", "")),
        ("a date range", with_tags(1, range), expected(range, "")),
        ("a key and a map", with_tags(0, &key_then_map), expected("", &key_then_map)),
        ("a clear map", with_tags(0, &map_then_key), expected("", &map_then_key)),
        (
            "the key ends",
            with_tags(2, &format!("{key}{map}{none}")),
            expected("", &format!("{key}{map}{none}")),
        ),
        ("a key that has ended", with_tags(2, &format!("{key}{none}")), expected("", "")),
        ("a discontinuity left out", with_tags(3, "#EXT-X-DISCONTINUITY\n"), expected("", "")),
        (
            "the first that is listed has one",
            with_tags(4, "#EXT-X-DISCONTINUITY\n"),
            expected("", "#EXT-X-DISCONTINUITY\n"),
        ),
        ("all is near the end", playlist(OFFER, &[""; 6]), None),
        ("no offer", playlist("", &[""; 10]), None),
        ("a range that continues", with_tags(4, "#EXT-X-BYTERANGE:9\n"), None),
        (
            "a range of its own",
            with_tags(4, "#EXT-X-BYTERANGE:9@4\n"),
            expected("", "#EXT-X-BYTERANGE:9@4\n"),
        ),
        ("a delta already", playlist(&format!("{OFFER}{skip}"), &[""; 10]), None),
    ] {
        assert_eq!(delta(&text), expected, "{what}");
    }
}

/// A player that has the skipped segments knows of the others what the whole playlist says.
#[test]
fn the_listed_segments_are_those_of_the_whole_playlist() {
    let tags = [
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP:URI=\"m\"\n",
        "#EXT-X-DISCONTINUITY\n",
        "",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"l\"\n",
        "",
        "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"n\"\n",
        "",
        "",
        "",
        "",
    ];
    let text = playlist(OFFER, &tags);
    let whole = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
    let delta = delta(&text).unwrap();
    // The same text with numbers instead of the skipped segments.
    let listed = delta
        .replace("#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n", "")
        .replace("#EXT-X-MEDIA-SEQUENCE:20", "#EXT-X-MEDIA-SEQUENCE:24");
    let listed = listed.replace(OFFER, &format!("{OFFER}#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
    let listed = SegmentedPlaylist::parse(listed.as_bytes()).unwrap();
    assert_eq!(listed.segments, whole.segments[4..]);
}
