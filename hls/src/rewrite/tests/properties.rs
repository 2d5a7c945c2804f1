//! Properties of the rewriter that hold for any input.

use memchr::memmem;
use proptest::prelude::*;

use super::*;

/// Fragments of playlists, so that random concatenations reach every branch, mixed with noise.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "\n",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        ",",
        "\"",
        "\"",
        "'",
        "=",
        ":",
        "{$a}",
        "{$b}",
        "{$",
        "}",
        "#",
        "\u{85}",
        "\u{feff}",
        "#EXTINF:6,",
        "#EXT-X-STREAM-INF:BANDWIDTH=1",
        "#EXT-X-MEDIA:TYPE=AUDIO,",
        "#EXT-X-KEY:METHOD=AES-128,",
        "#EXT-X-MAP:",
        "#EXT-X-PART:",
        "#EXT-X-PRELOAD-HINT:",
        "#EXT-X-RENDITION-REPORT:",
        "#EXT-X-DATERANGE:",
        "#EXT-X-CONTENT-STEERING:",
        "#EXT-X-SESSION-DATA:",
        "#EXT-X-PREFETCH:",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=3",
        "#EXT-X-MEDIA-SEQUENCE:18446744073709551615",
        "#EXT-X-TARGETDURATION:6",
        "#EXT-X-WHO-KNOWS:",
        "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{$b}x\"",
        "#EXT-X-DEFINE:NAME=\"b\",VALUE=\"//h.example\"",
        "#EXT-X-DEFINE:QUERYPARAM=\"token\"",
        "#EXT-X-DEFINE:IMPORT=\"cdn\"",
        "URI=",
        "URI=\"",
        "X-ASSET-URI=\"",
        "X-ASSET-LIST=\"",
        "SERVER-URI=\"",
        "NAME=\"",
        "a.ts",
        "../b",
        "http://h.example/",
        "https:",
        "skd://x",
        "data:,",
        "//h",
        "?q",
        "%7e",
    ]);
    prop_oneof![9 => known.prop_map(|text| text.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..6)]
}

/// Enough cases to reach every branch; `PROPTEST_CASES` can set more.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(2000), ..usual }
}

fn playlist() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(fragment(), 0..40)
        .prop_map(|fragments| [HEAD.as_bytes(), &fragments.concat()].concat())
}

fn playlist_without_definitions() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(fragment(), 0..40).prop_map(|mut fragments| {
        fragments.retain(|fragment| {
            !fragment.starts_with(b"#EXT-X-DEFINE") && !fragment.starts_with(b"\xEF\xBB\xBF")
        });
        [HEAD.as_bytes(), &fragments.concat()].concat()
    })
}

fn rewrite_with(input: &[u8], mapper: &mut dyn UriMapper) -> Vec<u8> {
    rewrite(input, &base(), &imported(), &PlaylistLimits::default(), mapper).unwrap().bytes
}

proptest! {
    #![proptest_config(config())]

    /// If every URI is written back as it was, the playlist does not change.
    #[test]
    fn only_uris_are_replaced(input in playlist_without_definitions()) {
        let mut keep = |reference: &UriReference<'_>, out: &mut Vec<u8>| out.extend_from_slice(reference.written);
        prop_assert_eq!(rewrite_with(&input, &mut keep), input);
    }

    /// If every URI is replaced with its absolute URL, a second pass finds the same URIs and
    /// changes nothing.
    #[test]
    fn links_are_found_again(input in playlist_without_definitions()) {
        let mut roles = Vec::new();
        let once = rewrite_with(&input, &mut |reference: &UriReference<'_>, out: &mut Vec<u8>| {
            roles.push(reference.role);
            out.extend_from_slice(reference.url.as_bytes());
        });
        let mut second_roles = Vec::new();
        let twice = rewrite_with(&once, &mut |reference: &UriReference<'_>, out: &mut Vec<u8>| {
            second_roles.push(reference.role);
            out.extend_from_slice(reference.url.as_bytes());
        });
        prop_assert_eq!(once, twice);
        prop_assert_eq!(roles, second_roles);
    }

    /// No line is added or removed, and every mapped URL is valid.
    #[test]
    fn anything_survives(input in playlist()) {
        let count_line_ends = |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
        let out = rewrite_with(&input, &mut |reference: &UriReference<'_>, out: &mut Vec<u8>| {
            assert!(reference.url.starts_with("http://") || reference.url.starts_with("https://"), "{}", reference.url);
            assert!(reference.url.bytes().all(|byte| byte.is_ascii_graphic()), "{}", reference.url);
            out.push(b'@');
        });
        prop_assert_eq!(count_line_ends(&out), count_line_ends(&input));
    }

    #[test]
    fn any_bytes_survive(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let input = [HEAD.as_bytes(), &noise].concat();
        let mut keep = |reference: &UriReference<'_>, out: &mut Vec<u8>| out.extend_from_slice(reference.written);
        prop_assert_eq!(rewrite_with(&input, &mut keep), input);
        let _ = crate::parse_playlist(&noise, &base(), &imported(), &PlaylistLimits::default());
        let _ = crate::guess_container(&noise);
        let _ = rewrite(&noise, &base(), &imported(), &PlaylistLimits::default(), &mut describe);
    }

    /// The links decode to the playlist that the origin serves.
    #[test]
    fn the_links_lead_to_the_same_playlist(input in playlist()) {
        crate::fuzzing::rewrite(&input);
    }

    /// Rewriter and analysis find the same segments with the same numbers.
    #[test]
    fn analysis_agrees(input in playlist()) {
        let mut linked = Vec::new();
        rewrite_with(&input, &mut |reference: &UriReference<'_>, _: &mut Vec<u8>| {
            if reference.role == UriRole::Segment {
                linked.push((reference.sequence.unwrap(), reference.url.to_owned()));
            }
        });
        let crate::Playlist::Media(media) =
            crate::parse_playlist(&input, &base(), &imported(), &PlaylistLimits::default()).unwrap()
        else {
            panic!("a target duration makes it a media playlist");
        };
        let mut analysed = media.segments.iter().map(|segment| (segment.sequence, segment.url.clone()));
        for link in &linked {
            prop_assert!(media.segments.len() >= linked.len());
            prop_assert!(analysed.any(|segment| segment == *link), "{:?}", link);
        }
    }

    /// With the origin's host in every attribute that may hold a URI, no line of the output
    /// contains it.
    #[test]
    fn nothing_names_the_origin(locations in prop::collection::vec(0..16_usize, 1..30), quoted in any::<bool>()) {
        let url = "HTTPS://origin.example:8443/live/x,y.ts?sig=it's";
        let url = if quoted { format!("\"{url}\"") } else { url.replace(',', "%2c") };
        let bare = url.trim_matches('"');
        let mut input = format!("{HEAD}#EXT-X-DEFINE:NAME=\"o\",VALUE=\"origin.example\"\n");
        for location in locations {
            input.push_str(&match location {
                0 => format!("#EXT-X-STREAM-INF:A=1\n#\n{bare}\n"),
                1 => format!("#EXT-X-MEDIA:TYPE=AUDIO,URI={url}\n"),
                2 => format!("#EXT-X-I-FRAME-STREAM-INF:URI={url},A=1\n"),
                3 => format!("#EXT-X-IMAGE-STREAM-INF:URI={url}\r\n"),
                4 => format!("#EXT-X-RENDITION-REPORT:URI={url}\n"),
                5 => format!("#EXT-X-KEY:URI={url},URI={url}\n"),
                6 => format!("#EXT-X-SESSION-KEY:URI={url}\n"),
                7 => format!("#EXT-X-MAP:URI = {url}\n"),
                8 => format!("#EXT-X-PART:DURATION=1 URI={url}\n"),
                9 => format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI={url}\n"),
                10 => format!("#EXT-X-SESSION-DATA:URI={url}\n"),
                11 => format!("#EXT-X-CONTENT-STEERING:SERVER-URI={url}\n"),
                12 => format!("#EXT-X-DATERANGE:X-ASSET-LIST={url},X-ASSET-URI={url}\n"),
                13 => format!("#EXT-X-PREFETCH:{bare}\n"),
                14 => format!("#EXT-X-NOVELTY:A=\"b\",URI={url}\n"),
                _ => format!(" {bare} \r//{{$o}}/a\n"),
            });
        }
        let out = rewrite_with(input.as_bytes(), &mut |_: &UriReference<'_>, out: &mut Vec<u8>| out.push(b'@'));
        prop_assert_eq!(memmem::find(&out, b"origin.example"), None, "{}", out.escape_ascii());
    }
}
