use super::*;
use proptest::prelude::*;

fn resolve(base: &str, uri: &[u8]) -> Option<String> {
    UriResolver::new(&Url::parse(base).unwrap()).resolve(uri).map(str::to_owned)
}

fn check(cases: &[(&str, &str)], base: &str) {
    for (uri, expected) in cases {
        assert_eq!(resolve(base, uri.as_bytes()).as_deref().unwrap_or("-"), *expected, "{uri}");
    }
}

/// Examples of RFC 3986, 5.4, except that fragments are removed and an HTTP URL always has a path.
#[test]
fn rfc_examples() {
    check(
        &[
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("g;x=1/../y", "http://a/b/c/y"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("http:g", "http://a/b/c/g"),
        ],
        "http://a/b/c/d;p?q",
    );
}

#[test]
fn bytes_stay() {
    check(
        &[
            ("a%7Eb%2fc.ts", "https://o.example/d/a%7Eb%2fc.ts"),
            ("%2e%2e/a.ts", "https://o.example/d/%2e%2e/a.ts"),
            ("a.ts?s=it's|^~*!$(),;:@", "https://o.example/d/a.ts?s=it's|^~*!$(),;:@"),
            ("100%.ts?%zz", "https://o.example/d/100%.ts?%zz"),
            ("a//b///c.ts", "https://o.example/d/a//b///c.ts"),
            ("a//../b.ts", "https://o.example/d/a/b.ts"),
            ("12:00.ts", "https://o.example/d/12:00.ts"),
            ("v/a:b.ts", "https://o.example/d/v/a:b.ts"),
            ("win\\dow.ts", "https://o.example/d/win\\dow.ts"),
            ("'http://x/'", "https://o.example/d/'http://x/'"),
            ("HTTPS://CDN.Example:443/A?b", "https://CDN.Example:443/A?b"),
            ("hTTp://user:p%40ss@h:81", "http://user:p%40ss@h:81/"),
            ("http://h?x=/y", "http://h/?x=/y"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a"),
            ("http://h/a/../b?c/../d", "http://h/b?c/../d"),
        ],
        "https://o.example/d/index.m3u8?token=1",
    );
}

#[test]
fn illegal_bytes_are_encoded() {
    check(
        &[
            ("my seg\t1.ts", "https://o.example/d/my%20seg%091.ts"),
            ("\u{e9}.ts?\u{e9}=<\">", "https://o.example/d/%C3%A9.ts?%C3%A9=%3C%22%3E"),
            ("{$nobody}.ts?{$x}", "https://o.example/d/%7B$nobody%7D.ts?{$x}"),
            ("http://good.example\\@evil.example/", "http://good.example%5C@evil.example/"),
            ("http://a b/", "http://a%20b/"),
        ],
        "https://o.example/d/index.m3u8",
    );
    assert_eq!(
        resolve("https://o.example/", b"\xFF.ts").as_deref(),
        Some("https://o.example/%FF.ts")
    );
}

#[test]
fn other_schemes_are_not_resolved() {
    let base = "https://o.example/d/index.m3u8";
    check(
        &[
            ("skd://key", "-"),
            ("data:text/plain;base64,AAAA", "-"),
            ("urn:uuid:1", "-"),
            ("ftp://h/a.ts", "-"),
            ("localhost:80/a.ts", "-"),
            // Malformed, but accepted by browsers.
            ("https:seg.ts", "https://o.example/d/seg.ts"),
            ("http:/h/seg.ts", "http://h/seg.ts"),
            ("http:///h/seg.ts", "http:///h/seg.ts"),
        ],
        base,
    );
    for base in ["file:///a/b", "data:,x"] {
        check(
            &[("seg.ts", "-"), ("//h/seg.ts", "-"), ("http://h/seg.ts", "http://h/seg.ts")],
            base,
        );
    }
}

proptest! {
    /// The resolver agrees with the url crate where nothing needs encoding or normalising.
    #[test]
    fn agrees_with_the_url_crate(
        base in "https?://[a-z]{1,8}(:8[0-9]{3})?(/[a-z0-9._~-]{0,4}){1,4}(\\?[a-z=&]{0,5})?",
        host in "(https?://[a-z]{1,8}/|//[a-z]{1,8}/|/)?",
        path in "([a-z0-9._~!$&()*+,;=@-]{1,4}(/[a-z0-9._~!$&()*+,;=@-]{0,4}){0,5})?",
        rest in "(\\?[a-z0-9/?:@=&;,.]{0,9})?(#[a-z]{0,3})?",
    ) {
        let uri = host + &path + &rest;
        let mut expected = Url::parse(&base).unwrap().join(&uri).unwrap();
        expected.set_fragment(None);
        prop_assert_eq!(resolve(&base, uri.as_bytes()), Some(expected.into()));
    }

    #[test]
    fn resolving_twice_changes_nothing(uri in prop::collection::vec(any::<u8>(), 0..60)) {
        let base = "https://o.example/a/b?c";
        if let Some(first) = resolve(base, &uri) {
            prop_assert!(first.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
            prop_assert_eq!(resolve(base, first.as_bytes()), Some(first));
        }
    }
}
