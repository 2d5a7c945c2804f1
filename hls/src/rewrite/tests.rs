use super::*;
use crate::{LinkRoute, parse_playlist};

mod leaks;
mod oracle;
mod properties;
mod redacting;

const BASE: &str = "https://origin.example/live/index.m3u8?token=a%2Bb&host=cdn2.example";
const HEAD: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n";

fn base() -> Url {
    Url::parse(BASE).unwrap()
}

fn imported() -> Variables {
    // {"from-master": "M", "cdn": "https://cdn.example"}
    Variables::decode("Y2RuPWh0dHBzOi8vY2RuLmV4YW1wbGUKZnJvbS1tYXN0ZXI9TQo").unwrap()
}

/// Writes a link as `<role target url sequence>`, with the origin's directory abbreviated.
fn describe(reference: &UriReference<'_>, out: &mut Vec<u8>) {
    let url = reference.url.replace("https://origin.example/live/", "O/");
    let sequence = reference.sequence.map(|n| format!(" {n}")).unwrap_or_default();
    out.extend_from_slice(
        format!("<{:?} {:?} {url}{sequence}>", reference.role, reference.target).as_bytes(),
    );
}

fn run(input: &[u8]) -> Result<RewriteOutput, InvalidPlaylist> {
    rewrite(input, &base(), &imported(), &PlaylistLimits::default(), &mut describe)
}

/// Checks the rewriting of lines inside a media playlist.
fn check(cases: &[(&str, &str)]) {
    for (lines, expected) in cases {
        let input = format!("{HEAD}{lines}");
        let output = match run(input.as_bytes()) {
            Ok(rewritten) => String::from_utf8(rewritten.bytes).unwrap(),
            Err(error) => panic!("{lines}: {error}"),
        };
        assert_eq!(output.strip_prefix(HEAD).unwrap(), *expected, "{lines}");
        assert_eq!(leaks::leaks_of_playlist(input.as_bytes()), [""; 0], "{lines}");
    }
}

fn check_unchanged(cases: &[&str]) {
    for lines in cases {
        check(&[(lines, lines)]);
    }
}

#[test]
fn variants() {
    check(&[
        (
            "#EXT-X-STREAM-INF:BANDWIDTH=1\na.txt",
            "#EXT-X-STREAM-INF:BANDWIDTH=1\n<Variant Playlist O/a.txt>",
        ),
        (
            "#EXT-X-STREAM-INF:A=1\n\n# note\n#EXT-X-VENDOR:1\n#EXTINF:1,\n  a?b \n c",
            "#EXT-X-STREAM-INF:A=1\n\n# note\n#EXT-X-VENDOR:1\n#EXTINF:1,\n  <Variant Playlist O/a?b> \n <Segment Media O/c 0>",
        ),
        (
            "#EXT-X-STREAM-INF:A=1,URI=\"http://h/x.m3u8\"\na",
            "#EXT-X-STREAM-INF:A=1,URI=\"<UnknownTag Playlist http://h/x.m3u8>\"\n<Variant Playlist O/a>",
        ),
        (
            "#EXT-X-STREAM-INF:A=1\n#EXT-X-STREAM-INF:A=2\na\nb",
            "#EXT-X-STREAM-INF:A=1\n#EXT-X-STREAM-INF:A=2\n<Variant Playlist O/a>\n<Segment Media O/b 0>",
        ),
    ]);
}

#[test]
fn segments() {
    check(&[
        (
            "#EXTINF:6,\na.ts\n#EXTINF:6,\nb.jpg\n",
            "#EXTINF:6,\n<Segment Media O/a.ts 0>\n#EXTINF:6,\n<Segment Media O/b.jpg 1>\n",
        ),
        (
            "a.txt\nb.html\nc\nd.m3u8",
            "<Segment Media O/a.txt 0>\n<Segment Media O/b.html 1>\n<Segment Media O/c 2>\n<Segment Media O/d.m3u8 3>",
        ),
        (
            "#EXT-X-MEDIA-SEQUENCE:41\n#EXT-X-SKIP:SKIPPED-SEGMENTS=7\na",
            "#EXT-X-MEDIA-SEQUENCE:41\n#EXT-X-SKIP:SKIPPED-SEGMENTS=7\n<Segment Media O/a 48>",
        ),
        (
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=7\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MEDIA-SEQUENCE:2\na",
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=7\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MEDIA-SEQUENCE:2\n<Segment Media O/a 9>",
        ),
        (
            "a\n#EXT-X-MEDIA-SEQUENCE:9\nb",
            "<Segment Media O/a 0>\n#EXT-X-MEDIA-SEQUENCE:9\n<Segment Media O/b 1>",
        ),
        ("12:00.ts", "<Segment Media O/12:00.ts 0>"),
        ("a b%7E.ts#t", "<Segment Media O/a%20b%7E.ts 0>"),
        ("?x=1", "<Segment Media O/index.m3u8?x=1 0>"),
        ("/root.ts", "<Segment Media https://origin.example/root.ts 0>"),
        ("//cdn/a.ts", "<Segment Media https://cdn/a.ts 0>"),
        ("HTTP://cdn/a.ts", "<Segment Media http://cdn/a.ts 0>"),
        ("data:video/mp2t,x\nb", "data:video/mp2t,x\n<Segment Media O/b 1>"),
    ]);
}

#[test]
fn parts_of_a_file() {
    for (lines, expected) in [
        ("#EXTINF:1,\na\n#EXTINF:1,\nb", vec![None, None]),
        ("#EXT-X-BYTERANGE:10@5\na\n#EXT-X-BYTERANGE:7\na", vec![Some((10, 5)), Some((7, 15))]),
        ("#EXT-X-BYTERANGE:10\na\nb", vec![Some((10, 0)), None]),
        ("  #EXT-X-BYTERANGE: 3@1 \n\na", vec![Some((3, 1))]),
        ("#EXT-X-BYTERANGE:nonsense\na", vec![None]),
    ] {
        let mut seen = Vec::new();
        let input = format!("{HEAD}{lines}");
        let mut mapper = |reference: &UriReference<'_>, _: &mut Vec<u8>| {
            seen.push(reference.byte_range);
        };
        let limits = PlaylistLimits::default();
        rewrite(input.as_bytes(), &base(), &imported(), &limits, &mut mapper).unwrap();
        assert_eq!(seen, expected, "{lines}");
    }
}

#[test]
fn ranges_get_their_offset() {
    let link = |name: &str, number: u64| format!("<Segment Media O/{name} {number}>");
    let (a0, a1, b1) = (link("a", 0), link("a", 1), link("b", 1));
    for (lines, expected) in [
        (
            "#EXT-X-BYTERANGE:10@5\na\n#EXT-X-BYTERANGE:7\n#EXTINF:1,\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\na",
            format!(
                "#EXT-X-BYTERANGE:10@5\n{a0}\n#EXT-X-BYTERANGE:7@15\n#EXTINF:1,\n#EXT-X-KEY:METHOD=AES-128,URI=\"<Key Media O/k>\"\n{a1}"
            ),
        ),
        ("#EXT-X-BYTERANGE:10\r\na", format!("#EXT-X-BYTERANGE:10@0\r\n{a0}")),
        (
            "#EXT-X-BYTERANGE:10@5\na\n#EXT-X-BYTERANGE:7\nb",
            format!("#EXT-X-BYTERANGE:10@5\n{a0}\n#EXT-X-BYTERANGE:7@0\n{b1}"),
        ),
        ("#EXT-X-BYTERANGE:x\na\nb", format!("#EXT-X-BYTERANGE:x\n{a0}\n{b1}")),
    ] {
        check(&[(lines, &expected)]);
    }
}

#[test]
fn dates_without_a_zone_are_utc() {
    let date = "#EXT-X-PROGRAM-DATE-TIME:2026-11-30T19:58:34";
    for (written, expected) in [
        ("", "Z"),
        (".026 ", ".026Z "),
        (",5\r\n", ",5Z\r\n"),
        ("Z", "Z"),
        (".026+0100", ".026+0100"),
        ("-05:00", "-05:00"),
        (" CET", " CET"),
    ] {
        check(&[(
            &format!("{date}{written}\na"),
            &format!("{date}{expected}\n<Segment Media O/a 0>"),
        )]);
    }
    check_unchanged(&["#EXT-X-PROGRAM-DATE-TIME:2026-11-30", "#EXT-X-PROGRAM-DATE-TIME:"]);
}

#[test]
fn a_target_is_no_shorter_than_the_newest_segments() {
    for (target, durations, expected) in [
        ("2", "6,2,2", 2.0),
        ("2", "2,6", 6.0),
        ("2", "2,6,2", 6.0),
        ("2", "2.4,2.4", 2.0),
        ("2", "2.5,1", 2.5),
        ("0", "4,4", 4.0),
        ("6", "", 6.0),
    ] {
        let segments: String = durations
            .split(',')
            .filter(|seconds| !seconds.is_empty())
            .map(|seconds| format!("#EXTINF:{seconds},\na\n"))
            .collect();
        let input = format!("#EXTM3U\n#EXT-X-TARGETDURATION:{target}\n{segments}");
        let timing = run(input.as_bytes()).unwrap().timing;
        assert_eq!(timing.target_duration, Some(expected), "{target}: {durations}");
    }
}

#[test]
fn timing() {
    for (lines, part, ended, segments, window) in [
        ("", None, false, 0, 0.0),
        ("#EXTINF:6,\na\n#EXTINF:2,\nb\n#EXT-X-ENDLIST", None, true, 2, 12.0),
        ("#EXT-X-PART-INF:PART-TARGET=0.5\na\n#EXT-X-PART:URI=\"p\"", Some(0.5), false, 1, 6.0),
    ] {
        let timing = run(format!("{HEAD}{lines}").as_bytes()).unwrap().timing;
        assert_eq!(
            (timing.target_duration, timing.part_target, timing.has_end_list, timing.segment_count),
            (Some(6.0), part, ended, segments),
            "{lines}"
        );
        assert_eq!(timing.max_duration_secs(), window, "{lines}");
    }
}

#[test]
fn playlists_in_attributes() {
    check(&[
        (
            "#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a.txt\",NAME=\"x\"",
            "#EXT-X-MEDIA:TYPE=AUDIO,URI=\"<Rendition Playlist O/a.txt>\",NAME=\"x\"",
        ),
        (
            "#EXT-X-I-FRAME-STREAM-INF:URI=\"i\"",
            "#EXT-X-I-FRAME-STREAM-INF:URI=\"<IFrameVariant Playlist O/i>\"",
        ),
        (
            "#EXT-X-IMAGE-STREAM-INF:URI=\"i\"",
            "#EXT-X-IMAGE-STREAM-INF:URI=\"<ImageVariant Playlist O/i>\"",
        ),
        (
            "#EXT-X-RENDITION-REPORT:URI=\"../b/c\",LAST-MSN=3",
            "#EXT-X-RENDITION-REPORT:URI=\"<RenditionReport Playlist https://origin.example/b/c>\",LAST-MSN=3",
        ),
    ]);
    check_unchanged(&[
        "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",INSTREAM-ID=\"CC1\",NAME=\"http://h/\"",
        "#EXT-X-MEDIA:TYPE=AUDIO,URI=\"\"",
    ]);
}

#[test]
fn media_in_attributes() {
    check(&[
        (
            "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1",
            "#EXT-X-KEY:METHOD=AES-128,URI=\"<Key Media O/k>\",IV=0x1",
        ),
        (
            "#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"k\"",
            "#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"<SessionKey Media O/k>\"",
        ),
        (
            "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"9@0\"",
            "#EXT-X-MAP:URI=\"<Map Media O/i.mp4>\",BYTERANGE=\"9@0\"",
        ),
        (
            "#EXT-X-SESSION-DATA:DATA-ID=\"x\",URI=\"d.json\"",
            "#EXT-X-SESSION-DATA:DATA-ID=\"x\",URI=\"<SessionData Media O/d.json>\"",
        ),
        (
            "#EXT-X-MEDIA-SEQUENCE:5\na\n#EXT-X-PART:DURATION=1,URI=\"p\",BYTERANGE=\"1@2\"\n#EXT-X-PART:DURATION=1,GAP=YES,URI=\"q\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"r\",BYTERANGE-START=3",
            "#EXT-X-MEDIA-SEQUENCE:5\n<Segment Media O/a 5>\n#EXT-X-PART:DURATION=1,URI=\"<Part Media O/p 6>\",BYTERANGE=\"1@2\"\n#EXT-X-PART:DURATION=1,GAP=YES,URI=\"<Part Media O/q 6>\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"<PreloadHint Media O/r 6>\",BYTERANGE-START=3",
        ),
        (
            "a\n#EXT-X-PREFETCH:https://h/b\n#EXT-X-TWITCH-PREFETCH: c ",
            "<Segment Media O/a 0>\n#EXT-X-PREFETCH:<Prefetch Media https://h/b 1>\n#EXT-X-TWITCH-PREFETCH: <Prefetch Media O/c 2> ",
        ),
    ]);
    check_unchanged(&[
        "#EXT-X-SESSION-DATA:DATA-ID=\"x\",VALUE=\"https://h/\"",
        "#EXT-X-PREFETCH:",
        "#EXT-X-KEY:METHOD=NONE",
    ]);
}

#[test]
fn steering_and_assets() {
    check(&[
        (
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/s?a\",PATHWAY-ID=\"A\"",
            "#EXT-X-CONTENT-STEERING:SERVER-URI=\"<Steering Document https://origin.example/s?a>\",PATHWAY-ID=\"A\"",
        ),
        (
            "#EXT-X-DATERANGE:ID=\"x\",X-ASSET-URI=\"ad\",X-AD-URL=\"https://h/\",X-ASSET-LIST=\"l\"",
            "#EXT-X-DATERANGE:ID=\"x\",X-ASSET-URI=\"<Asset Playlist O/ad>\",X-AD-URL=\"https://h/\",X-ASSET-LIST=\"<AssetList Document O/l>\"",
        ),
    ]);
}

#[test]
fn vendor_tags() {
    check(&[
        (
            "#EXT-X-THUMBS:URI=\"https://h/t.jpg\"",
            "#EXT-X-THUMBS:URI=\"<UnknownTag Media https://h/t.jpg>\"",
        ),
        (
            "#EXT-X-ALSO:A=1,URI=HTTPS://h/t.M3U8?x",
            "#EXT-X-ALSO:A=1,URI=<UnknownTag Playlist https://h/t.M3U8?x>",
        ),
        ("#EXT-X-ALSO:uri=\"//h/t\"", "#EXT-X-ALSO:uri=\"<UnknownTag Media https://h/t>\""),
        (
            "#EXT-X-SCTE35:CUE=\"/DAl==\",URI=\"https://h/\"",
            "#EXT-X-SCTE35:CUE=\"/DAl==\",URI=\"<UnknownTag Media https://h/>\"",
        ),
        (
            "#EXT-X-CUE-OUT:DURATION=30,URI=\"https://h/ad.m3u8\"",
            "#EXT-X-CUE-OUT:DURATION=30,URI=\"<UnknownTag Playlist https://h/ad.m3u8>\"",
        ),
        (
            "#EXT-X-TILES:LAYOUT=5x4,URI=\"https://h/\"",
            "#EXT-X-TILES:LAYOUT=5x4,URI=\"<UnknownTag Media https://h/>\"",
        ),
        (
            "#VENDOR-AD_2:A=1,URI=\"https://h/\"",
            "#VENDOR-AD_2:A=1,URI=\"<UnknownTag Media https://h/>\"",
        ),
    ]);
    check(&[
        ("#EXT-X-THUMBS:URI=\"t.jpg\"", "#EXT-X-THUMBS:URI=\"<UnknownTag Media O/t.jpg>\""),
        (
            "#EXT-X-CUE-OUT:30,URI=\"/ad.m3u8\"",
            "#EXT-X-CUE-OUT:30,URI=\"<UnknownTag Playlist https://origin.example/ad.m3u8>\"",
        ),
        ("#VENDOR:URI=t.bin,A=1", "#VENDOR:URI=<UnknownTag Media O/t.bin>,A=1"),
    ]);
    check_unchanged(&[
        "#EXT-X-THUMBS:URI=\"skd://t\"",
        "#EXT-X-THUMBS:URI=\"\"",
        "#EXT-X-THUMBS:NAME=\"a,URI=https://h/\"",
        "#EXT-X-THUMBS:X-URI=\"https://h/\"",
    ]);
}

#[test]
fn left_alone() {
    check_unchanged(&[
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://key\",KEYFORMAT=\"com.apple.streamingkeydelivery\"",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:text/plain;base64,AA==\"",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"urn:uuid:1\"",
        "# https://origin.example/ URI=\"https://h/\"",
        "##EXT-X-KEY:URI=\"https://h/\"",
        "#EXTINF:6,https://h/ URI=\"https://h/\"",
        "#Vendor: URI=\"https://h/\"",
        "#:URI=\"https://h/\"",
        "#EXT-OATCLS-SCTE35:/DAl==",
        "#EXT-X-CUE-OUT:DURATION=30,CUE=\"https://h/\"",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=1,URI=\"https://h/\"",
        "#EXT-X-UNHEARD-OF:b=2,a=1 ,,c=\"x",
        "#EXT",
        "\r\n\r\n\t \n\x0B\n",
    ]);
}

#[test]
fn broken_but_played() {
    check(&[
        (
            "#EXT-X-KEY:METHOD=AES-128,URI=k,IV=0x1",
            "#EXT-X-KEY:METHOD=AES-128,URI=<Key Media O/k>,IV=0x1",
        ),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"k", "#EXT-X-KEY:METHOD=AES-128,URI=\"<Key Media O/k>"),
        (
            "#EXT-X-KEY: METHOD = AES-128 , URI = \" k \" , IV=1",
            "#EXT-X-KEY: METHOD = AES-128 , URI = \" <Key Media O/k> \" , IV=1",
        ),
        (
            "#EXT-X-KEY:URI=\"a\",URI=\"b\"",
            "#EXT-X-KEY:URI=\"<Key Media O/a>\",URI=\"<Key Media O/b>\"",
        ),
        (
            "#EXT-X-KEY:METHOD=AES-128 URI=\"k\"",
            "#EXT-X-KEY:METHOD=AES-128 URI=\"<Key Media O/k>\"",
        ),
        ("#EXT-X-KEY:URI='k'", "#EXT-X-KEY:URI=<Key Media O/'k'>"),
        (
            " \t#EXT-X-KEY:URI=\"k\"\n\ta.ts\t",
            " \t#EXT-X-KEY:URI=\"<Key Media O/k>\"\n\t<Segment Media O/a.ts 0>\t",
        ),
        (
            "#EXTINF:6\na\n#EXT-X-MAP:URI=\"m\"\nb",
            "#EXTINF:6\n<Segment Media O/a 0>\n#EXT-X-MAP:URI=\"<Map Media O/m>\"\n<Segment Media O/b 1>",
        ),
        ("a\r#EXTINF:6,\rb\r", "<Segment Media O/a 0>\r#EXTINF:6,\r<Segment Media O/b 1>\r"),
        (
            "a\r\n\r\nb\n\rc",
            "<Segment Media O/a 0>\r\n\r\n<Segment Media O/b 1>\n\r<Segment Media O/c 2>",
        ),
        (
            "http://[::1/a\nhttp:///b",
            "<Segment Media http://[::1/a 0>\n<Segment Media http:///b 1>",
        ),
    ]);
}

#[test]
fn definitions() {
    check(&[
        (
            "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"dir\"\n{$p}/{$p}.ts\n#EXT-X-KEY:URI=\"{$p}/k\"",
            "#EXT-X-DEFINE:NAME=\"p\",VALUE=\"dir\"\n<Segment Media O/dir/dir.ts 0>\n#EXT-X-KEY:URI=\"<Key Media O/dir/k>\"",
        ),
        (
            "#EXT-X-DEFINE:QUERYPARAM=\"token\",X=1\na?t={$token}",
            "#EXT-X-DEFINE:NAME=\"token\",VALUE=\"a+b\",X=1\n<Segment Media O/a?t=a+b 0>",
        ),
        (
            "#EXT-X-DEFINE: IMPORT=from-master \n{$from-master}",
            "#EXT-X-DEFINE: NAME=\"from-master\",VALUE=\"M\" \n<Segment Media O/M 0>",
        ),
        (
            "#EXT-X-DEFINE:IMPORT=\"absent\"\n{$absent}",
            "#EXT-X-DEFINE:IMPORT=\"absent\"\n<Segment Media O/%7B$absent%7D 0>",
        ),
        (
            "#EXT-X-DEFINE:VALUE=x,IMPORT=\"from-master\",VALUE=\"//h.example\"\n{$from-master}",
            "#EXT-X-DEFINE:VALUE=\"M\",NAME=\"from-master\",VALUE=\"M\",VALUE=\"M\"\n<Segment Media O/M 0>",
        ),
        ("#EXT-X-DEFINE:QUERYPARAM=\"absent\"", "#EXT-X-DEFINE:QUERYPARAM=\"absent\""),
        ("{$from-master}", "<Segment Media O/%7B$from-master%7D 0>"),
        (
            "#EXT-X-DEFINE:NAME=\"k\",VALUE=\"skd\"\n#EXT-X-KEY:URI=\"{$k}://x\"",
            "#EXT-X-DEFINE:NAME=\"k\",VALUE=\"skd\"\n#EXT-X-KEY:URI=\"{$k}://x\"",
        ),
    ]);
}

#[test]
fn values_that_name_the_origin_are_redacted() {
    check(&[
        (
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"cdn.example\"\n#EXT-X-DEFINE:NAME=\"u\",VALUE=\"https://{$h}/x\"\n{$u}/a",
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"u\",VALUE=\"\"\n<Segment Media https://cdn.example/x/a 0>",
        ),
        (
            "#EXT-X-DEFINE:QUERYPARAM=\"host\"\n#EXT-X-DEFINE:IMPORT=\"cdn\"\n//{$host}/a\n{$cdn}/b",
            "#EXT-X-DEFINE:NAME=\"host\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"cdn\",VALUE=\"\"\n<Segment Media https://cdn2.example/a 0>\n<Segment Media https://cdn.example/b 1>",
        ),
        (
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"cdn.example/x\"\n//{$h}/a",
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"\"\n<Segment Media https://cdn.example/x/a 0>",
        ),
        // Variables that are defined twice and refer to each other.
        (
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"cdn.example\"\n#EXT-X-DEFINE:NAME=\"u\",VALUE=\"//{$h}\"\n#EXT-X-DEFINE:NAME=\"h\",VALUE=\"cdn.example\"\n#EXT-X-DEFINE:NAME=\"u\",VALUE=\"//{$h}\"\n{$u}/a",
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"u\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"h\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"u\",VALUE=\"\"\n<Segment Media https://cdn.example/a 0>",
        ),
        (
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"cdn.example\"\n#EXT-X-DEFINE:NAME=\"h\",VALUE=\"{$h}\"\n//{$h}/a",
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"\"\n#EXT-X-DEFINE:NAME=\"h\",VALUE=\"\"\n<Segment Media https://cdn.example/a 0>",
        ),
        // A variable that an attribute still refers to.
        (
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"key.example\"\n#EXT-X-KEY:URI=\"skd://{$h}/1\"",
            "#EXT-X-DEFINE:NAME=\"h\",VALUE=\"key.example\"\n#EXT-X-KEY:URI=\"skd://{$h}/1\"",
        ),
    ]);
}

#[test]
fn children_inherit_the_whole_parent() {
    let input = b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXT-X-MEDIA:URI=\"b\"\n#EXT-X-SESSION-KEY:URI=\"k\"\n#EXT-X-DEFINE:NAME=\"late\",VALUE=\"1\"\n";
    let mut seen = Vec::new();
    let mut mapper = |reference: &UriReference<'_>, _: &mut Vec<u8>| {
        seen.push((reference.role, reference.variables.get(b"late").is_some()));
    };
    let rewritten =
        rewrite(input, &base(), &Variables::default(), &PlaylistLimits::default(), &mut mapper)
            .unwrap();
    assert_eq!(rewritten.kind, PlaylistKind::Multivariant);
    assert_eq!(rewritten.variables.get(b"late"), Some(&b"1"[..]));
    assert_eq!(
        seen,
        [(UriRole::Variant, true), (UriRole::Rendition, true), (UriRole::SessionKey, false)]
    );
}

/// What strict players refuse is written as the standard asks for it.
#[test]
fn what_strict_players_refuse_is_mended() {
    const MARK: &str = "\u{feff}";
    for (input, expected) in [
        (format!("{MARK}{HEAD}#EXTINF:6,\na"), format!("{HEAD}#EXTINF:6,\n<Segment Media O/a 0>")),
        (format!("{MARK}{MARK}{HEAD}"), HEAD.into()),
        (format!("\n{MARK}{HEAD}"), format!("\n{HEAD}")),
        (
            format!("{HEAD}{MARK}#EXTINF:6,\n{MARK}a\n{MARK}\n{MARK}#EXT-X-GAP\n"),
            format!("{HEAD}#EXTINF:6,\n<Segment Media O/a 0>\n\n#EXT-X-GAP\n"),
        ),
        (
            format!("{HEAD}#EXTINF:6,a{MARK}b\na{MARK}b"),
            format!("{HEAD}#EXTINF:6,a{MARK}b\n<Segment Media O/a%EF%BB%BFb 0>"),
        ),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:2.0\n".into(),
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n".into(),
        ),
        (
            "#EXTM3U\r\n#EXT-X-TARGETDURATION: 6.006 \r\n".into(),
            "#EXTM3U\r\n#EXT-X-TARGETDURATION: 7 \r\n".into(),
        ),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:10,\n".into(),
            "#EXTM3U\n#EXT-X-TARGETDURATION:10,\n".into(),
        ),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:x\n".into(), "#EXTM3U\n#EXT-X-TARGETDURATION:x\n".into()),
        // Names of tags are case-sensitive: a comment and a segment.
        (format!("{HEAD}#extinf:6,\na"), format!("{HEAD}#extinf:6,\n<Segment Media O/a 0>")),
    ] {
        let output = run(input.as_bytes()).unwrap().bytes;
        assert_eq!(String::from_utf8(output).unwrap(), expected, "{input:?}");
    }
}

#[test]
fn bytes_that_are_no_text_stay() {
    let input = b"\xEF\xBB\xBF\r\n#EXTM3U x-y=\"z\"\r\n#EXT-X-TARGETDURATION:0\r\n#EXTINF:6,\xFF\xC2\x85\r\n\xFF.ts\r\n#\xFE\n#EXT-X-N:A=\"\xFD\",URI=\"http://h/\xFC\"";
    let expected = b"\r\n#EXTM3U x-y=\"z\"\r\n#EXT-X-TARGETDURATION:0\r\n#EXTINF:6,\xFF\xC2\x85\r\n<Segment Media O/%FF.ts 0>\r\n#\xFE\n#EXT-X-N:A=\"\xFD\",URI=\"<UnknownTag Media http://h/%FC>\"";
    assert_eq!(
        run(input).unwrap().bytes.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
}

#[test]
fn refusals() {
    for (input, expected) in [
        ("<html>", "not a playlist: an HTML page instead of #EXTM3U"),
        ("", "the playlist is empty"),
        ("#EXTM3U\n#EXTINF:6,\na.ts", "a media playlist without EXT-X-TARGETDURATION"),
    ] {
        assert_eq!(run(input.as_bytes()).unwrap_err().to_string(), expected, "{input}");
    }
    let limits = PlaylistLimits { max_bytes: 1000, ..PlaylistLimits::default() };
    let mut grow = |_: &UriReference<'_>, out: &mut Vec<u8>| out.extend_from_slice(&[b'x'; 9000]);
    let input = format!("{HEAD}a\nb");
    assert_eq!(
        rewrite(input.as_bytes(), &base(), &imported(), &limits, &mut grow),
        Err(InvalidPlaylist::OutputTooLong { line: 4, limit: 16_000 }),
    );
    let limits = PlaylistLimits { max_link_bytes: 8999, ..PlaylistLimits::default() };
    assert_eq!(
        rewrite(input.as_bytes(), &base(), &imported(), &limits, &mut grow),
        Err(InvalidPlaylist::LinkTooLong { line: 3, bytes: 9000, limit: 8999 }),
    );
}

/// A URL of which no link can be made is refused when the playlist is analysed, so that a check
/// finds it, and for the same reason when it is rewritten.
#[test]
fn urls_that_are_too_long_for_a_link() {
    let limits = PlaylistLimits::default();
    let folder = format!("https://cdn.example/{}/", "f".repeat(1000));
    for (what, uri, is_refused) in [
        ("a URL of the limit", format!("{}.ts", "s".repeat(limits.max_line_bytes - 1024)), false),
        ("one that is longer in its folder", format!("{}.ts", "s".repeat(7500)), true),
        ("one that is longer encoded", format!("{}.ts", "中".repeat(1000)), true),
    ] {
        for (line, input) in [
            (4, format!("{HEAD}#EXTINF:6,\n{uri}\n")),
            (3, format!("{HEAD}#EXT-X-MAP:URI=\"{uri}\"\n#EXTINF:6,\na.m4s\n")),
            (3, format!("{HEAD}#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\"\n#EXTINF:6,\na.ts\n")),
        ] {
            let base = Url::parse(&format!("{folder}m.m3u8")).unwrap();
            let variables = Variables::default();
            let analysed = parse_playlist(input.as_bytes(), &base, &variables, &limits).err();
            let mut mapper = |_: &UriReference<'_>, out: &mut Vec<u8>| out.push(b'x');
            let rewritten =
                rewrite(input.as_bytes(), &base, &variables, &limits, &mut mapper).err();
            let limit = limits.max_line_bytes;
            let expected = is_refused.then_some(InvalidPlaylist::UriTooLong { line, limit });
            assert_eq!((&analysed, &rewritten), (&expected, &expected), "{what}: line {line}");
        }
    }
}

/// A day of segments is legal, and so is a mapper behind a pointer.
#[test]
fn long_playlists_are_legal() {
    let mut input = HEAD.to_owned();
    for n in 0..9000 {
        input.push_str(&format!("#EXTINF:6.006,\nsegment-{n:0170}.ts\n"));
    }
    assert!(input.len() > 1_700_000, "{}", input.len());
    let mut last = None;
    let mut mapper = |reference: &UriReference<'_>, _: &mut Vec<u8>| {
        assert_eq!(reference.target, LinkRoute::Media);
        last = reference.sequence;
    };
    let mapper: &mut dyn UriMapper = &mut mapper;
    rewrite(input.as_bytes(), &base(), &imported(), &PlaylistLimits::default(), mapper).unwrap();
    assert_eq!(last, Some(8999));
}

#[test]
fn gaps_are_marked() {
    let lines = "#EXTINF:6,\na.ts\n#EXT-X-GAP\n#EXTINF:6,\nb.ts\n#EXTINF:6,\n#EXT-X-GAP\nc.ts\n\
                 #EXT-X-PART:DURATION=1,GAP=YES,URI=\"d1\"\n#EXT-X-PART:DURATION=1,URI=\"d2\"\n\
                 #EXTINF:6,\nd.ts\n";
    let mut gaps = Vec::new();
    let mut mapper = |reference: &UriReference<'_>, _: &mut Vec<u8>| {
        let name = reference.url.rsplit('/').next().unwrap().to_owned();
        gaps.extend(reference.is_gap.then_some(name));
    };
    let input = format!("{HEAD}{lines}");
    rewrite(input.as_bytes(), &base(), &imported(), &PlaylistLimits::default(), &mut mapper)
        .unwrap();
    assert_eq!(gaps, ["b.ts", "c.ts", "d1"]);
}
