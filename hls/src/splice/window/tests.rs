use super::*;
use crate::splice::Splice;

const TEN_SECOND_WINDOW: PlaylistWindow = PlaylistWindow::MaxDuration(Duration::from_secs(10));

/// A live playlist of two-second segments, each with the tags before it.
fn playlist(head: &str, segments: &[(u64, &str)]) -> String {
    let first = segments.first().map_or(0, |first| first.0);
    let head = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n{head}");
    let segments = segments.iter().map(|(n, tags)| format!("{tags}#EXTINF:2,\n{n}.ts\n"));
    head + &segments.collect::<String>()
}

fn numbered(numbers: std::ops::Range<u64>) -> Vec<(u64, &'static str)> {
    numbers.map(|number| (number, "")).collect()
}

fn shortened(text: &str, window: PlaylistWindow) -> Option<String> {
    Splice::initial("a".into(), 2).render_initial(text.as_bytes(), &[], window, false)
}

/// Checks the shortened playlist: the text above the first EXTINF, and the names of the segments.
fn check(text: &str, head: &str, names: &[&str]) {
    let shortened_text =
        shortened(text, TEN_SECOND_WINDOW).unwrap_or_else(|| panic!("nothing is left out: {text}"));
    let (header, _) = shortened_text.split_once("#EXTINF").unwrap();
    assert_eq!(header, format!("#EXTM3U\n{head}"), "{shortened_text}");
    let listed: Vec<&str> =
        shortened_text.lines().filter_map(|line| line.strip_suffix(".ts")).collect();
    assert_eq!(listed, names, "{shortened_text}");
}

const NAMES: [&str; 5] = ["24", "25", "26", "27", "28"];

#[test]
fn the_oldest_segments_are_removed() {
    let head = "#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:24\n";
    let version = "#EXT-X-VERSION:6\n";
    let mut tagged = numbered(20..29);
    check(&playlist(version, &tagged), &format!("{head}#EXT-X-DISCONTINUITY-SEQUENCE:0\n"), &NAMES);

    // Two discontinuities are removed, and one precedes the first segment.
    for index in [1, 2, 4] {
        tagged[index].1 = "#EXT-X-DISCONTINUITY\n";
    }
    check(
        &playlist(&format!("{version}#EXT-X-DISCONTINUITY-SEQUENCE:7\n"), &tagged),
        &format!("{head}#EXT-X-DISCONTINUITY-SEQUENCE:9\n#EXT-X-DISCONTINUITY\n"),
        &NAMES,
    );
}

#[test]
fn tags_in_force_are_repeated_before_the_first_segment() {
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
        // The date of the first segment, which is four segments later.
        &format!("{head}{key}{iv}{map}{}", date("08.000")),
        &NAMES,
    );

    // A key that ended before the first segment no longer applies, except to the map, which was
    // encrypted with it.
    let (none, date_tag) = ("#EXT-X-KEY:METHOD=NONE\n", date("40.5"));
    segments[3].1 = none;
    segments[4].1 = &date_tag;
    check(&playlist("", &segments), &format!("{head}{key}\n{map}{none}{date_tag}"), &NAMES);
}

#[test]
fn tags_of_the_whole_playlist_are_kept() {
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
fn a_playlist_inside_the_window_is_unchanged() {
    let long = playlist("", &numbered(20..29));
    for (what, text, window) in [
        ("as long as the window", playlist("", &numbered(20..25)), TEN_SECOND_WINDOW),
        ("no window", long.clone(), PlaylistWindow::Unlimited),
        ("all of it was there", long.clone(), PlaylistWindow::FromNumber(20)),
        (
            "it never changes",
            playlist("#EXT-X-PLAYLIST-TYPE:VOD\n", &numbered(20..29)),
            TEN_SECOND_WINDOW,
        ),
        (
            "three target durations are needed",
            long.replace("DURATION:2", "DURATION:6"),
            PlaylistWindow::MaxDuration(Duration::from_secs(4)),
        ),
        (
            "three segments are",
            playlist("", &numbered(20..23)).replace(":2,", ":9,"),
            TEN_SECOND_WINDOW,
        ),
        ("no durations", long.replace("#EXTINF:2,", "#EXTINF:,"), TEN_SECOND_WINDOW),
        (
            "a delta",
            playlist("#EXT-X-SKIP:SKIPPED-SEGMENTS=9\n", &numbered(20..29)),
            PlaylistWindow::MaxDuration(Duration::from_secs(2)),
        ),
    ] {
        assert_eq!(shortened(&text, window), None, "{what}");
    }
}

#[test]
fn what_is_gone_is_not_shown() {
    let text = playlist("", &numbered(20..29));
    for (number, expected) in [(0, 24), (24, 24), (26, 26), (29, 29)] {
        let window = PlaylistWindow::MaxDurationFrom(Duration::from_secs(10), number);
        let shown = shortened(&text, window).unwrap();
        assert!(shown.contains(&format!("#EXT-X-MEDIA-SEQUENCE:{expected}\n")) || expected == 29);
        assert_eq!(shown.matches("#EXTINF").count() as u64, 29 - expected, "{number}: {shown}");
    }
}

#[test]
fn removed_segments_do_not_come_back() {
    let text = playlist("", &numbered(20..29)) + "#EXT-X-ENDLIST\n";
    let splice = Splice::initial("a".into(), 2);
    let shortened_text =
        splice.render_initial(text.as_bytes(), &[], PlaylistWindow::FromNumber(27), true).unwrap();
    assert!(shortened_text.contains("#EXT-X-MEDIA-SEQUENCE:27\n"), "{shortened_text}");
    assert!(
        shortened_text.ends_with("#EXTINF:2,\n27.ts\n#EXTINF:2,\n28.ts\n#EXT-X-ENDLIST\n"),
        "{shortened_text}"
    );
}

#[test]
fn a_certainly_short_playlist_is_not_parsed() {
    for (target_duration, segments, expected) in
        [(Some(1.0), 5, true), (Some(1.0), 6, false), (Some(0.0), 1, false), (None, 1, false)]
    {
        let timing = PlaylistTiming {
            target_duration,
            segment_count: segments,
            ..PlaylistTiming::default()
        };
        assert_eq!(TEN_SECOND_WINDOW.can_hold(&timing), expected, "{timing:?}");
        assert!(
            PlaylistWindow::Unlimited.can_hold(&timing)
                && !PlaylistWindow::FromNumber(0).can_hold(&timing)
        );
    }
}

#[test]
fn what_a_playlist_lists_tells_whether_the_window_holds_it() {
    let whole = playlist("", &numbered(20..25));
    let longer = whole.replacen(":2,", ":2.1,", 1);
    let hidden = longer.replacen("#EXTINF:", "#EXTINF :", 1);
    let quoted = whole.replacen("#EXTINF:2,", "#EXTINF:2,a#EXTINF:9,", 1);
    for (text, expected) in [(&whole, true), (&longer, false), (&hidden, false), (&quoted, true)] {
        let timing = PlaylistTiming { segment_count: 5, ..PlaylistTiming::default() };
        assert_eq!(TEN_SECOND_WINDOW.holds_listed(text.as_bytes(), &timing), expected, "{text}");
    }
}
