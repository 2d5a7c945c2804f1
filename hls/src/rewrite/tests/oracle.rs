//! Oracle tests: m3u8-rs parses a rewritten playlist, with its links decoded, like the origin's.
//! The inputs are well-formed, because m3u8-rs parses no others correctly: one key and one map
//! before a segment, whole target durations, no comma in a title, nothing after the last URI.

use m3u8_rs::{AlternativeMedia, MasterPlaylist, MediaPlaylist, SessionDataField};
use proptest::prelude::*;

use super::*;
use crate::fuzzing::{HexLinkEncoder, decode_link};

fn uri() -> impl Strategy<Value = String> {
    let host =
        prop::sample::select(vec!["https://cdn.example/", "http://h:81/a/", "//c/", "/", ""]);
    (host, "[a-z]{1,5}(/[a-z0-9_-]{1,8}){0,2}\\.(ts|m4s|jpg)(\\?[a-z]=[a-z0-9%&=]{0,9})?")
        .prop_map(|(host, path)| format!("{host}{path}"))
}

fn segment() -> impl Strategy<Value = String> {
    let line = |text: &'static str| prop::sample::select(vec!["", text]);
    let key = prop_oneof![
        3 => Just(String::new()),
        1 => Just("#EXT-X-KEY:METHOD=NONE\n".to_owned()),
        1 => uri().prop_map(|uri| format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{uri}\",IV=0x0A\n")),
        1 => Just("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://k\",KEYFORMAT=\"f\"\n".to_owned()),
    ];
    let map = prop_oneof![
        3 => Just(String::new()),
        1 => uri().prop_map(|uri| format!("#EXT-X-MAP:URI=\"{uri}\",BYTERANGE=\"9@1\"\n")),
    ];
    (
        line("#EXT-X-DISCONTINUITY\n"),
        line("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T05:30:00.123Z\n"),
        line("#EXT-X-BYTERANGE:100@20\n"),
        line("#EXT-X-GAP\n"),
        key,
        map,
        (1..20_000_u32, "[A-Za-z ]{0,9}"),
        uri(),
    )
        .prop_map(|(discontinuity, date, range, gap, key, map, (duration, title), uri)| {
            let seconds = f64::from(duration) / 1000.0;
            format!(
                "{discontinuity}{date}{key}{map}#EXTINF:{seconds:.3},{title}\n{range}{gap}{uri}\n"
            )
        })
}

fn media() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec![
        "",
        "#EXT-X-PLAYLIST-TYPE:VOD\n",
        "#EXT-X-PLAYLIST-TYPE:EVENT\n",
    ]);
    let end = prop::sample::select(vec!["", "#EXT-X-ENDLIST\n"]);
    (0..u64::from(u32::MAX), 0..9_u64, kind, prop::collection::vec(segment(), 1..9), end).prop_map(
        |(sequence, discontinuities, kind, segments, end)| {
            format!(
                "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:20\n#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}\n{kind}{}{end}",
                segments.concat()
            )
        },
    )
}

fn master() -> impl Strategy<Value = String> {
    let entry = prop_oneof![
        3 => (uri(), 1..9_000_000_u64).prop_map(|(uri, bandwidth)| {
            format!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,AUDIO=\"a\"\n{uri}\n")
        }),
        1 => uri().prop_map(|uri| format!("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x,URI=\",DEFAULT=YES,AUTOSELECT=YES,URI=\"{uri}\"\n")),
        1 => uri().prop_map(|uri| format!("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"{uri}\"\n")),
        1 => uri().prop_map(|uri| format!("#EXT-X-SESSION-DATA:DATA-ID=\"d\",URI=\"{uri}\"\n")),
        1 => uri().prop_map(|uri| format!("#EXT-X-SESSION-KEY:METHOD=AES-128,URI=\"{uri}\"\n")),
    ];
    prop::collection::vec(entry, 1..9).prop_map(|entries| {
        format!(
            "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n{}#EXT-X-STREAM-INF:BANDWIDTH=1\nlast\n",
            entries.concat()
        )
    })
}

/// Replaces a link with the URL that a player at the edge requests in the end; `at_the_origin` does
/// the same for a player at the origin.
fn at_the_edge(uri: &mut String) {
    *uri = decode_link(uri);
}

fn at_the_origin(uri: &mut String) {
    if !uri.starts_with("skd:") {
        *uri = base().join(uri).unwrap().into();
    }
}

fn media_as_read(text: &[u8], map_url: fn(&mut String)) -> MediaPlaylist {
    let (rest, mut playlist) = m3u8_rs::parse_media_playlist(text).unwrap();
    assert!(rest.is_empty(), "{}", rest.escape_ascii());
    for segment in &mut playlist.segments {
        map_url(&mut segment.uri);
        segment.map.iter_mut().for_each(|map| map_url(&mut map.uri));
        segment.key.iter_mut().filter_map(|key| key.uri.as_mut()).for_each(map_url);
    }
    playlist
}

fn master_as_read(text: &[u8], map_url: fn(&mut String)) -> MasterPlaylist {
    let (rest, mut playlist) = m3u8_rs::parse_master_playlist(text).unwrap();
    assert!(rest.is_empty(), "{}", rest.escape_ascii());
    playlist.variants.iter_mut().for_each(|variant| map_url(&mut variant.uri));
    let uri = |media: &'_ mut AlternativeMedia| media.uri.iter_mut().for_each(map_url);
    playlist.alternatives.iter_mut().for_each(uri);
    playlist.session_key.iter_mut().filter_map(|key| key.0.uri.as_mut()).for_each(map_url);
    for data in &mut playlist.session_data {
        if let SessionDataField::Uri(uri) = &mut data.field {
            map_url(uri);
        }
    }
    playlist
}

fn rewrite_to_hex_links(input: &str) -> Vec<u8> {
    let mut encoder = HexLinkEncoder::default();
    let mut encode =
        |reference: &UriReference<'_>, out: &mut Vec<u8>| encoder.encode_link(reference, out);
    rewrite(input.as_bytes(), &base(), &imported(), &PlaylistLimits::default(), &mut encode)
        .unwrap()
        .bytes
}

proptest! {
    #[test]
    fn media_playlists_read_the_same(input in media()) {
        let out = rewrite_to_hex_links(&input);
        prop_assert!(!out.windows(4).any(|text| text == b".ts?"), "a URI stayed");
        let theirs = media_as_read(input.as_bytes(), at_the_origin);
        prop_assert_eq!(&media_as_read(&out, at_the_edge), &theirs);

        // The analysis agrees with m3u8-rs.
        let analysed = crate::parse_playlist(input.as_bytes(), &base(), &imported(), &PlaylistLimits::default());
        let Ok(crate::Playlist::Media(ours)) = analysed else { panic!("a media playlist") };
        prop_assert_eq!(ours.segments.len(), theirs.segments.len());
        prop_assert_eq!((ours.media_sequence, ours.has_end_list), (theirs.media_sequence, theirs.end_list));
        prop_assert_eq!(ours.discontinuity_sequence, theirs.discontinuity_sequence);
        for (ours, theirs) in ours.segments.iter().zip(&theirs.segments) {
            prop_assert_eq!(&ours.url, &theirs.uri);
            prop_assert!((ours.duration - f64::from(theirs.duration)).abs() < 1e-3);
            prop_assert_eq!(ours.has_discontinuity, theirs.discontinuity);
            let range = theirs.byte_range.as_ref();
            prop_assert_eq!(ours.byte_range, range.map(|range| (range.length, range.offset.unwrap_or(0))));
            // m3u8-rs reports a map only on the segment that it precedes.
            if let Some(map) = &theirs.map {
                prop_assert_eq!(ours.map.as_ref().map(|map| &map.url), Some(&map.uri));
            }
        }
    }

    #[test]
    fn multivariant_playlists_read_the_same(input in master()) {
        let out = rewrite_to_hex_links(&input);
        let theirs = master_as_read(input.as_bytes(), at_the_origin);
        prop_assert_eq!(&master_as_read(&out, at_the_edge), &theirs);

        let analysed = crate::parse_playlist(input.as_bytes(), &base(), &imported(), &PlaylistLimits::default());
        let Ok(crate::Playlist::Multivariant(ours)) = analysed else { panic!("a multivariant playlist") };
        let variants = theirs.variants.iter().filter(|variant| !variant.is_i_frame);
        prop_assert_eq!(
            ours.variants.iter().map(|one| (&one.url, one.bandwidth)).collect::<Vec<_>>(),
            variants.map(|one| (&one.uri, Some(one.bandwidth))).collect::<Vec<_>>()
        );
        prop_assert_eq!(
            ours.renditions.iter().map(|one| &one.url).collect::<Vec<_>>(),
            theirs.alternatives.iter().map(|one| &one.uri).collect::<Vec<_>>()
        );
    }
}
