use super::*;
use crate::settings::parse_text;

const PAGE: &str = r#"<html><title> A &amp; B </title>
        <form id=play><input name=csrf value="x&amp;y"><input name=empty></form>
        <script>var src = "https://cdn.example/live.m3u8?t=1";</script></html>"#;
const JSON: &str = r#"{"ok":true,"stream":{"url":"u","expires":7,"none":null},"l":["a"]}"#;

fn select(css: &str, attribute: Option<&str>) -> Matcher {
    Matcher::Select {
        css: parse_text(css).unwrap(),
        attribute: attribute.map(str::to_owned),
        html: false,
    }
}

fn regex(pattern: &str) -> Matcher {
    Matcher::Regex(parse_text(pattern).unwrap())
}

fn pointer(pointer: &str) -> Matcher {
    Matcher::Pointer(parse_text(pointer).unwrap())
}

#[test]
fn finding() {
    for (matcher, text, expected) in [
        (select("title", None), PAGE, Ok("A & B")),
        (select("form#play input[name=csrf]", Some("value")), PAGE, Ok("x&y")),
        (select("input[name=empty]", Some("value")), PAGE, Err("has no attribute")),
        (select("iframe", Some("src")), PAGE, Err("nothing matched")),
        (regex(r#"src = "([^"]+)""#), PAGE, Ok("https://cdn.example/live.m3u8?t=1")),
        (regex("cdn[.]example"), PAGE, Ok("cdn.example")),
        (regex("m4s"), PAGE, Err("nothing matched")),
        (pointer("/stream/url"), JSON, Ok("u")),
        (pointer("/stream/expires"), JSON, Ok("7")),
        (pointer("/l/0"), JSON, Ok("a")),
        (pointer("/l"), JSON, Ok(r#"["a"]"#)),
        (pointer("/stream/none"), JSON, Err("nothing is there (/stream/none is null)")),
        (pointer("/stream/other"), JSON, Err("nothing is there (/stream has: expires, ")),
        (pointer("/data/url"), JSON, Err("nothing is there (the answer has: l, ok, stream)")),
        (pointer("/stream/url/x"), JSON, Err("(/stream/url is a text)")),
        (pointer("/l/9"), JSON, Err("(/l is an array of 1)")),
        (pointer("/stream"), PAGE, Err("the page is not JSON")),
    ] {
        match (matcher.find_first(text), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got.text, expected),
            (Err(got), Err(expected)) => {
                assert!(got.detail.as_ref().unwrap_or(&got.message).contains(expected), "{got:?}");
            }
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn finding_all() {
    let list = "<ul><li id=a>A <b>1</b></li><li>B</li></ul>";
    let html = |css| Matcher::Select { css: parse_text(css).unwrap(), attribute: None, html: true };
    let named = |text: &str, id: &str| TextMatch {
        text: text.to_owned(),
        named_groups: vec![("id".to_owned(), text.to_owned()), ("n".to_owned(), id.to_owned())],
    };
    for (matcher, text, expected) in [
        (select("li", None), list, Ok(vec!["A 1", "B"])),
        (select("li", Some("id")), list, Ok(vec!["a"])),
        (select("li", Some("class")), list, Err("has no attribute")),
        (html("li"), list, Ok(vec!["<li id=\"a\">A <b>1</b></li>", "<li>B</li>"])),
        (select("i", None), list, Err("nothing matched")),
        (regex("<b>(.)</b>|B"), list, Ok(vec!["1", "B"])),
        (pointer("/l"), r#"{"l":["a",{"b":1},2]}"#, Ok(vec!["a", r#"{"b":1}"#, "2"])),
        (pointer(""), r#"["a"]"#, Ok(vec!["a"])),
        (pointer("/l"), r#"{"l":[]}"#, Err("nothing matched")),
        (pointer("/l"), r#"{"l":7}"#, Err("no array")),
    ] {
        match (matcher.find_all(text), expected) {
            (Ok(got), Ok(expected)) => {
                assert_eq!(got.into_iter().map(|found| found.text).collect::<Vec<_>>(), expected);
            }
            (Err(got), Err(expected)) => assert!(got.message.contains(expected), "{got:?}"),
            (got, expected) => panic!("{got:?}, expected {expected:?}"),
        }
    }
    let pairs = regex("(?<id>[a-z]+)=(?<n>[0-9]*)").find_all("a=1&bc=").unwrap();
    assert_eq!(pairs, [named("a", "1"), named("bc", "")]);
}

#[test]
fn hostile_pages_are_bounded() {
    let deep = "<div>".repeat(400_000);
    let error = select("div", None).find_first(&deep).unwrap_err();
    assert_eq!(error.message, "the page is nested more than 1000 deep");
    let wide = "<a>x</a>".repeat(200_000);
    assert_eq!(select("a", None).find_all(&wide).unwrap().len(), MAX_MATCHES);
    let json = "[".repeat(1_000_000);
    assert_eq!(pointer("/0").find_first(&json).unwrap_err().message, "the page is not JSON");
    let slow = format!("{}b", "a".repeat(1_000_000));
    assert!(regex("^(a+)+$").find_first(&slow).is_err());
}

#[test]
fn selectors_that_may_hold_a_host_are_not_shown() {
    for (css, expected) in [
        ("form.a input[name=csrf]", "\"form.a input[name=csrf]\""),
        ("iframe[src*='cdn.example']", "…"),
        ("a[href^='//x']", "…"),
    ] {
        assert_eq!(parse_text::<CssSelector>(css).unwrap().public_text(), expected);
    }
}

#[test]
fn malformed_selectors_patterns_and_pointers_are_refused() {
    assert!(parse_text::<CssSelector>("form[").is_err());
    assert!(parse_text::<Pattern>("(a)(b)").is_err());
    assert!(parse_text::<Pattern>("(").is_err());
    assert!(parse_text::<Pattern>("(a)(?<b>b)").is_err());
    assert!(parse_text::<Pattern>("(?<Not>b)").is_err());
    assert!(parse_text::<JsonPointer>("a/b").is_err());
}
