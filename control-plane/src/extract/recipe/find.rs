//! Finding a text in a page: by CSS selector, pattern or JSON pointer. Pure.

use regex::Regex;
use scraper::{Html, Selector};
use serde::{Deserialize, Deserializer};

use crate::settings::from_text;

pub(super) enum Find {
    /// The text of the first match, or an attribute of it.
    Select(Css, Option<String>),
    Regex(Pattern),
    Pointer(Pointer),
}

pub(super) struct Css {
    text: String,
    selector: Selector,
}

/// With at most one group: the group, else the whole match, is what it finds.
pub(super) struct Pattern(Regex);

/// RFC 6901.
pub(super) struct Pointer(pub(super) String);

from_text!(Css, |text| match Selector::parse(text) {
    Ok(selector) => Ok(Self { text: text.to_owned(), selector }),
    Err(error) => Err(format!("{text:?} is not a CSS selector: {error}")),
});

from_text!(Pattern, |text| {
    let regex = Regex::new(text).map_err(|error| format!("not a pattern: {error}"))?;
    if regex.captures_len() > 2 {
        return Err("more than one group: write (?:…) for those that are not kept".to_owned());
    }
    Ok(Self(regex))
});

from_text!(Pointer, |text| {
    if text.is_empty() || text.starts_with('/') {
        Ok(Self(text.to_owned()))
    } else {
        Err(format!("{text:?} is not a JSON pointer: begin with /"))
    }
});

impl Find {
    pub(super) fn find(&self, text: &str) -> Result<String, String> {
        match self {
            Self::Select(css, attribute) => css.find(text, attribute.as_deref()),
            Self::Regex(pattern) => {
                let captures = pattern.0.captures(text).ok_or("nothing matched")?;
                let found = captures.get(1).or_else(|| captures.get(0));
                Ok(found.map_or("", |found| found.as_str()).to_owned())
            }
            Self::Pointer(pointer) => {
                let json: serde_json::Value =
                    serde_json::from_str(text).map_err(|_| "the page is not JSON")?;
                match json.pointer(&pointer.0) {
                    None | Some(serde_json::Value::Null) => Err("nothing is there".to_owned()),
                    Some(serde_json::Value::String(text)) => Ok(text.clone()),
                    Some(other) => Ok(other.to_string()),
                }
            }
        }
    }
}

impl Css {
    /// As errors show it, which are public: not when it compares with what may be a URL.
    pub(super) fn public(&self) -> String {
        let values = self.text.split('=').skip(1).filter_map(|rest| rest.split(']').next());
        match values.into_iter().any(|value| value.contains(['.', '/'])) {
            true => "…".to_owned(),
            false => format!("{:?}", self.text),
        }
    }

    pub(super) fn find(&self, html: &str, attribute: Option<&str>) -> Result<String, String> {
        let document = Html::parse_document(html);
        let element = document.select(&self.selector).next().ok_or("nothing matched")?;
        let found = match attribute {
            Some(name) => element
                .attr(name)
                .ok_or_else(|| format!("the match has no attribute {name:?}"))?
                .to_owned(),
            None => element.text().collect(),
        };
        Ok(found.trim().to_owned())
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
        Find::Select(parse(css).unwrap(), attribute.map(str::to_owned))
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
            (pointer("/stream/none"), JSON, Err("nothing is there")),
            (pointer("/stream/other"), JSON, Err("nothing is there")),
            (pointer("/stream"), PAGE, Err("the page is not JSON")),
        ] {
            match (find.find(text), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got, expected),
                (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
                (got, expected) => panic!("{got:?}, expected {expected:?}"),
            }
        }
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
        assert!(parse::<Pointer>("a/b").is_err());
    }
}
