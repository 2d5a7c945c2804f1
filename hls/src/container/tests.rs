use super::*;

#[test]
fn names() {
    for (url, expected) in [
        ("https://h.example/a/b.ts?x=.mp4", "ts"),
        ("b.TS#t=1.5", "TS"),
        ("https://host.ts", ""),
        ("https://host.ts/", ""),
        ("https://h/a.b/c", ""),
        ("a?b://c/d.ts", ""),
        ("", ""),
    ] {
        assert_eq!(extension(url.as_bytes()), expected.as_bytes(), "{url}");
    }
}

#[test]
fn hints() {
    for (lines, expected) in [
        ("#EXTINF:6,\na.ts", Container::MpegTs),
        ("#EXTINF:6,\na.jpg", Container::MpegTs),
        ("#EXTINF:6,\na.AAC?x", Container::PackedAudio),
        ("#EXTINF:6,\na.mp3", Container::Mp3),
        ("#EXTINF:6,\na.ac3", Container::Ac3),
        ("#EXTINF:6,\na.ec3", Container::Eac3),
        ("#EXTINF:6,\na.eac3", Container::Eac3),
        ("#EXTINF:6,\na.vtt", Container::WebVtt),
        ("#EXTINF:6,\na.m4s", Container::Fmp4),
        ("#EXT-X-MAP:URI=\"i.mp4\"\n#EXTINF:6,\na.jpg", Container::Fmp4),
        ("#EXTINF:6,\n#EXT-X-MAP:URI=\"i\"\na.ts", Container::Fmp4),
        ("#EXT-X-MAP:URI=\"tables.ts\"\na", Container::MpegTs),
        ("#EXT-X-PART:URI=\"p.mp4\"", Container::Fmp4),
        ("##EXT-X-MAP:URI=\"i.mp4\"", Container::MpegTs),
        ("", Container::MpegTs),
    ] {
        assert_eq!(guess_container(format!("#EXTM3U\n{lines}\n").as_bytes()), expected, "{lines}");
    }
}

#[test]
fn masks() {
    for (lines, expected) in [
        ("a.ts\n#EXTINF:6,\nb.jpg\n", true),
        ("a.jpg\n#EXTINF:6,\nb.ts?x\r\n#EXT-X-ENDLIST\r\n\r\n", false),
        ("a\n#EXT-X-PART:URI=\"b.ts\"", true),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1\n\nlow.m3u8\n", false),
        ("#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXTINF:6,\na\n", true),
        ("", false),
    ] {
        assert_eq!(
            has_unknown_extension(format!("#EXTM3U\n{lines}").as_bytes()),
            expected,
            "{lines}"
        );
    }
}

#[test]
fn first_bytes() {
    let mut packets = vec![0; 189];
    packets[0] = 0x47;
    let mut disguised = packets.clone();
    packets[188] = 0x47;
    disguised[188] = 1;
    for (first, expected) in [
        (&packets[..], Container::MpegTs),
        (&disguised[..], Container::Unknown),
        (b"\x47\x40", Container::MpegTs),
        (b"\0\0\0\x18ftypiso5", Container::Fmp4),
        (b"\0\0\0\x18styp", Container::Fmp4),
        (b"\0\0\0\x18moof", Container::Fmp4),
        (b"\0\0\0\x18sidx", Container::Fmp4),
        (b"\0\0\0\x18sid", Container::Unknown),
        (b"ID3\x04", Container::PackedAudio),
        (b"\xFF\xF1\x50", Container::PackedAudio),
        (b"ID3\x04\0\0\0\0\0\x02xx\xFF\xFB\x50", Container::Mp3),
        (b"ID3\x04\0\0\0\0\0\x02xx\xFF\xF1\x50", Container::PackedAudio),
        (b"\xFF\xFB\x50", Container::Mp3),
        (b"\xFF\xF3\x50", Container::Mp3),
        (b"\x0B\x77\0\0\x14\x40", Container::Ac3),
        (b"\x0B\x77\0\0\x3F\x86", Container::Eac3),
        (b"WEBVTT\n", Container::WebVtt),
        (b"\xEF\xBB\xBFWEBVTT", Container::WebVtt),
        (b"<html>", Container::Unknown),
        (b"", Container::Unknown),
    ] {
        assert_eq!(Container::sniff(first), expected, "{}", first.escape_ascii());
    }
}

#[test]
fn extensions() {
    let all = [
        Container::MpegTs,
        Container::Fmp4,
        Container::PackedAudio,
        Container::Mp3,
        Container::Ac3,
        Container::Eac3,
        Container::WebVtt,
        Container::Unknown,
    ];
    assert_eq!(
        all.map(Container::extension),
        ["ts", "m4s", "aac", "mp3", "ac3", "eac3", "vtt", "bin"]
    );
}
