use super::*;

fn base() -> Url {
    Url::parse("https://o.example/live/index.m3u8?token=a%2Bb%2fc&evil=%22%0A%23EXT%7B$x}&fl%61g&token=second").unwrap()
}

fn imported() -> Variables {
    let mut imported = Variables::default();
    imported.insert(b"from-master", b"M");
    imported
}

fn check(defines: &str, expected: &str) {
    let input = format!("#EXTM3U\n{defines}\n");
    let variables = Variables::collect_definitions(
        input.as_bytes(),
        &base(),
        &imported(),
        &PlaylistLimits::default(),
    )
    .unwrap();
    let seen: Vec<String> = variables
        .0
        .iter()
        .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
        .collect();
    assert_eq!(seen.join("|"), expected, "{defines}");
}

#[test]
fn definitions() {
    for (defines, expected) in [
        ("#EXTINF:6,", ""),
        ("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"", "a=1"),
        ("#EXT-X-DEFINE:VALUE=1,NAME=a", "a=1"),
        ("#EXT-X-DEFINE:NAME=\"a\"", "a="),
        ("#EXT-X-DEFINE:NAME=\"a b\",VALUE=\"1\"", ""),
        ("#EXT-X-DEFINE:NAME=\"\",VALUE=\"1\"", ""),
        ("# EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"", ""),
        (
            "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"\n#EXT-X-DEFINE:NAME=\"b\",VALUE=\"{$a}{$a}{$c}\"",
            "a=1|b=11{$c}",
        ),
        ("#EXT-X-DEFINE:QUERYPARAM=\"token\"", "token=a+b/c"),
        ("#EXT-X-DEFINE:QUERYPARAM=\"flag\"", "flag="),
        ("#EXT-X-DEFINE:QUERYPARAM=\"absent\"", ""),
        ("#EXT-X-DEFINE:QUERYPARAM=\"evil\"", "evil=%22%0A#EXT%7B$x}"),
        ("#EXT-X-DEFINE:IMPORT=\"from-master\"", "from-master=M"),
        ("#EXT-X-DEFINE:IMPORT=\"absent\"", ""),
        ("#EXT-X-DEFINE:VALUE=\"x\"", ""),
    ] {
        check(defines, expected);
    }
}

#[test]
fn filling() {
    let mut variables = Variables::default();
    variables.insert(b"a", b"{$b}");
    variables.insert(b"b", b"2");
    for (text, expected) in [
        ("x", "x"),
        ("{$a}", "{$b}"),
        ("-{$b}-{$b}-", "-2-2-"),
        ("{$nobody}{$b}", "{$nobody}2"),
        ("{$b", "{$b"),
        ("{$}{b}$b", "{$}{b}$b"),
        ("{${$b}}", "{$2}"),
    ] {
        assert_eq!(
            variables.substitute(text.as_bytes(), &mut Vec::new(), 100, 1).unwrap(),
            expected.as_bytes(),
            "{text}"
        );
    }
    assert_eq!(
        variables.substitute(b"{$b}23456", &mut Vec::new(), 5, 9),
        Err(InvalidPlaylist::UriTooLong { line: 9, limit: 5 })
    );
}

#[test]
fn values_that_double_are_refused() {
    let mut input = String::from("#EXTM3U\n#EXT-X-DEFINE:NAME=\"v0\",VALUE=\"0123456789\"\n");
    for n in 1..60 {
        input.push_str(&format!(
            "#EXT-X-DEFINE:NAME=\"v{n}\",VALUE=\"{{$v{0}}}{{$v{0}}}\"\n",
            n - 1
        ));
    }
    let refused = Variables::collect_definitions(
        input.as_bytes(),
        &base(),
        &imported(),
        &PlaylistLimits::default(),
    );
    assert!(matches!(refused, Err(InvalidPlaylist::VariablesTooLong { .. })), "{refused:?}");
}

#[test]
fn travels_and_returns() {
    let mut variables = imported();
    variables.insert(b"path", b"/a?b=c&d \xFF {$x}");
    variables.insert(b"quote", b"\"\r\n");
    variables.insert(b"empty", b"");
    let text = variables.encode();
    assert!(text.bytes().all(is_name_byte), "{text}");
    assert_eq!(Variables::decode(&text), Ok(variables));
    assert_eq!(Variables::default().encode(), "");
    assert_eq!(Variables::decode(""), Ok(Variables::default()));
}

#[test]
fn forgeries_are_refused() {
    for plain in ["a=1", "a\n", "=1\n", "a b=1\n", "a=\"\n", "a=\r\n"] {
        assert_eq!(
            Variables::decode(&URL_SAFE_NO_PAD.encode(plain)),
            Err(InvalidVariables),
            "{plain:?}"
        );
    }
    for text in ["!", "YQ==", "\u{e9}"] {
        assert_eq!(Variables::decode(text), Err(InvalidVariables), "{text}");
    }
}
