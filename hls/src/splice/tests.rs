use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use url::Url;

use super::*;
use crate::analysis::{Playlist, analyse};
use crate::limits::Limits;
use crate::variables::Variables;

/// A live source whose segments have no end: which ones its playlist shows is a matter of when.
#[derive(Clone, Debug)]
struct Source {
    name: &'static str,
    /// The number of the segment that begins at second 0.
    offset: u64,
    /// Seconds a segment takes.
    duration: u64,
    window: u64,
    dated: bool,
    /// Implicit IV, the number.
    encrypted: bool,
    map: bool,
    /// Its own discontinuities come every so many segments.
    breaks: Option<u64>,
}

impl Source {
    /// The playlist at a second.
    fn at(&self, second: u64) -> String {
        let next = self.offset + second / self.duration;
        let first = next.saturating_sub(self.window);
        let is_break = |n: u64| self.breaks.is_some_and(|every| n.is_multiple_of(every));
        // Those that have left: the tag in front of the first one shown has not.
        let left = self.breaks.map_or(0, |every| first.div_ceil(every));
        let mut text = format!(
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{first}\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:{left}\n",
            self.duration
        );
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

    fn cut(&self, second: u64) -> Cut {
        Cut::of(self.at(second).as_bytes()).unwrap()
    }
}

/// What a player sees of a segment, which must stay.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    uri: String,
    discontinuity: u64,
    key: Option<(String, u128)>,
    map: Option<String>,
}

/// The segments of a playlist by number, as a player reads them.
fn shown(text: &str) -> BTreeMap<u64, Shown> {
    let base = Url::parse("http://edge.test/live/w/").unwrap();
    let analysed =
        analyse(text.as_bytes(), &base, &Variables::default(), &Limits::default()).unwrap();
    let Playlist::Media(media) = analysed else { panic!("{text}") };
    let name = |url: &str| url.rsplit('/').next().unwrap().to_owned();
    // Two in a row count twice.
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
        (segment.sequence, Shown { uri, discontinuity, key, map })
    });
    segments.collect()
}

/// An edge that plays one of two sources, and what a player has seen of it.
struct Edge {
    sources: [Source; 2],
    playing: usize,
    window: Window,
    splice: Option<Splice>,
    seen: BTreeMap<u64, Shown>,
    head: u64,
}

impl Edge {
    fn of(sources: [Source; 2]) -> Self {
        let (seen, window) = (BTreeMap::new(), Window::Whole);
        Self { sources, playing: 0, window, splice: None, seen, head: 0 }
    }

    fn switch(&mut self, second: u64) {
        let shown = Cut::of(self.poll(second).as_bytes()).unwrap();
        self.playing = 1 - self.playing;
        let source = &self.sources[self.playing];
        let (new, name) = (source.cut(second), source.name.to_owned());
        self.splice = Some(Splice::after(self.splice.as_ref(), &shown, &new, name));
    }

    /// A player polls.
    fn poll(&mut self, second: u64) -> String {
        let text = self.sources[self.playing].at(second);
        let Some(splice) = &self.splice else {
            let plain = Splice::plain("a".into(), 0);
            let text = plain.shortened(text.as_bytes(), self.window, false).unwrap_or(text);
            self.see(&text);
            return text;
        };
        let cut = Cut::of(text.as_bytes()).unwrap();
        // Another edge has the same record, from the Store.
        let record: Splice = serde_json::from_str(&serde_json::to_string(splice).unwrap()).unwrap();
        let printed = splice.print(&cut, self.window, false).unwrap();
        assert_eq!(record.print(&cut, self.window, false).unwrap(), printed);
        self.see(&printed);
        printed
    }

    fn see(&mut self, text: &str) {
        let shown = shown(text);
        let Some((&head, _)) = shown.first_key_value() else { return };
        assert!(head >= self.head, "it steps back from {} to {head}: {text}", self.head);
        self.head = head;
        for (number, one) in shown {
            let seen = self.seen.entry(number).or_insert_with(|| one.clone());
            assert_eq!(*seen, one, "{number} has changed: {text}");
        }
    }
}

fn source(name: &'static str, offset: u64) -> Source {
    Source {
        name,
        offset,
        duration: 2,
        window: 4,
        dated: true,
        encrypted: false,
        map: false,
        breaks: None,
    }
}

#[test]
fn a_switch_by_date_replays_nothing_and_skips_nothing() {
    let (old, new) = (source("a", 100), source("b", 7000));
    let mut edge = Edge::of([old, Source { encrypted: true, map: true, ..new }]);
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
fn where_the_next_source_begins() {
    let old = source("a", 100);
    for (what, new, second, expected) in [
        ("at the same moment: with what comes next", source("b", 7000), 20, 7010),
        ("one that is ahead has it already", source("b", 7000), 24, 7010),
        (
            "one without dates: with the newest",
            Source { dated: false, ..source("b", 7000) },
            20,
            7009,
        ),
        (
            "longer segments: the one that holds most of what follows",
            Source { duration: 3, ..source("b", 7000) },
            22,
            7007,
        ),
    ] {
        let (old, new) = (old.cut(20), new.cut(second));
        let splice = Splice::after(None, &old, &new, "b".into());
        assert_eq!(splice.from.upstream, expected, "{what}");
        assert_eq!((splice.from.published, splice.from.discontinuity), (110, 1), "{what}");
    }
}

#[test]
fn what_is_shown_of_the_old_source_leaves_one_by_one() {
    let mut edge = Edge::of([source("a", 100), source("b", 0)]);
    edge.poll(20);
    edge.switch(20);
    for (second, head, sequence) in
        [(20, "a-106.ts", 0), (24, "a-108.ts", 0), (28, "b-10.ts", 0), (30, "b-11.ts", 1)]
    {
        let text = edge.poll(second);
        assert_eq!(shown(&text).first_key_value().unwrap().1.uri, head, "{second}: {text}");
        let sequence = format!("#EXT-X-DISCONTINUITY-SEQUENCE:{sequence}\n");
        assert!(text.contains(&sequence), "{second}: {text}");
    }
}

#[test]
fn a_source_that_counts_backwards_is_refused() {
    let mut edge = Edge::of([source("a", 100), source("b", 7000)]);
    edge.switch(20);
    let splice = edge.splice.unwrap();
    let again = source("b", 0).cut(20);
    assert_eq!(
        splice.print(&again, Window::Whole, false),
        Err(Regressed { newest: 9, published: 7009 })
    );
}

#[test]
fn numbers_are_translated_both_ways() {
    let mut edge = Edge::of([source("a", 100), source("b", 7000)]);
    edge.switch(20);
    let splice = edge.splice.unwrap();
    for (upstream, published) in [(7010, Some(110)), (7012, Some(112)), (7009, None)] {
        assert_eq!(splice.number(upstream), published);
        if let Some(published) = published {
            assert_eq!(splice.upstream_number(published), Some(upstream));
        }
    }
    assert_eq!(splice.upstream_number(109), None);
}

#[test]
fn what_speaks_of_the_whole_stays_with_it() {
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:5\n\
        #EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-START:TIME-OFFSET=-3\n#EXT-X-OTHER:1\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,PART-HOLD-BACK=1.5\n\
        #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-DATERANGE:ID=\"ad\",START-DATE=\"2027-01-15\"\n\
        #EXTINF:2,\n#EXT-X-BYTERANGE:10@90\nfile.ts\n#EXT-X-BYTERANGE:20\n#EXTINF:2,\nfile.ts\n\
        #EXT-X-PART:DURATION=0.5,URI=\"p.ts\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q.ts\"\n\
        #EXT-X-RENDITION-REPORT:URI=\"x.m3u8\",LAST-MSN=6\n#EXT-X-ENDLIST\n";
    let new = Cut::of(text.as_bytes()).unwrap();
    let old = Source { window: 1, ..source("a", 100) }.cut(20);
    let splice = Splice::after(None, &old, &new, "b".into());
    assert_eq!(
        splice.print(&new, Window::Whole, true).unwrap(),
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:110\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-OTHER:1\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
         #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-DATERANGE:ID=\"1-ad\",START-DATE=\"2027-01-15\"\n\
         #EXT-X-DISCONTINUITY\n#EXT-X-BYTERANGE:20@100\n#EXTINF:2,\nfile.ts\n\
         #EXT-X-PART:DURATION=0.5,URI=\"p.ts\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q.ts\"\n\
         #EXT-X-ENDLIST\n"
    );
}

/// Parts are of the source that plays: another's may be longer than it says, or it has none.
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
        let old = Cut::of(text(info, 5, "a", [&a, &a], "").as_bytes()).unwrap();
        let new = Cut::of(new.as_bytes()).unwrap();
        let splice = Splice::after(None, &old, &new, "b".into());
        let text = splice.print(&new, Window::Whole, false).unwrap();
        assert!(text.contains("a1.ts\n") && text.contains("b1.ts\n"), "{what}: {text}");
        assert!(!text.contains(&a), "{what}: {text}");
        assert_eq!(text.matches(&*b).count(), parts, "{what}: {text}");
        assert_eq!(text.contains(info), parts > 0, "{what}: {text}");
        assert_eq!(text.ends_with(hint), !expected.is_empty(), "{what}: {text}");
    }
}

#[test]
fn the_first_source_is_published_as_it_comes() {
    let splice = Splice::plain("a".into(), 6);
    assert!(splice.is_plain());
    for number in [0, 7, 1 << 40] {
        assert_eq!(splice.number(number), Some(number));
        assert_eq!(splice.upstream_number(number), Some(number));
        assert_eq!(splice.next(number), Some(number));
    }
}

#[test]
fn what_a_source_does_not_decide_alone() {
    const TEXT: &str =
        "#EXTM3U\r\n#EXT-X-TARGETDURATION:4.2\r\n#EXTINF:4,\r\na.ts\r\n#EXT-X-ENDLIST";
    for (target_duration, ended, expected) in [
        (5, true, None),
        (0, true, None),
        (6, true, Some("#EXTM3U\r\n#EXT-X-TARGETDURATION:6\n#EXTINF:4,\r\na.ts\r\n#EXT-X-ENDLIST")),
        (5, false, Some("#EXTM3U\r\n#EXT-X-TARGETDURATION:4.2\r\n#EXTINF:4,\r\na.ts\r\n")),
    ] {
        let tailored = tailored(TEXT.as_bytes(), target_duration, ended);
        assert_eq!(tailored.as_deref(), expected.map(str::as_bytes), "{target_duration} {ended}");
    }
}

/// Its discontinuity is that of all renditions, also where this one had fewer.
#[test]
fn a_discontinuity_that_others_count_higher_is_tagged_so_often() {
    let (old, new) = (source("a", 100).cut(20), source("b", 7000).cut(20));
    let mut splice = Splice::after(None, &old, &new, "b".into());
    splice.from.discontinuity = 3;
    let later = source("b", 7000).cut(22);
    let text = splice.print(&later, Window::Whole, false).unwrap();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 3, "{text}");
    let last = shown(&text).pop_last().unwrap().1;
    assert_eq!((last.uri.as_str(), last.discontinuity), ("b-7010.ts", 3));
}

#[test]
fn what_cannot_be_cut() {
    for (text, expected) in [
        ("", NoCut::NotAPlaylist),
        ("<html>", NoCut::NotAPlaylist),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n", NoCut::Multivariant),
        ("#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n", NoCut::Delta),
    ] {
        assert_eq!(Cut::of(text.as_bytes()), Err(expected), "{text}");
    }
}

/// Which key applies to the map and to the segment itself, for each segment: what a player makes of
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
    let numbered = |name: &str| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{name}\"\n");
    const MAP: &str = "#EXT-X-MAP:URI=\"i.mp4\"\n";
    const NONE: &str = "#EXT-X-KEY:METHOD=NONE\n";
    for (what, head, before_third) in [
        ("a clear map, encrypted segments", format!("{MAP}{}", key("k1")), String::new()),
        ("the number is the IV", format!("{MAP}{}", numbered("k1")), String::new()),
        ("both under one key", format!("{}{MAP}", key("k1")), String::new()),
        ("the key changes, the map stays", format!("{}{MAP}", key("k1")), key("k2")),
        ("likewise by number", format!("{}{MAP}", numbered("k1")), numbered("k2")),
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
        let window = Window::Newest(Duration::from_secs(8));
        let plain = Splice::plain("a".into(), 2);
        let shortened = plain.shortened(text.as_bytes(), window, false).unwrap();
        assert_eq!(keys_of(&shortened), source[2..], "{what}: {shortened}");
        let (none, cut) = (Cut::default(), Cut::of(text.as_bytes()).unwrap());
        let mut spliced = Splice::after(None, &none, &cut, "a".into());
        spliced.from = Numbers { published: 100, discontinuity: 1, ..Numbers::default() };
        let printed = spliced.print(&cut, Window::Whole, false).unwrap();
        assert_eq!(keys_of(&printed), source, "{what}: {printed}");
    }
}

#[test]
fn what_is_encrypted_by_number_says_its_number() {
    for (key, is_told) in [
        ("METHOD=AES-128", true),
        ("METHOD=AES-256", true),
        ("METHOD=SAMPLE-AES", true),
        ("METHOD=SAMPLE-AES,KEYFORMAT=\"identity\"", true),
        ("METHOD=SAMPLE-AES,KEYFORMAT=\"com.apple.streamingkeydelivery\"", false),
        ("METHOD=AES-128,IV=0x7", false),
    ] {
        let text = format!("#EXTM3U\n#EXT-X-KEY:{key},URI=\"k\"\n#EXTINF:2,\n0.ts\n");
        let cut = Cut::of(text.as_bytes()).unwrap();
        assert_eq!(cut.segments[0].key.contains(",IV=0x0000000"), is_told, "{key}");
    }
}

fn sources() -> impl Strategy<Value = Source> {
    (0_u64..1 << 40, 1_u64..5, 1_u64..8, any::<[bool; 3]>(), proptest::option::of(2_u64..5))
        .prop_map(|(offset, duration, window, [dated, encrypted, map], breaks)| Source {
            name: "a",
            offset: offset + 10,
            duration,
            window,
            dated,
            encrypted,
            map,
            breaks,
        })
}

proptest! {
    /// Whatever the sources, whenever it switches and however much of it is shown: numbers never step back, no segment changes
    /// once it was seen, and by date nothing is shown twice.
    #[test]
    fn any_two_sources_make_one_playlist(
        first in sources(),
        second in sources(),
        longest in proptest::option::of(1_u64..20),
        steps in proptest::collection::vec((0_u64..6, any::<bool>()), 1..40),
    ) {
        // A player would go on with the map of the last source that had one.
        let map = first.map;
        let mut edge = Edge::of([first, Source { name: "b", map, ..second }]);
        if let Some(longest) = longest {
            edge.window = Window::Newest(Duration::from_secs(longest));
        }
        let mut now = 40;
        edge.poll(now);
        for (later, switches) in steps {
            now += later;
            if switches {
                edge.switch(now);
            }
            let text = edge.poll(now);
            let numbers: Vec<u64> = shown(&text).into_keys().collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{text}");
            if let Some(longest) = longest {
                let cut = Cut::of(text.as_bytes()).unwrap();
                let length = |segments: &[Segment]| segments.iter().map(|one| one.duration).sum();
                let (all, but_one): (f64, f64) =
                    (length(&cut.segments), length(cut.segments.get(1..).unwrap_or_default()));
                let is_needed =
                    but_one < 3.0 * cut.target_duration as f64 || cut.segments.len() <= 3;
                prop_assert!(all <= longest as f64 || is_needed, "{longest}: {text}");
            }
        }
        if edge.sources.iter().all(|source| source.dated) {
            let begins = edge.seen.values().map(|one| {
                let (name, number) = one.uri.strip_suffix(".ts").unwrap().split_once('-').unwrap();
                let source = edge.sources.iter().find(|source| source.name == name).unwrap();
                (source.date(number.parse().unwrap()), source.duration)
            });
            let begins: Vec<_> = begins.collect();
            for pair in begins.windows(2) {
                let ((before, lasted), (after, _)) = (pair[0], pair[1]);
                let overlap = before.as_second() + lasted as i64 - after.as_second();
                let most = edge.sources.iter().map(|one| one.duration).max().unwrap() as i64;
                prop_assert!(overlap * 2 <= most, "{overlap} s again");
            }
        }
    }
}
