use super::*;
use crate::container::Container;

fn base() -> Url {
    Url::parse("https://o.example/live/index.m3u8?token=1").unwrap()
}

fn read(input: &str) -> Playlist {
    parse_playlist(input.as_bytes(), &base(), &Variables::default(), &PlaylistLimits::default())
        .unwrap()
}

fn master(lines: &str) -> MultivariantPlaylist {
    match read(&format!("#EXTM3U\n{lines}")) {
        Playlist::Multivariant(master) => master,
        Playlist::Media(_) => panic!("a media playlist: {lines}"),
    }
}

fn media(lines: &str) -> MediaPlaylist {
    match read(&format!("#EXTM3U\n#EXT-X-TARGETDURATION:6.5\n{lines}")) {
        Playlist::Media(media) => media,
        Playlist::Multivariant(_) => panic!("a multivariant playlist: {lines}"),
    }
}

#[test]
fn variants() {
    let master = master(concat!(
        "#EXT-X-INDEPENDENT-SEGMENTS\n",
        "#EXT-X-DEFINE:NAME=\"dir\",VALUE=\"v\"\n",
        "#EXT-X-STREAM-INF:NAME=\"BANDWIDTH=9,\",AVERAGE-BANDWIDTH=1000, BANDWIDTH=2000,CODECS=\"avc1.64001f,mp4a.40.2\",",
        "RESOLUTION=1280x720,FRAME-RATE=50.000,AUDIO=\"a\",SUBTITLES=\"s\",CLOSED-CAPTIONS=NONE,SCORE=1.5,VIDEO-RANGE=SDR,PATHWAY-ID=\"P\"\n",
        "\n# comment\n{$dir}/720.m3u8\n",
        "#EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=7\nhttps://c.example/low\n",
        "orphan.ts\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n",
    ));
    assert!(master.has_independent_segments);
    assert_eq!(master.variables.get(b"dir"), Some(&b"v"[..]));
    let text = |text: &str| Some(text.to_owned());
    let attributes = [
        ("NAME", "\"BANDWIDTH=9,\""),
        ("CLOSED-CAPTIONS", "NONE"),
        ("SCORE", "1.5"),
        ("VIDEO-RANGE", "SDR"),
    ];
    let expected = Variant {
        url: "https://o.example/live/v/720.m3u8".to_owned(),
        bandwidth: Some(2000),
        average_bandwidth: Some(1000),
        codecs: text("avc1.64001f,mp4a.40.2"),
        resolution: Some((1280, 720)),
        frame_rate: Some(50.0),
        video_range: text("SDR"),
        audio: text("a"),
        subtitles: text("s"),
        name: text("BANDWIDTH=9,"),
        pathway: text("P"),
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    let low = Variant {
        url: "https://c.example/low".to_owned(),
        average_bandwidth: Some(7),
        ..Variant::default()
    };
    assert_eq!(master.variants, [expected, low]);
}

#[test]
fn renditions() {
    let master = master(concat!(
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English, URI=\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"6\",URI=\"en.m3u8\"\n",
        "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"x\",FORCED=YES,CHARACTERISTICS=\"public.easy\",URI=\"s.m3u8\"\n",
        "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"y\",INSTREAM-ID=\"CC1\"\n",
        "#EXT-X-MEDIA:TYPE=SMELL,GROUP-ID=\"c\"\n",
    ));
    let seen: Vec<_> = master
        .renditions
        .iter()
        .map(|one| (one.kind, one.url.as_deref(), one.name.as_deref(), one.default, one.forced))
        .collect();
    assert_eq!(
        seen,
        [
            (
                MediaKind::Audio,
                Some("https://o.example/live/en.m3u8"),
                Some("English, URI="),
                true,
                false
            ),
            (MediaKind::Subtitles, Some("https://o.example/live/s.m3u8"), Some("x"), false, true),
            (MediaKind::ClosedCaptions, None, Some("y"), false, false),
        ]
    );
    assert_eq!(master.renditions[0].channels.as_deref(), Some("6"));
    let attribute = |at: usize| {
        master.renditions[at].attributes.iter().map(|(name, value)| format!("{name}={value}"))
    };
    assert_eq!(attribute(1).collect::<Vec<_>>(), ["CHARACTERISTICS=\"public.easy\""]);
    assert_eq!(attribute(2).collect::<Vec<_>>(), ["INSTREAM-ID=\"CC1\""]);
}

#[test]
fn trick_play_and_session_tags() {
    let master = master(concat!(
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,RESOLUTION=640x360,URI=\"i.m3u8\"\n",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=8\n",
        "#EXT-X-SESSION-DATA:DATA-ID=\"a.b\",URI=\"d.json\"\n",
        "#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\",KEYFORMAT=\"com.apple\"\n",
        "#EXT-X-START:TIME-OFFSET=-6\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n",
    ));
    let text = |list: &AttributeList| {
        let attributes = list.iter().map(|(name, value)| format!("{name}={value}"));
        attributes.collect::<Vec<_>>().join(" ")
    };
    let trick_play = &master.i_frame_variants;
    assert_eq!(trick_play.len(), 1, "one without a URI is no playlist");
    assert_eq!(trick_play[0].url, "https://o.example/live/i.m3u8");
    assert_eq!(text(&trick_play[0].attributes), "BANDWIDTH=9 RESOLUTION=640x360");
    let (data, key) = (&master.session_data[0], &master.session_keys[0]);
    assert_eq!(data.url.as_deref(), Some("https://o.example/live/d.json"));
    assert_eq!(text(&data.attributes), "DATA-ID=\"a.b\"");
    assert_eq!(key.url.as_deref(), Some("skd://key"));
    assert_eq!(text(&key.attributes), "METHOD=SAMPLE-AES KEYFORMAT=\"com.apple\"");
    assert_eq!(master.start.as_ref().map(text).as_deref(), Some("TIME-OFFSET=-6"));
    assert_eq!(master.variants.len(), 1);
}

#[test]
fn the_playlist_itself() {
    let media = media(concat!(
        "#EXT-X-MEDIA-SEQUENCE:100\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-INDEPENDENT-SEGMENTS\n",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=36.0,PART-HOLD-BACK=1.02\n#EXT-X-PART-INF:PART-TARGET=0.334\n",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=10\n#EXTINF:6,a,b\na.mp4\n#EXTINF:6\nb.mp4\n",
        "#EXT-X-PART:DURATION=0.3,URI=\"p\"\n#EXT-X-ENDLIST\n",
    ));
    assert_eq!(media.target_duration, Some(6.5));
    assert_eq!(
        (media.media_sequence, media.skipped_segments, media.discontinuity_sequence),
        (100, 10, 3)
    );
    assert_eq!(media.playlist_type, Some(PlaylistType::Event));
    assert!(media.has_independent_segments && media.has_end_list && media.has_parts);
    assert_eq!(media.part_target, Some(0.334));
    let control = ServerControl {
        can_block_reload: true,
        can_skip_until: Some(36.0),
        hold_back: None,
        part_hold_back: Some(1.02),
    };
    assert_eq!(media.server_control, Some(control));
    assert_eq!(
        media.segments.iter().map(|segment| segment.sequence).collect::<Vec<_>>(),
        [110, 111]
    );
    assert_eq!(media.last_sequence(), Some(111));
    assert_eq!(media.segments[0].title.as_deref(), Some("a,b"));
    assert_eq!(media.segments[1].duration, 6.0);
    assert_eq!(media.container(), Container::Fmp4);
    assert_eq!(MediaPlaylist::default().container(), Container::Unknown);
}

/// Checks the segments, one line of text per segment with all that applies to it.
fn check(lines: &str, expected: &[&str]) {
    let seen: Vec<String> = media(lines)
        .segments
        .iter()
        .map(|segment| {
            let short = |url: &str| url.replace("https://o.example/live/", "");
            let mut description =
                format!("{} {} {}", segment.sequence, short(&segment.url), segment.duration);
            if let Some((length, offset)) = segment.byte_range {
                description += &format!(" {length}@{offset}");
            }
            if let Some(map) = &segment.map {
                description += &format!(" map={}{:?}", short(&map.url), map.byte_range);
            }
            if let Some(key) = &segment.key {
                let url = key.url.as_deref().map(short).unwrap_or_default();
                description += &format!(" key={} {url} {:?}", key.method, key.iv);
            }
            if let Some(date) = &segment.program_date_time {
                description += &format!(" date={date}");
            }
            description
                + if segment.has_discontinuity { " discontinuity" } else { "" }
                + if segment.is_gap { " gap" } else { "" }
        })
        .collect();
    assert_eq!(seen, expected, "{lines}");
}

#[test]
fn segments() {
    check(
        "#EXTINF:6.006,\na\n#EXTINF:5 , title\n\n# comment\n b \n#EXTINF:junk\nc\nd",
        &["0 a 6.006", "1 b 5", "2 c 0", "3 d 0"],
    );
    check(
        "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:30:00.123Z\n#EXT-X-DISCONTINUITY\n#EXTINF:6,\na\n#EXT-X-GAP\n#EXTINF:6,\nb",
        &["0 a 6 date=2026-11-21T05:30:00.123Z discontinuity", "1 b 6 gap"],
    );
    check(
        "#EXT-X-BYTERANGE:10@5\na\n#EXT-X-BYTERANGE:20\na\n#EXT-X-BYTERANGE:30\nb\nb",
        &["0 a 0 10@5", "1 a 0 20@15", "2 b 0 30@0", "3 b 0"],
    );
}

#[test]
fn maps_and_keys_carry_on() {
    check(
        "#EXTINF:6,\n#EXT-X-MAP:URI=\"m\",BYTERANGE=\"9@1\"\na\nb\n#EXT-X-MAP:URI=\"n\"\nc",
        &["0 a 6 map=mSome((9, 1))", "1 b 0 map=mSome((9, 1))", "2 c 0 map=nNone"],
    );
    check(
        "a\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x0000000000000000000000000000000A\nb\nc\n#EXT-X-KEY:METHOD=NONE\nd",
        &["0 a 0", "1 b 0 key=AES-128 k Some(10)", "2 c 0 key=AES-128 k Some(10)", "3 d 0"],
    );
    check(
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple\"\na\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"identity\"\nb",
        &["0 a 0 key=SAMPLE-AES skd://x None", "1 b 0 key=AES-128 k None"],
    );
}

#[test]
fn amplification_is_refused() {
    let base = Url::parse(&format!("https://o.example/{}/", "x".repeat(8000))).unwrap();
    let input = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n{}", "a\n".repeat(100));
    let limits = PlaylistLimits { max_bytes: 1000, ..PlaylistLimits::default() };
    let error =
        parse_playlist(input.as_bytes(), &base, &Variables::default(), &limits).unwrap_err();
    assert!(matches!(error, InvalidPlaylist::OutputTooLong { .. }), "{error}");
}

/// m3u8-rs parses only well-formed playlists correctly; on such a playlist both parsers agree.
#[test]
fn agrees_with_m3u8_rs() {
    let input = concat!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"https://k.example/1\"\n#EXTINF:6.006,one\nhttps://c.example/a.ts\n",
        "#EXTINF:5,\n#EXT-X-BYTERANGE:10@20\nhttps://c.example/b.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\nhttps://c.example/c.ts\n#EXT-X-ENDLIST\n",
    );
    let Playlist::Media(ours) = read(input) else { panic!("a media playlist") };
    let Ok((_, theirs)) = m3u8_rs::parse_media_playlist(input.as_bytes()) else {
        panic!("a sound playlist")
    };
    assert_eq!((ours.media_sequence, ours.has_end_list), (theirs.media_sequence, theirs.end_list));
    assert_eq!(ours.discontinuity_sequence, theirs.discontinuity_sequence);
    assert_eq!(ours.segments.len(), theirs.segments.len());
    for (ours, theirs) in ours.segments.iter().zip(&theirs.segments) {
        assert_eq!(ours.url, theirs.uri);
        assert!((ours.duration - f64::from(theirs.duration)).abs() < 1e-6);
        assert_eq!(ours.title, theirs.title.clone().filter(|title| !title.is_empty()));
        assert_eq!(ours.has_discontinuity, theirs.discontinuity);
        assert_eq!(
            ours.byte_range,
            theirs.byte_range.as_ref().map(|range| (range.length, range.offset.unwrap_or(0)))
        );
    }

    let input = concat!(
        "#EXTM3U\n#EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=1,BANDWIDTH=2,RESOLUTION=640x360,CODECS=\"avc1.4d401e\",FRAME-RATE=25.000\n",
        "https://c.example/v.m3u8\n",
    );
    let Playlist::Multivariant(ours) = read(input) else { panic!("a multivariant playlist") };
    let Ok((_, theirs)) = m3u8_rs::parse_master_playlist(input.as_bytes()) else {
        panic!("a sound playlist")
    };
    for (ours, theirs) in ours.variants.iter().zip(&theirs.variants) {
        assert_eq!(ours.url, theirs.uri);
        assert_eq!(
            (ours.bandwidth, ours.average_bandwidth),
            (Some(theirs.bandwidth), theirs.average_bandwidth)
        );
        assert_eq!(ours.codecs, theirs.codecs);
        assert_eq!(ours.frame_rate, theirs.frame_rate);
    }
}
