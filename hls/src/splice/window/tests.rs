use super::*;
use crate::splice::Splice;

const LONGEST: Window = Window::Newest(Duration::from_secs(10));

/// A live playlist, segment by segment: two seconds each, and what stands in front of it.
fn playlist(head: &str, segments: &[(u64, &str)]) -> String {
    let first = segments.first().map_or(0, |first| first.0);
    let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{head}");
    let segments = segments.iter().map(|(n, tags)| format!("{tags}#EXTINF:2,\n{n}.ts\n"));
    head + &segments.collect::<String>()
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<(u64, &'static str)> {
    numbers.map(|number| (number, "")).collect()
}

fn shortened(text: &str, window: Window) -> Option<String> {
    Splice::plain("a".into(), 2).shortened(text.as_bytes(), window, false)
}

/// What stands above the first segment's EXTINF, and the segments by name.
fn check(text: &str, head: &str, names: &[&str]) {
    let short = shortened(text, LONGEST).unwrap_or_else(|| panic!("nothing is left out: {text}"));
    let (above, _) = short.split_once("#EXTINF").unwrap();
    assert_eq!(above, format!("#EXTM3U\n{head}"), "{short}");
    let shown: Vec<&str> = short.lines().filter_map(|line| line.strip_suffix(".ts")).collect();
    assert_eq!(shown, names, "{short}");
}

const NAMES: [&str; 5] = ["24", "25", "26", "27", "28"];

#[test]
fn the_oldest_leave() {
    let head = "#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:24\n";
    let version = "#EXT-X-VERSION:6\n";
    let mut tagged = numbered(20..29);
    check(&playlist(version, &tagged), &format!("{head}#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), &NAMES);

    // Two have left, and one stands at the head.
    for at in [1, 2, 4] {
        tagged[at].1 = "#EXT-X-DISCONTINUITY\n";
    }
    check(
        &playlist(&format!("{version}#EXT-X-DISCONTINUITY-SEQUENCE:7\n"), &tagged),
        &format!("{head}#EXT-X-DISCONTINUITY-SEQUENCE:9\n#EXT-X-DISCONTINUITY\n"),
        &NAMES,
    );
}

#[test]
fn what_applies_is_said_again_at_the_head() {
    let key = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"";
    let map = "#EXT-X-MAP:URI=\"m.mp4\"\n";
    let date = |second| format!("#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:{second}Z\n");
    let tags = format!("{key}\n{map}{}", date("00.000"));
    let mut segments = numbered(20..29);
    segments[0].1 = &tags;
    let head = "#EXT-X-VERSION:1\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:24\n\
                #EXT-X-DISCONTINUITY-SEQUENCE:0\n";
    let iv = ",IV=0x00000000000000000000000000000018\n";
    check(
        &playlist("", &segments),
        // Four segments later.
        &format!("{head}{key}{iv}{map}{}", date("08.000")),
        &NAMES,
    );

    // What ended before has, but for the map, which was encrypted with it.
    let (none, told) = ("#EXT-X-KEY:METHOD=NONE\n", date("40.5"));
    segments[3].1 = none;
    segments[4].1 = &told;
    check(&playlist("", &segments), &format!("{head}{key}\n{map}{none}{told}"), &NAMES);
}

#[test]
fn what_speaks_of_the_whole() {
    let dates = "#EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2027-01-15T08:00:00Z\"\n";
    let text = playlist(
        &format!(
            "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12\n{dates}"
        ),
        &numbered(20..29),
    );
    check(
        &text,
        &format!(
            "#EXT-X-VERSION:1\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:24\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n{dates}"
        ),
        &NAMES,
    );
}

#[test]
fn nothing_is_left_out() {
    let long = playlist("", &numbered(20..29));
    for (what, text, window) in [
        ("as long as the window", playlist("", &numbered(20..25)), LONGEST),
        ("no window", long.clone(), Window::Whole),
        ("all of it was there", long.clone(), Window::From(20)),
        ("it never changes", playlist("#EXT-X-PLAYLIST-TYPE:VOD\n", &numbered(20..29)), LONGEST),
        (
            "three target durations are needed",
            long.replace("DURATION:2", "DURATION:6"),
            Window::Newest(Duration::from_secs(4)),
        ),
        ("three segments are", playlist("", &numbered(20..23)).replace(":2,", ":9,"), LONGEST),
        ("no durations", long.replace("#EXTINF:2,", "#EXTINF:,"), LONGEST),
        (
            "a delta",
            playlist("#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n", &numbered(20..29)),
            Window::Newest(Duration::from_secs(2)),
        ),
    ] {
        assert_eq!(shortened(&text, window), None, "{what}");
    }
}

#[test]
fn what_has_left_does_not_come_back() {
    let text = playlist("", &numbered(20..29)) + "#EXT-X-ENDLIST\n";
    let splice = Splice::plain("a".into(), 2);
    let short = splice.shortened(text.as_bytes(), Window::From(27), true).unwrap();
    assert!(short.contains("#EXT-X-MEDIA-SEQUENCE:27\n"), "{short}");
    assert!(short.ends_with("#EXTINF:2,\n27.ts\n#EXTINF:2,\n28.ts\n#EXT-X-ENDLIST\n"), "{short}");
}

#[test]
fn what_is_certainly_short_is_not_taken_apart() {
    for (target_duration, segments, expected) in
        [(Some(1.0), 5, true), (Some(1.0), 6, false), (Some(0.0), 1, false), (None, 1, false)]
    {
        let tempo = Tempo { target_duration, segments, ..Tempo::default() };
        assert_eq!(LONGEST.holds(&tempo), expected, "{tempo:?}");
        assert!(Window::Whole.holds(&tempo) && !Window::From(0).holds(&tempo));
    }
}
