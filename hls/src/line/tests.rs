use super::*;

fn texts(input: &[u8]) -> Vec<String> {
    Lines::new(input, PlaylistLimits::UNLIMITED)
        .map(|line| {
            let line = line.unwrap();
            assert_eq!(
                &input[line.start..line.start + line.text.len()],
                line.text,
                "the offset is the text's"
            );
            format!("{} {}", line.number, line.text.escape_ascii())
        })
        .collect()
}

#[test]
fn line_ends() {
    for (input, expected) in [
        (&b"a\nb\n"[..], &["1 a", "2 b"][..]),
        (b"a\r\nb", &["1 a", "2 b"]),
        (b"a\rb\r", &["1 a", "2 b"]),
        (b"a\n\rb", &["1 a", "2 ", "3 b"]),
        (b"a\x0Bb\x0Cc\xC2\x85d\n", &["1 a\\x0bb\\x0cc\\xc2\\x85d"]),
        (b" \t a \t\nb", &["1 a", "2 b"]),
        (b"\xEF\xBB\xBFa\n", &["1 a"]),
        (b"a\n\xEF\xBB\xBF\xEF\xBB\xBF b\n\xEF\xBB\xBF", &["1 a", "2 b", "3 "]),
        (b"\n\n", &["1 ", "2 "]),
        (b"", &[]),
    ] {
        assert_eq!(texts(input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn contents() {
    for (text, expected) in [
        ("", "Blank"),
        ("#", "Comment"),
        ("# EXT-X-KEY:URI=x", "Comment"),
        ("##EXT-X-KEY:URI=x", "Comment"),
        ("#EXT-X-KEY:URI=x", "EXT-X-KEY|URI=x"),
        ("#EXT-X-KEY : URI=x", "EXT-X-KEY|URI=x"),
        ("#EXT-X-KEY URI=x", "EXT-X-KEY|URI=x"),
        ("#EXT-X-ENDLIST", "EXT-X-ENDLIST|"),
        ("#EXTINF:6,a:b", "EXTINF|6,a:b"),
        ("seg.ts", "Uri"),
    ] {
        let line = Line { number: 1, start: 0, text: text.as_bytes() };
        let seen = match line.kind() {
            LineKind::Tag(tag) => {
                assert_eq!(&line.text[tag.value_start..], tag.value);
                format!("{}|{}", tag.name.escape_ascii(), tag.value.escape_ascii())
            }
            other => format!("{other:?}"),
        };
        assert_eq!(seen, expected, "{text}");
    }
}

fn refusal(input: &[u8], limits: &PlaylistLimits) -> String {
    match parse_lines(input, limits) {
        Err(error) => error.to_string(),
        Ok(mut lines) => {
            lines.find_map(Result::err).map_or_else(|| "fine".to_owned(), |error| error.to_string())
        }
    }
}

#[test]
fn refusals_say_what_was_seen() {
    let limits = PlaylistLimits {
        max_bytes: 60,
        max_lines: 4,
        max_line_bytes: 20,
        ..PlaylistLimits::DEFAULT
    };
    for (input, expected) in [
        (&b"#EXTM3U"[..], "fine"),
        (b"\xEF\xBB\xBF\r\n \n\t#EXTM3U\n", "fine"),
        (b"\n\xEF\xBB\xBF#EXTM3U\n", "fine"),
        (b"#extm3u\n", "not a playlist: text instead of #EXTM3U"),
        (b"", "the playlist is empty"),
        (b"\xEF\xBB\xBF \r\n", "the playlist is empty"),
        (
            b"<!doctype html><title>Log in to the other side</title>",
            "not a playlist: an HTML page instead of #EXTM3U",
        ),
        (b"\n <?xml version='1.0'?><MPD/>", "not a playlist: XML instead of #EXTM3U"),
        (b"{\"error\":1}", "not a playlist: JSON instead of #EXTM3U"),
        (b"#EXTINF:6,\na.ts", "not a playlist: text instead of #EXTM3U"),
        (b"gesch\xC3\xBCtzt", "not a playlist: text instead of #EXTM3U"),
        (b"\x1F\x8B\x08", "not a playlist: binary data instead of #EXTM3U"),
        (b"G@\xFF\xFFz", "not a playlist: binary data instead of #EXTM3U"),
        (b"#EXTM3U\n\n\n\n\n", "the playlist has more than 4 lines"),
        (b"#EXTM3U\nabcdefghijklmnopqrstuvwxyz", "line 2: longer than 20 bytes"),
        (&[b' '; 61], "the playlist has 61 bytes, more than 60"),
    ] {
        assert_eq!(refusal(input, &limits), expected, "{}", input.escape_ascii());
    }
}
