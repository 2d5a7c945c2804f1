use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::analysis::{Playlist, parse_playlist};
use crate::limits::PlaylistLimits;
use crate::variables::Variables;

/// A live source with an endless sequence of segments; its playlist lists those inside the window
/// at a given time.
#[derive(Clone, Debug)]
struct LiveSource {
    name: &'static str,
    /// Media sequence number of the segment that begins at second 0.
    offset: u64,
    /// Duration of a segment in seconds.
    duration: u64,
    window: u64,
    dated: bool,
    /// AES-128 without an explicit IV, so that the media sequence number is the IV.
    encrypted: bool,
    map: bool,
    /// Interval of the source's own discontinuities, in segments.
    breaks: Option<u64>,
    /// EXT-X-DISCONTINUITY-SEQUENCE counts them.
    counts: bool,
}

impl LiveSource {
    /// The source's playlist at a time in seconds.
    fn playlist_at(&self, second: u64) -> String {
        let next = self.offset + second / self.duration;
        let first = next.saturating_sub(self.window);
        let is_break = |n: u64| self.breaks.is_some_and(|every| n.is_multiple_of(every));
        // Number of discontinuities removed from the playlist; a tag before the first listed
        // segment is not removed.
        let removed = self.breaks.map_or(0, |every| first.div_ceil(every));
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n",
            self.duration
        );
        if self.counts {
            text += &format!("#EXT-X-DISCONTINUITY-SEQUENCE:{removed}\n");
        }
        if self.encrypted {
            text += &format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{}.key\"\n", self.name);
        }
        if self.map {
            text += &format!("#EXT-X-MAP:URI=\"{}.mp4\"\n", self.name);
        }
        for number in first..next {
            if is_break(number) {
                text += "#EXT-X-DISCONTINUITY\n";
            }
            if self.dated {
                text += &format!("#EXT-X-PROGRAM-DATE-TIME:{}\n", self.date(number));
            }
            text += &format!("#EXTINF:{},\n{}-{number}.ts\n", self.duration, self.name);
        }
        text
    }

    fn date(&self, number: u64) -> jiff::Timestamp {
        let second = (number as i64 - self.offset as i64) * self.duration as i64;
        jiff::Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn segmented_at(&self, second: u64) -> SegmentedPlaylist {
        SegmentedPlaylist::parse(self.playlist_at(second).as_bytes()).unwrap()
    }
}

/// Properties of a segment that must not change while players see it.
#[derive(Clone, Debug, PartialEq)]
struct PlayerSegment {
    uri: String,
    discontinuity: u64,
    key: Option<(String, u128)>,
    map: Option<String>,
}

/// Parses a playlist as a player does; returns its segments by media sequence number.
fn read_segments(text: &str) -> BTreeMap<u64, PlayerSegment> {
    let base = Url::parse("http://edge.test/live/w/").unwrap();
    let analysed =
        parse_playlist(text.as_bytes(), &base, &Variables::default(), &PlaylistLimits::default())
            .unwrap();
    let Playlist::Media(media) = analysed else { panic!("{text}") };
    let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    // Two consecutive EXT-X-DISCONTINUITY tags count twice.
    let mut tags = 0;
    let counts = text.lines().filter_map(|line| {
        tags += u64::from(line == "#EXT-X-DISCONTINUITY");
        (!line.is_empty() && !line.starts_with('#')).then_some(tags)
    });
    let segments = media.segments.iter().zip(counts).map(|(segment, tags)| {
        let discontinuity = media.discontinuity_sequence + tags;
        let key = segment.key.as_ref().filter(|key| key.method != "NONE").map(|key| {
            (name(key.url.as_deref().unwrap()), key.iv.unwrap_or(u128::from(segment.sequence)))
        });
        let map = segment.map.as_ref().map(|map| name(&map.url));
        let uri = name(&segment.url);
        (segment.sequence, PlayerSegment { uri, discontinuity, key, map })
    });
    segments.collect()
}

/// An edge that publishes one of two sources, and all that a player has seen of it.
struct TestEdge {
    sources: [LiveSource; 2],
    playing: usize,
    window: PlaylistWindow,
    splice: Option<Splice>,
    seen: BTreeMap<u64, PlayerSegment>,
    head: u64,
    /// The segments of the last published playlist.
    published: Vec<Segment>,
}

impl TestEdge {
    fn of(sources: [LiveSource; 2]) -> Self {
        let (seen, window) = (BTreeMap::new(), PlaylistWindow::Unlimited);
        Self { sources, playing: 0, window, splice: None, seen, head: 0, published: Vec::new() }
    }

    fn switch(&mut self, second: u64) {
        let published = SegmentedPlaylist::parse(self.poll(second).as_bytes()).unwrap();
        self.playing = 1 - self.playing;
        let source = &self.sources[self.playing];
        let (new, name) = (source.segmented_at(second), source.name.to_owned());
        self.splice =
            Some(Splice::plan_switch(self.splice.as_ref(), &published, Duration::ZERO, &new, name));
    }

    /// Reloads the playlist as a player does.
    fn poll(&mut self, second: u64) -> String {
        let text = self.sources[self.playing].playlist_at(second);
        let Some(splice) = &self.splice else {
            let splice = Splice::initial("a".into(), 0);
            let rendered =
                splice.render_initial(text.as_bytes(), &self.published, self.window, false);
            let text = rendered.unwrap_or(text);
            self.check_playlist(&text);
            return text;
        };
        let mut playlist = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
        splice.renumber_discontinuities(&mut playlist, &self.published);
        // Another edge renders the same playlist from the record, which it reads from the store.
        let record: Splice = serde_json::from_str(&serde_json::to_string(splice).unwrap()).unwrap();
        let rendered = splice.render(&playlist, self.window, false).unwrap();
        assert_eq!(record.render(&playlist, self.window, false).unwrap(), rendered);
        self.check_playlist(&rendered);
        rendered
    }

    fn check_playlist(&mut self, text: &str) {
        self.published = SegmentedPlaylist::parse(text.as_bytes()).unwrap().segments;
        let segments = read_segments(text);
        let Some((&first, _)) = segments.first_key_value() else { return };
        assert!(first >= self.head, "it steps back from {} to {first}: {text}", self.head);
        self.head = first;
        for (number, segment) in segments {
            let known = self.seen.entry(number).or_insert_with(|| segment.clone());
            assert_eq!(*known, segment, "{number} has changed: {text}");
        }
    }
}

fn source(name: &'static str, offset: u64) -> LiveSource {
    LiveSource {
        name,
        offset,
        duration: 2,
        window: 4,
        dated: true,
        encrypted: false,
        map: false,
        breaks: None,
        counts: true,
    }
}

#[test]
fn a_switch_by_date_replays_nothing_and_skips_nothing() {
    let (old, new) = (source("a", 100), source("b", 7000));
    let mut edge = TestEdge::of([old, LiveSource { encrypted: true, map: true, ..new }]);
    edge.poll(20);
    edge.switch(20);
    assert_eq!(
        edge.poll(22),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:107\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n\
         #EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:14Z\n#EXTINF:2,\na-107.ts\n\
         #EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:16Z\n#EXTINF:2,\na-108.ts\n\
         #EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:18Z\n#EXTINF:2,\na-109.ts\n\
         #EXT-X-DISCONTINUITY\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"b.key\",IV=0x00000000000000000000000000001b62\n\
         #EXT-X-MAP:URI=\"b.mp4\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:20Z\n#EXTINF:2,\nb-7010.ts\n"
    );
}

#[test]
fn the_next_source_begins_where_the_last_one_ended() {
    let old = source("a", 100);
    for (what, new, second, expected) in [
        ("at the same moment: with what comes next", source("b", 7000), 20, 7010),
        ("one that is ahead has it already", source("b", 7000), 24, 7010),
        (
            "one without dates: with the newest",
            LiveSource { dated: false, ..source("b", 7000) },
            20,
            7009,
        ),
        ("one that is late by two segments is waited for", source("b", 7000), 16, 7010),
        ("one that is late by more begins with its newest", source("b", 7000), 14, 7006),
        (
            "longer segments: the one that holds most of what follows",
            LiveSource { duration: 3, ..source("b", 7000) },
            22,
            7007,
        ),
    ] {
        let (old, new) = (old.segmented_at(20), new.segmented_at(second));
        let splice = Splice::plan_switch(None, &old, Duration::ZERO, &new, "b".into());
        assert_eq!(splice.from.upstream, expected, "{what}");
        assert_eq!((splice.from.published, splice.from.discontinuity), (110, 1), "{what}");
    }
}

#[test]
fn segments_of_the_old_source_are_removed_one_by_one() {
    let mut edge = TestEdge::of([source("a", 100), source("b", 0)]);
    edge.poll(20);
    edge.switch(20);
    for (second, head, sequence) in
        [(20, "a-106.ts", 0), (24, "a-108.ts", 0), (28, "b-10.ts", 0), (30, "b-11.ts", 1)]
    {
        let text = edge.poll(second);
        assert_eq!(read_segments(&text).first_key_value().unwrap().1.uri, head, "{second}: {text}");
        let sequence = format!("#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n");
        assert!(text.contains(&sequence), "{second}: {text}");
    }
}

/// Without EXT-X-DISCONTINUITY-SEQUENCE the tags that have left the playlist are counted here.
#[test]
fn uncounted_discontinuities_are_counted() {
    let uncounted =
        |name, offset| LiveSource { breaks: Some(5), counts: false, ..source(name, offset) };
    let mut edge = TestEdge::of([uncounted("a", 100), uncounted("b", 7000)]);
    for (second, switches, expected) in [
        (10, false, 1),
        (20, false, 2),
        (30, false, 3),
        (40, true, 5),
        (50, false, 6),
        (60, false, 7),
    ] {
        if switches {
            edge.switch(second - 8);
        }
        for second in (second - 8..=second).step_by(2) {
            edge.poll(second);
        }
        let last = edge.published.last().unwrap().discontinuity;
        assert_eq!(last, expected, "{second}");
    }
}

#[test]
fn a_source_whose_numbers_step_back_is_rejected() {
    let mut edge = TestEdge::of([source("a", 100), source("b", 7000)]);
    edge.switch(20);
    let splice = edge.splice.unwrap();
    let restarted = source("b", 0).segmented_at(20);
    assert_eq!(
        splice.render(&restarted, PlaylistWindow::Unlimited, false),
        Err(SequenceRegression { newest: 9, published: 7009 })
    );
}

#[test]
fn numbers_are_translated_both_ways() {
    let mut edge = TestEdge::of([source("a", 100), source("b", 7000)]);
    edge.switch(20);
    let splice = edge.splice.unwrap();
    for (upstream, published) in [(7010, Some(110)), (7012, Some(112)), (7009, None)] {
        assert_eq!(splice.published_number(upstream), published);
        if let Some(published) = published {
            assert_eq!(splice.upstream_number(published), Some(upstream));
        }
    }
    assert_eq!(splice.upstream_number(109), None);
}

#[test]
fn tags_of_the_whole_playlist_are_kept() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n\
        #EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=-3\n#EXT-X-OTHER:1\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5\n\
        #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2027-01-15\"\n\
        #EXTINF:2,\n#EXT-X-BYTERANGE:10@90\nfile.ts\n#EXT-X-BYTERANGE:20\n#EXTINF:2,\nfile.ts\n\
        #EXT-X-PART:DURATION=0.5,URI=\"p.ts\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q.ts\"\n\
        #EXT-X-RENDITION-REPORT:URI=\"x.m3u8\",LAST-MSN=6\n#EXT-X-ENDLIST\n";
    let new = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
    let old = LiveSource { window: 1, ..source("a", 100) }.segmented_at(20);
    let splice = Splice::plan_switch(None, &old, Duration::ZERO, &new, "b".into());
    assert_eq!(
        splice.render(&new, PlaylistWindow::Unlimited, true).unwrap(),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:110\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-OTHER:1\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
         #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-DATERANGE:ID=\"1-ad\",START-DATE=\"2027-01-15\"\n\
         #EXT-X-DISCONTINUITY\n#EXT-X-BYTERANGE:20@100\n#EXTINF:2,\nfile.ts\n\
         #EXT-X-PART:DURATION=0.5,URI=\"p.ts\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q.ts\"\n\
         #EXT-X-ENDLIST\n"
    );
}

/// Partial segments belong to the active source: those of another source may be longer than its
/// part target, and a source may have none.
#[test]
fn parts_end_with_their_source() {
    let part = |name: &str| format!("#EXT-X-PART:DURATION=1,URI=\"{name}.ts\"\n");
    let text = |head: &str, first: u64, name: &str, parts: [&str; 2], trailer: &str| {
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{head}#EXT-X-MEDIA-SEQUENCE:{first}\n\
             {}#EXTINF:2,\n{name}0.ts\n{}#EXTINF:2,\n{name}1.ts\n{trailer}",
            parts[0], parts[1]
        )
    };
    let info = "#EXT-X-PART-INF:PART-TARGET=1\n";
    let (a, b) = (part("a"), part("b"));
    let hint = "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"h.ts\"\n";
    let behind = |tag: &str| format!("{tag}{b}{hint}");
    for (what, new, parts, expected) in [
        ("to one without", text("", 70, "b", ["", ""], ""), 0, ""),
        ("to one with them", text(info, 70, "b", [&b, &b], &behind("")), 2, hint),
        (
            "behind a discontinuity",
            text(info, 70, "b", [&b, &b], &behind("#EXT-X-DISCONTINUITY\n")),
            1,
            "",
        ),
        (
            "behind another map",
            text(info, 70, "b", [&b, &b], &behind("#EXT-X-MAP:URI=\"2.mp4\"\n")),
            1,
            "",
        ),
    ] {
        let old = SegmentedPlaylist::parse(text(info, 5, "a", [&a, &a], "").as_bytes()).unwrap();
        let new = SegmentedPlaylist::parse(new.as_bytes()).unwrap();
        let splice = Splice::plan_switch(None, &old, Duration::ZERO, &new, "b".into());
        let text = splice.render(&new, PlaylistWindow::Unlimited, false).unwrap();
        assert!(text.contains("a1.ts\n") && text.contains("b1.ts\n"), "{what}: {text}");
        assert!(!text.contains(&a), "{what}: {text}");
        assert_eq!(text.matches(&*b).count(), parts, "{what}: {text}");
        assert_eq!(text.contains(info), parts > 0, "{what}: {text}");
        assert_eq!(text.ends_with(hint), !expected.is_empty(), "{what}: {text}");
    }
}

#[test]
fn the_first_source_is_published_as_it_comes() {
    let splice = Splice::initial("a".into(), 6);
    assert!(splice.is_initial());
    for number in [0, 7, 1 << 40] {
        assert_eq!(splice.published_number(number), Some(number));
        assert_eq!(splice.upstream_number(number), Some(number));
        assert_eq!(splice.next_published_number(number), Some(number));
    }
}

#[test]
fn target_duration_and_end_are_overridden() {
    const TEXT: &str =
        "#EXTM3U\r\n#EXT-X-TARGETDURATION:4.2\r\n#EXTINF:4,\r\na.ts\r\n#EXT-X-ENDLIST";
    for (target_duration, ended, expected) in [
        (5, true, None),
        (0, true, None),
        (6, true, Some("#EXTM3U\r\n#EXT-X-TARGETDURATION:6\n#EXTINF:4,\r\na.ts\r\n#EXT-X-ENDLIST")),
        (5, false, Some("#EXTM3U\r\n#EXT-X-TARGETDURATION:4.2\r\n#EXTINF:4,\r\na.ts\r\n")),
    ] {
        let result = override_playlist_tags(TEXT.as_bytes(), target_duration, ended);
        assert_eq!(result.as_deref(), expected.map(str::as_bytes), "{target_duration} {ended}");
    }
}

/// Players stop on a segment whose discontinuity sequence number changes.
#[test]
fn segments_keep_their_discontinuity_though_the_source_miscounts() {
    const EXPECTED: [(u64, u64); 6] = [(10, 7), (11, 7), (12, 8), (13, 8), (14, 8), (15, 8)];
    // First number and EXT-X-DISCONTINUITY-SEQUENCE of each playlist; the tag stands before 12.
    for (what, polls) in [
        ("as the standard says", [(10, 7), (11, 7), (12, 7), (13, 8)]),
        ("a tag is counted while it is there", [(10, 7), (11, 7), (12, 8), (13, 8)]),
        ("no tag is counted", [(10, 7), (11, 7), (12, 7), (13, 7)]),
        ("a tag is counted late", [(10, 7), (12, 7), (13, 7), (13, 8)]),
    ] {
        let splice = Splice::initial("a".into(), 2);
        let mut published = Vec::new();
        for (first, sequence) in polls {
            let mut text = format!(
                "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n"
            );
            for number in first..first + 3 {
                let tag = if number == 12 { "#EXT-X-DISCONTINUITY\n" } else { "" };
                text += &format!("{tag}#EXTINF:2,\n{number}.ts\n");
            }
            let window = PlaylistWindow::Unlimited;
            let rendered = splice.render_initial(text.as_bytes(), &published, window, false);
            let text = rendered.unwrap_or(text);
            published = SegmentedPlaylist::parse(text.as_bytes()).unwrap().segments;
            for segment in &published {
                let seen = (segment.number, segment.discontinuity);
                assert!(EXPECTED.contains(&seen), "{what}: {seen:?} of {text}");
            }
        }
    }
}

#[test]
fn the_target_duration_covers_every_segment() {
    for (stated, segments, expected) in [
        ("4", &["4", "4.4"][..], 4),
        ("4", &["4", "4.5", "2"], 5),
        ("2.0", &["1.9"], 2),
        ("6.006", &["6.006"], 7),
        ("0", &["6"], 6),
        ("1", &["12"], 12),
        ("x", &["6"], 6),
        ("10", &["100.4"], 100),
        // Errors of a source.
        ("10", &["101", "9"], 10),
        ("2", &["61"], 2),
        ("2", &["99999999999999999999"], 2),
        ("4", &[], 4),
    ] {
        let segments: String = segments.iter().map(|one| format!("#EXTINF:{one},\na\n")).collect();
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{stated}\n{segments}");
        assert_eq!(required_target_duration(text.as_bytes()), expected, "{text}");
    }
}

/// A tag is overridden however its line is written, as long as players take it for the tag.
#[test]
fn tags_are_overridden_in_any_spelling() {
    for (text, expected) in [
        ("#EXTM3U\r#EXT-X-ENDLIST\ra.ts\r", Some("#EXTM3U\ra.ts\r")),
        ("#EXTM3U\r#EXT-X-TARGETDURATION:4\ra.ts", Some("#EXTM3U\r#EXT-X-TARGETDURATION:6\na.ts")),
        ("#EXTM3U\n \t#EXT-X-ENDLIST \nb\n", Some("#EXTM3U\nb\n")),
        ("#EXTM3U\n#EXT-X-TARGETDURATION : 4\n", Some("#EXTM3U\n#EXT-X-TARGETDURATION:6\n")),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:6\n# #EXT-X-ENDLIST\n", None),
    ] {
        let result = override_playlist_tags(text.as_bytes(), 6, false);
        assert_eq!(result.as_deref(), expected.map(str::as_bytes), "{text}");
    }
}

/// What describes the first segment goes with it, and is not repeated above later ones.
#[test]
fn tags_of_the_first_segment_leave_with_it() {
    let window = PlaylistWindow::MaxDuration(Duration::from_secs(6));
    for (tag, is_kept) in [
        ("#EXT-X-CUE-OUT:30", false),
        ("#EXT-OATCLS-SCTE35:/DAl==", false),
        ("#EXT-X-TILES:LAYOUT=5x4", false),
        ("#EXT-X-TWITCH-PREFETCH:a", false),
        ("#EXT-X-GAP", false),
        ("#EXT-X-BITRATE:9", false),
        ("#EXT-X-I-FRAMES-ONLY", true),
        ("#EXT-X-VENDOR:1", true),
    ] {
        let segments: String = (0..5).map(|number| format!("#EXTINF:2,\n{number}.ts\n")).collect();
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{tag}\n{segments}");
        let initial = Splice::initial("a".into(), 2);
        let shortened = initial.render_initial(text.as_bytes(), &[], window, false).unwrap();
        assert_eq!(shortened.contains(tag), is_kept, "{shortened}");
    }
}

/// Players have nothing to begin with at a gap.
#[test]
fn no_source_begins_with_a_gap() {
    let old = source("a", 100).segmented_at(20);
    for (gaps, expected) in [([].as_slice(), 3), (&[3], 2), (&[1, 2, 3], 0), (&[0, 1, 2, 3], 3)] {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".to_owned();
        for number in 0..4 {
            let gap = if gaps.contains(&number) { "#EXT-X-GAP\n" } else { "" };
            text += &format!("#EXTINF:2,\n{gap}{number}.ts\n");
        }
        let new = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
        assert_eq!(
            Splice::plan_switch(None, &old, Duration::ZERO, &new, "b".into()).from.upstream,
            expected
        );
    }
}

/// A key stays in force until the next key of its format (RFC 8216bis, 4.4.4.4).
#[test]
fn a_key_format_that_the_next_source_lacks_is_ended() {
    const KEY: &str = "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n";
    const OTHER: &str = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"f\"\n";
    const NONE: &str = "#EXT-X-KEY:METHOD=NONE\n";
    let both = format!("{KEY}{OTHER}");
    for (old, new, expected) in [
        (KEY, KEY, KEY.to_owned()),
        (KEY, OTHER, format!("{NONE}{OTHER}")),
        (&both, KEY, format!("{NONE}{KEY}")),
        (KEY, &both, both.clone()),
        (&both, "", NONE.to_owned()),
        ("", &both, both.clone()),
    ] {
        let playlist = |keys: &str| {
            let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{keys}#EXTINF:2,\na.ts\n");
            SegmentedPlaylist::parse(text.as_bytes()).unwrap()
        };
        let (old, new) = (playlist(old), playlist(new));
        let splice = Splice::plan_switch(None, &old, Duration::ZERO, &new, "b".into());
        let splice = Splice { window: 2, ..splice };
        let text = splice.render(&new, PlaylistWindow::Unlimited, false).unwrap();
        let (_, after) = text.split_once("#EXT-X-DISCONTINUITY\n").unwrap();
        assert_eq!(after, format!("{expected}#EXTINF:2,\na.ts\n"), "{text}");
    }
}

/// The discontinuity sequence number of a splice is the same for all renditions, also for one that
/// had fewer discontinuities before.
#[test]
fn discontinuities_of_other_renditions_are_tagged() {
    let (old, new) = (source("a", 100).segmented_at(20), source("b", 7000).segmented_at(20));
    let mut splice = Splice::plan_switch(None, &old, Duration::ZERO, &new, "b".into());
    splice.from.discontinuity = 3;
    let later = source("b", 7000).segmented_at(22);
    let text = splice.render(&later, PlaylistWindow::Unlimited, false).unwrap();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 3, "{text}");
    let last = read_segments(&text).pop_last().unwrap().1;
    assert_eq!((last.uri.as_str(), last.discontinuity), ("b-7010.ts", 3));
}

#[test]
fn other_texts_than_media_playlists_are_rejected() {
    for (text, expected) in [
        ("", ParseError::NotAPlaylist),
        ("<html>", ParseError::NotAPlaylist),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n", ParseError::Multivariant),
        (
            "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:2,\nx\n",
            ParseError::NumbersExhausted,
        ),
        ("#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n", ParseError::DeltaUpdate),
    ] {
        assert_eq!(SegmentedPlaylist::parse(text.as_bytes()), Err(expected), "{text}");
    }
}

/// For each segment, its name, the key of its map and its own key, as a player derives them from
/// the order of the lines (RFC 8216bis, 4.4.4.4).
fn keys_of(text: &str) -> Vec<(String, String, String)> {
    let value = |line: &str| line.split('"').nth(1).unwrap_or("clear").to_owned();
    let (mut key, mut map) = ("clear".to_owned(), String::new());
    let mut found = Vec::new();
    for line in text.lines() {
        match line {
            _ if line.starts_with("#EXT-X-KEY:") => key = value(line),
            _ if line.starts_with("#EXT-X-MAP:") => map.clone_from(&key),
            _ if line.starts_with('#') => {}
            segment => found.push((segment.to_owned(), map.clone(), key.clone())),
        }
    }
    found
}

#[test]
fn a_map_keeps_the_key_under_which_it_was_declared() {
    let key = |name: &str| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{name}\",IV=0x1\n");
    let key_without_iv = |name: &str| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{name}\"\n");
    const MAP: &str = "#EXT-X-MAP:URI=\"i.mp4\"\n";
    const NONE: &str = "#EXT-X-KEY:METHOD=NONE\n";
    for (what, head, before_third) in [
        ("a clear map, encrypted segments", format!("{MAP}{}", key("k1")), String::new()),
        ("the number is the IV", format!("{MAP}{}", key_without_iv("k1")), String::new()),
        ("both under one key", format!("{}{MAP}", key("k1")), String::new()),
        ("the key changes, the map stays", format!("{}{MAP}", key("k1")), key("k2")),
        ("likewise by number", format!("{}{MAP}", key_without_iv("k1")), key_without_iv("k2")),
        ("a map under a key of its own", format!("{}{MAP}{}", key("m"), key("k1")), String::new()),
        ("clear segments", format!("{}{MAP}{NONE}", key("m")), String::new()),
        ("the map again under the next key", format!("{}{MAP}", key("k1")), key("k2") + MAP),
    ] {
        let text = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{head}#EXTINF:2,\n0.m4s\n#EXTINF:2,\n1.m4s\n\
             {before_third}#EXTINF:2,\n2.m4s\n#EXTINF:2,\n3.m4s\n#EXTINF:2,\n4.m4s\n\
             #EXTINF:2,\n5.m4s\n"
        );
        let source = keys_of(&text);
        let window = PlaylistWindow::MaxDuration(Duration::from_secs(8));
        let initial = Splice::initial("a".into(), 2);
        let shortened = initial.render_initial(text.as_bytes(), &[], window, false).unwrap();
        assert_eq!(keys_of(&shortened), source[2..], "{what}: {shortened}");
        let (empty, playlist) =
            (SegmentedPlaylist::default(), SegmentedPlaylist::parse(text.as_bytes()).unwrap());
        let mut spliced = Splice::plan_switch(None, &empty, Duration::ZERO, &playlist, "a".into());
        spliced.from =
            NumberMapping { published: 100, discontinuity: 1, ..NumberMapping::default() };
        let rendered = spliced.render(&playlist, PlaylistWindow::Unlimited, false).unwrap();
        assert_eq!(keys_of(&rendered), source, "{what}: {rendered}");
    }
}

#[test]
fn an_implicit_iv_is_written_out() {
    for (key, has_explicit_iv) in [
        ("METHOD=AES-128", true),
        ("METHOD=AES-256", true),
        ("METHOD=SAMPLE-AES", true),
        ("METHOD=SAMPLE-AES,KEYFORMAT=\"identity\"", true),
        ("METHOD=SAMPLE-AES,KEYFORMAT=\"com.apple.streamingkeydelivery\"", false),
        ("METHOD=AES-128,IV=0x7", false),
    ] {
        let text = format!("#EXTM3U\n#EXT-X-KEY:{key},URI=\"k\"\n#EXTINF:2,\n0.ts\n");
        let playlist = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
        assert_eq!(playlist.segments[0].key.contains(",IV=0x0000000"), has_explicit_iv, "{key}");
    }
}

fn sources() -> impl Strategy<Value = LiveSource> {
    (0_u64..1 << 40, 1_u64..5, 1_u64..8, any::<[bool; 4]>(), proptest::option::of(2_u64..5))
        .prop_map(|(offset, duration, window, [dated, encrypted, map, counts], breaks)| {
            LiveSource {
                name: "a",
                offset: offset + 10,
                duration,
                window,
                dated,
                encrypted,
                map,
                breaks,
                counts,
            }
        })
}

proptest! {
    /// Whatever the sources, the times of switches and the window: media sequence numbers never
    /// step back, a segment never changes once it was seen, and according to its date no content is
    /// shown twice within a source, and no more than two segments at a switch to one that is late.
    #[test]
    fn any_two_sources_make_one_playlist(
        first in sources(),
        second in sources(),
        max_duration in proptest::option::of(1_u64..20),
        steps in proptest::collection::vec((0_u64..6, any::<bool>()), 1..40),
    ) {
        // Both sources have a map or neither, because a player would apply the map of the first
        // source to a second one without.
        let map = first.map;
        let mut edge = TestEdge::of([first, LiveSource { name: "b", map, ..second }]);
        if let Some(max_duration) = max_duration {
            edge.window = PlaylistWindow::MaxDuration(Duration::from_secs(max_duration));
        }
        let mut now = 40;
        edge.poll(now);
        for (seconds, switches) in steps {
            now += seconds;
            if switches {
                edge.switch(now);
            }
            let text = edge.poll(now);
            let numbers: Vec<u64> = read_segments(&text).into_keys().collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{text}");
            if let Some(max_duration) = max_duration {
                let playlist = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
                let length = |segments: &[Segment]| segments.iter().map(|one| one.duration).sum();
                let (all, without_first): (f64, f64) =
                    (length(&playlist.segments), length(playlist.segments.get(1..).unwrap_or_default()));
                let is_needed =
                    without_first < 3.0 * playlist.target_duration as f64 || playlist.segments.len() <= 3;
                prop_assert!(all <= max_duration as f64 || is_needed, "{max_duration}: {text}");
            }
        }
        if edge.sources.iter().all(|source| source.dated) {
            let starts = edge.seen.values().map(|one| {
                let (name, number) = one.uri.strip_suffix(".ts").unwrap().split_once('-').unwrap();
                let source = edge.sources.iter().find(|source| source.name == name).unwrap();
                (source.date(number.parse().unwrap()), source.duration, source.name)
            });
            let starts: Vec<_> = starts.collect();
            for pair in starts.windows(2) {
                let ((before, duration, old), (after, _, new)) = (pair[0], pair[1]);
                let overlap = before.as_second() + duration as i64 - after.as_second();
                let max_duration_of_segments = edge.sources.iter().map(|one| one.duration).max().unwrap() as i64;
                let allowed = if old == new { 0 } else { 2 * max_duration_of_segments };
                prop_assert!(overlap <= allowed, "{overlap} s again");
            }
        }
    }
}

/// The newest segments have all that applies to them, as if the whole playlist had been parsed.
#[test]
fn the_newest_segments_are_those_of_the_whole() {
    for (encrypted, map, breaks, dated) in [
        (false, false, None, false),
        (true, false, Some(7), true),
        (true, true, Some(40), false),
        (false, true, Some(97), true),
    ] {
        let (duration, window) = (2, 100);
        let source =
            LiveSource { duration, window, encrypted, map, breaks, dated, ..source("a", 7) };
        let text = source.playlist_at(3000);
        let whole = SegmentedPlaylist::parse(text.as_bytes()).unwrap();
        for count in [0, 1, 4, 99, 100, 101] {
            let newest = SegmentedPlaylist::parse_newest(text.as_bytes(), count).unwrap();
            let start = whole.segments.len().saturating_sub(count as usize);
            assert_eq!(newest.segments, whole.segments[start..], "{count} {source:?}");
            assert_eq!(newest.next_number(), whole.next_number(), "{count} {source:?}");
            let whole =
                SegmentedPlaylist { segments: Vec::new(), first_number: 0, ..whole.clone() };
            let newest = SegmentedPlaylist { segments: Vec::new(), first_number: 0, ..newest };
            assert_eq!(newest, whole, "{count} {source:?}");
        }
    }
}

/// What a cut playlist has left is for a player what it was before.
#[test]
fn a_cut_playlist_is_the_end_of_the_whole() {
    for (encrypted, map, breaks, dated) in [
        (false, false, None, false),
        (true, false, Some(7), true),
        (true, true, Some(40), false),
        (false, true, Some(300), true),
    ] {
        let (duration, window) = (2, 1000);
        let source =
            LiveSource { duration, window, encrypted, map, breaks, dated, ..source("a", 7) };
        let text = source.playlist_at(3000);
        let cut = cut_live_playlist(text.as_bytes(), Duration::from_secs(60)).unwrap();
        let (whole, left) = (read_segments(&text), read_segments(&cut));
        assert_eq!(left.len(), 30, "{source:?}");
        assert!(left.iter().all(|(number, segment)| whole.get(number) == Some(segment)));
        assert_eq!(left.keys().last(), whole.keys().last(), "{source:?}");
        for ending in ["#EXT-X-ENDLIST\n", "#EXT-X-PLAYLIST-TYPE:VOD\n"] {
            let ended = format!("{text}{ending}");
            assert_eq!(cut_live_playlist(ended.as_bytes(), Duration::from_secs(60)), None);
        }
        assert_eq!(cut_live_playlist(text.as_bytes(), Duration::from_hours(1)), None);
    }
    // A date above what is cut holds for what is left.
    let segments = "#EXTINF:2,\n{$name}.ts\n".repeat(100);
    let text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-DEFINE:NAME=\"name\",VALUE=\"x\"\n\
         #EXT-X-PROGRAM-DATE-TIME:2026-05-03T17:00:00Z\n{segments}"
    );
    let cut = cut_live_playlist(text.as_bytes(), Duration::from_secs(20)).unwrap();
    assert!(cut.contains("#EXT-X-MEDIA-SEQUENCE:90\n"), "{cut}");
    assert!(cut.contains("#EXT-X-PROGRAM-DATE-TIME:2026-05-03T17:03:00.000Z\n"), "{cut}");
    assert!(cut.contains("#EXT-X-DEFINE:NAME=\"name\",VALUE=\"x\"\n"), "{cut}");
}
