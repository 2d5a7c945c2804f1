//! Finding a text in a page: by CSS selector, pattern or JSON pointer. Pure.

use regex::Regex;
use scraper::{Html, Selector};
use serde::{Deserialize, Deserializer};

use super::nesting;
use super::template::name_of;
use crate::extract::Failure;
use crate::extract::error::listing;
use crate::settings::from_text;

#[derive(Clone)]
pub(super) enum Find {
    /// The text of what matches, an attribute of it, or all of it as HTML.
    Select {
        css: Css,
        attribute: Option<String>,
        html: bool,
    },
    Regex(Pattern),
    Pointer(Pointer),
}

/// One thing that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) text: String,
    /// What the pattern's named groups matched.
    pub(super) named: Vec<(String, String)>,
}

#[derive(Clone)]
pub(super) struct Css {
    text: String,
    selector: Selector,
}

/// With at most one group: the group, else the whole match, is what it finds. Named groups, as
/// many as one likes, are saved under their names.
#[derive(Clone)]
pub(super) struct Pattern(Regex);

/// RFC 6901.
#[derive(Clone)]
pub(super) struct Pointer(pub(super) String);

from_text!(Css, |text| match Selector::parse(text) {
    Ok(selector) => Ok(Self { text: text.to_owned(), selector }),
    Err(error) => Err(format!("{text:?} is not a CSS selector: {error}")),
});

from_text!(Pattern, |text| {
    let regex = Regex::new(text).map_err(|error| format!("not a pattern: {error}"))?;
    let named = regex.capture_names().flatten().count();
    if regex.captures_len() > 2 && named + 1 != regex.captures_len() {
        let message = "more than one group: write (?:…) for those that are not kept, or name them";
        return Err(message.to_owned());
    }
    regex.capture_names().flatten().try_for_each(|name| name_of(name).map(drop))?;
    Ok(Self(regex))
});

from_text!(Pointer, |text| {
    if text.is_empty() || text.starts_with('/') {
        Ok(Self(text.to_owned()))
    } else {
        Err(format!("{text:?} is not a JSON pointer: begin with /"))
    }
});

/// More than any page lists that is meant to be read.
const MOST: usize = 1000;

impl Find {
    /// The first match.
    pub(super) fn one(&self, text: &str) -> Result<Hit, Failure> {
        match self {
            Self::Pointer(pointer) => pointer.find(text).map(|json| Hit::of(plain(&json))),
            _ => self.up_to(1, text)?.into_iter().next().ok_or_else(|| "nothing matched".into()),
        }
    }

    /// Every match; of a pointer the items of the array that it points to.
    pub(super) fn all(&self, text: &str) -> Result<Vec<Hit>, Failure> {
        let hits = match self {
            Self::Pointer(pointer) => match pointer.find(text)? {
                serde_json::Value::Array(items) => {
                    items.iter().take(MOST).map(|item| Hit::of(plain(item))).collect()
                }
                _ => return Err("what is there is no array".into()),
            },
            _ => self.up_to(MOST, text)?,
        };
        if hits.is_empty() { Err("nothing matched".into()) } else { Ok(hits) }
    }

    fn up_to(&self, most: usize, text: &str) -> Result<Vec<Hit>, String> {
        match self {
            Self::Select { css, attribute, html } => {
                css.find(text, attribute.as_deref(), *html, most)
            }
            Self::Regex(pattern) => {
                Ok(pattern.0.captures_iter(text).take(most).map(|hit| pattern.hit(&hit)).collect())
            }
            Self::Pointer(_) => Ok(Vec::new()),
        }
    }
}

impl Hit {
    fn of(text: String) -> Self {
        Self { text, named: Vec::new() }
    }
}

impl Pattern {
    /// What it saves by itself.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.capture_names().flatten().collect()
    }

    fn hit(&self, captures: &regex::Captures<'_>) -> Hit {
        let found = captures.get(1).or_else(|| captures.get(0));
        let named = self.names().into_iter().map(|name| {
            let text = captures.name(name).map_or("", |found| found.as_str());
            (name.to_owned(), text.to_owned())
        });
        Hit { text: found.map_or("", |found| found.as_str()).to_owned(), named: named.collect() }
    }
}

impl Pointer {
    fn find(&self, text: &str) -> Result<serde_json::Value, Failure> {
        let mut json: serde_json::Value =
            serde_json::from_str(text).map_err(|_| "the page is not JSON")?;
        if let Some(found) = json.pointer_mut(&self.0).filter(|found| !found.is_null()) {
            return Ok(found.take());
        }
        Err(Failure::lasting("nothing is there").detail(self.nearest(&json)))
    }

    /// What there is where the pointer leaves the answer: an upstream that renamed a member shows
    /// its new name there.
    fn nearest(&self, json: &serde_json::Value) -> String {
        let (mut place, mut there) = ("", json);
        for (end, _) in self.0.match_indices('/').skip(1).chain([(self.0.len(), "")]) {
            let Some(parent) = self.0.get(..end) else { break };
            match json.pointer(parent) {
                Some(next) => (place, there) = (parent, next),
                None => break,
            }
        }
        let place = if place.is_empty() { "the answer" } else { place };
        match there {
            serde_json::Value::Object(members) if members.is_empty() => format!("{place} is {{}}"),
            serde_json::Value::Object(members) => {
                format!("{place} has: {}", listing(members.keys()))
            }
            serde_json::Value::Array(items) => {
                format!("{place} is an array of {}", items.len())
            }
            serde_json::Value::Null => format!("{place} is null"),
            serde_json::Value::String(_) => format!("{place} is a text"),
            _ => format!("{place} is a number or a boolean"),
        }
    }
}

/// Texts as they are, all else as JSON.
fn plain(json: &serde_json::Value) -> String {
    match json {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Css {
    /// For selectors of our own.
    pub(super) fn fixed(text: &'static str) -> Option<Self> {
        Some(Self { text: text.to_owned(), selector: Selector::parse(text).ok()? })
    }

    /// As errors show it, which are public: not when it compares with what may be a URL.
    pub(super) fn public(&self) -> String {
        let values = self.text.split('=').skip(1).filter_map(|rest| rest.split(']').next());
        match values.into_iter().any(|value| value.contains(['.', '/'])) {
            true => "…".to_owned(),
            false => format!("{:?}", self.text),
        }
    }

    /// Matches, at most so many. One without the attribute is only an error where it is alone.
    fn find(
        &self,
        page: &str,
        attribute: Option<&str>,
        html: bool,
        most: usize,
    ) -> Result<Vec<Hit>, String> {
        if nesting::too_deep(page) {
            return Err(format!("the page is nested more than {} deep", nesting::DEEPEST));
        }
        let document = Html::parse_document(page);
        let mut hits = Vec::new();
        let mut without = false;
        for element in document.select(&self.selector).take(most) {
            let text = match attribute {
                Some(name) => element.attr(name).map(str::to_owned),
                None if html => Some(element.html()),
                None => Some(element.text().collect()),
            };
            without |= text.is_none();
            hits.extend(text.map(|text| Hit::of(text.trim().to_owned())));
        }
        match attribute {
            Some(name) if hits.is_empty() && without => {
                Err(format!("the match has no attribute {name:?}"))
            }
            _ => Ok(hits),
        }
    }

    /// An attribute of the first match.
    pub(super) fn attribute(&self, page: &str, name: &str) -> Result<String, String> {
        let hit = self.find(page, Some(name), false, 1)?.into_iter().next();
        hit.map(|hit| hit.text).ok_or_else(|| "nothing matched".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::parse;

    const PAGE: &str = r#"<html><title> A &amp; B </title>
        <form id=play><input name=csrf value="x&amp;y"><input name=empty></form>
        <script>var src = "https://cdn.example/live.m3u8?t=1";</script></html>"#;
    const JSON: &str = r#"{"ok":true,"stream":{"url":"u","expires":7,"none":null},"l":["a"]}"#;

    fn select(css: &str, attribute: Option<&str>) -> Find {
        Find::Select {
            css: parse(css).unwrap(),
            attribute: attribute.map(str::to_owned),
            html: false,
        }
    }

    fn regex(pattern: &str) -> Find {
        Find::Regex(parse(pattern).unwrap())
    }

    fn pointer(pointer: &str) -> Find {
        Find::Pointer(parse(pointer).unwrap())
    }

    #[test]
    fn finding() {
        for (find, text, expected) in [
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
            match (find.one(text), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got.text, expected),
                (Err(got), Err(expected)) => {
                    assert!(
                        got.detail.as_ref().unwrap_or(&got.message).contains(expected),
                        "{got:?}"
                    );
                }
                (got, expected) => panic!("{got:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn finding_all() {
        let list = "<ul><li id=a>A <b>1</b></li><li>B</li></ul>";
        let html = |css| Find::Select { css: parse(css).unwrap(), attribute: None, html: true };
        let named = |text: &str, id: &str| Hit {
            text: text.to_owned(),
            named: vec![("id".to_owned(), text.to_owned()), ("n".to_owned(), id.to_owned())],
        };
        for (find, text, expected) in [
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
            match (find.all(text), expected) {
                (Ok(got), Ok(expected)) => {
                    assert_eq!(got.into_iter().map(|hit| hit.text).collect::<Vec<_>>(), expected);
                }
                (Err(got), Err(expected)) => assert!(got.message.contains(expected), "{got:?}"),
                (got, expected) => panic!("{got:?}, expected {expected:?}"),
            }
        }
        let pairs = regex("(?<id>[a-z]+)=(?<n>[0-9]*)").all("a=1&bc=").unwrap();
        assert_eq!(pairs, [named("a", "1"), named("bc", "")]);
    }

    #[test]
    fn what_is_made_to_hurt() {
        let deep = "<div>".repeat(400_000);
        let error = select("div", None).one(&deep).unwrap_err();
        assert_eq!(error.message, "the page is nested more than 1000 deep");
        let wide = "<a>x</a>".repeat(200_000);
        assert_eq!(select("a", None).all(&wide).unwrap().len(), MOST);
        let json = "[".repeat(1_000_000);
        assert_eq!(pointer("/0").one(&json).unwrap_err().message, "the page is not JSON");
        let slow = format!("{}b", "a".repeat(1_000_000));
        assert!(regex("^(a+)+$").one(&slow).is_err());
    }

    #[test]
    fn selectors_that_may_hold_a_host_are_not_shown() {
        for (css, expected) in [
            ("form.a input[name=csrf]", "\"form.a input[name=csrf]\""),
            ("iframe[src*='cdn.example']", "…"),
            ("a[href^='//x']", "…"),
        ] {
            assert_eq!(parse::<Css>(css).unwrap().public(), expected);
        }
    }

    #[test]
    fn what_is_refused() {
        assert!(parse::<Css>("form[").is_err());
        assert!(parse::<Pattern>("(a)(b)").is_err());
        assert!(parse::<Pattern>("(").is_err());
        assert!(parse::<Pattern>("(a)(?<b>b)").is_err());
        assert!(parse::<Pattern>("(?<Not>b)").is_err());
        assert!(parse::<Pointer>("a/b").is_err());
    }
}
