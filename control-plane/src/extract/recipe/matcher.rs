//! [`Matcher`]: finds texts in a page by CSS selector, regular expression or JSON pointer. Does no
//! I/O.

use regex::Regex;
use scraper::{Html, Selector};
use serde::{Deserialize, Deserializer};

use super::nesting;
use super::template::parse_variable_name;
use crate::extract::StepFailure;
use crate::extract::error::list_names;
use crate::settings::from_text;

#[derive(Clone)]
pub(super) enum Matcher {
    /// The text of an element, an attribute of it, or its HTML.
    Select {
        css: CssSelector,
        attribute: Option<String>,
        html: bool,
    },
    Regex(Pattern),
    Pointer(JsonPointer),
}

/// One match of a [`Matcher`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TextMatch {
    pub(super) text: String,
    /// The names and texts of the pattern's named groups.
    pub(super) named_groups: Vec<(String, String)>,
}

#[derive(Clone)]
pub(super) struct CssSelector {
    text: String,
    selector: Selector,
}

/// A regular expression with at most one unnamed group, or with any number of named groups. Its
/// match is the first group, or all that matched if there is none; named groups are saved under
/// their names.
#[derive(Clone)]
pub(super) struct Pattern(Regex);

/// A JSON pointer (RFC 6901).
#[derive(Clone)]
pub(super) struct JsonPointer(pub(super) String);

from_text!(CssSelector, |text| match Selector::parse(text) {
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
    regex.capture_names().flatten().try_for_each(|name| parse_variable_name(name).map(drop))?;
    Ok(Self(regex))
});

from_text!(JsonPointer, |text| {
    if text.is_empty() || text.starts_with('/') {
        Ok(Self(text.to_owned()))
    } else {
        Err(format!("{text:?} is not a JSON pointer: begin with /"))
    }
});

/// Matches per step: a page that lists streams has fewer.
const MAX_MATCHES: usize = 1000;

impl Matcher {
    /// The first match.
    ///
    /// # Errors
    /// Nothing matched, or the text cannot be parsed.
    pub(super) fn find_first(&self, text: &str) -> Result<TextMatch, StepFailure> {
        match self {
            Self::Pointer(pointer) => {
                pointer.resolve(text).map(|json| TextMatch::of(json_to_text(&json)))
            }
            _ => {
                self.find_up_to(1, text)?.into_iter().next().ok_or_else(|| "nothing matched".into())
            }
        }
    }

    /// At most `MAX_MATCHES` matches; for a pointer, the items of the array that it points to.
    ///
    /// # Errors
    /// Nothing matched, or the text cannot be parsed, or a pointer's value is no array.
    pub(super) fn find_all(&self, text: &str) -> Result<Vec<TextMatch>, StepFailure> {
        let matches = match self {
            Self::Pointer(pointer) => match pointer.resolve(text)? {
                serde_json::Value::Array(items) => items
                    .iter()
                    .take(MAX_MATCHES)
                    .map(|item| TextMatch::of(json_to_text(item)))
                    .collect(),
                _ => return Err("what is there is no array".into()),
            },
            _ => self.find_up_to(MAX_MATCHES, text)?,
        };
        if matches.is_empty() { Err("nothing matched".into()) } else { Ok(matches) }
    }

    fn find_up_to(&self, limit: usize, text: &str) -> Result<Vec<TextMatch>, String> {
        match self {
            Self::Select { css, attribute, html } => {
                css.find_matches(text, attribute.as_deref(), *html, limit)
            }
            Self::Regex(pattern) => Ok(pattern
                .0
                .captures_iter(text)
                .take(limit)
                .map(|captures| pattern.to_match(&captures))
                .collect()),
            Self::Pointer(_) => Ok(Vec::new()),
        }
    }
}

impl TextMatch {
    fn of(text: String) -> Self {
        Self { text, named_groups: Vec::new() }
    }
}

impl Pattern {
    /// The named groups, each of which is saved as a variable.
    pub(super) fn group_names(&self) -> Vec<&str> {
        self.0.capture_names().flatten().collect()
    }

    fn to_match(&self, captures: &regex::Captures<'_>) -> TextMatch {
        let found = captures.get(1).or_else(|| captures.get(0));
        let named = self.group_names().into_iter().map(|name| {
            let text = captures.name(name).map_or("", |found| found.as_str());
            (name.to_owned(), text.to_owned())
        });
        TextMatch {
            text: found.map_or("", |found| found.as_str()).to_owned(),
            named_groups: named.collect(),
        }
    }
}

impl JsonPointer {
    fn resolve(&self, text: &str) -> Result<serde_json::Value, StepFailure> {
        let mut json: serde_json::Value =
            serde_json::from_str(text).map_err(|_| "the page is not JSON")?;
        if let Some(found) = json.pointer_mut(&self.0).filter(|found| !found.is_null()) {
            return Ok(found.take());
        }
        Err(StepFailure::permanent("nothing is there").with_detail(self.describe_nearest(&json)))
    }

    /// Describes the value at the longest prefix of the pointer that exists: if the upstream
    /// renamed a member, the description lists the member's new name.
    fn describe_nearest(&self, json: &serde_json::Value) -> String {
        let (mut prefix, mut value) = ("", json);
        for (end, _) in self.0.match_indices('/').skip(1).chain([(self.0.len(), "")]) {
            let Some(parent) = self.0.get(..end) else { break };
            match json.pointer(parent) {
                Some(next) => (prefix, value) = (parent, next),
                None => break,
            }
        }
        let place = if prefix.is_empty() { "the answer" } else { prefix };
        match value {
            serde_json::Value::Object(members) if members.is_empty() => format!("{place} is {{}}"),
            serde_json::Value::Object(members) => {
                format!("{place} has: {}", list_names(members.keys()))
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

/// A JSON string without its quotes, any other value as JSON.
fn json_to_text(json: &serde_json::Value) -> String {
    match json {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl CssSelector {
    /// For selectors that are part of this code.
    pub(super) fn from_static(text: &'static str) -> Option<Self> {
        Some(Self { text: text.to_owned(), selector: Selector::parse(text).ok()? })
    }

    /// The selector as public errors show it: hidden if it compares an attribute with a value that
    /// may be a URL.
    pub(super) fn public_text(&self) -> String {
        let values = self.text.split('=').skip(1).filter_map(|rest| rest.split(']').next());
        match values.into_iter().any(|value| value.contains(['.', '/'])) {
            true => "…".to_owned(),
            false => format!("{:?}", self.text),
        }
    }

    /// At most `limit` matches. Elements without the attribute are skipped; it is an error if every
    /// match lacks the attribute.
    fn find_matches(
        &self,
        page: &str,
        attribute: Option<&str>,
        html: bool,
        limit: usize,
    ) -> Result<Vec<TextMatch>, String> {
        if nesting::is_too_deep(page) {
            return Err(format!(
                "the page is nested more than {} deep",
                nesting::NESTING_MAX_DEPTH
            ));
        }
        let document = Html::parse_document(page);
        let mut matches = Vec::new();
        let mut lacks_attribute = false;
        for element in document.select(&self.selector).take(limit) {
            let text = match attribute {
                Some(name) => element.attr(name).map(str::to_owned),
                None if html => Some(element.html()),
                None => Some(element.text().collect()),
            };
            lacks_attribute |= text.is_none();
            matches.extend(text.map(|text| TextMatch::of(text.trim().to_owned())));
        }
        match attribute {
            Some(name) if matches.is_empty() && lacks_attribute => {
                Err(format!("the match has no attribute {name:?}"))
            }
            _ => Ok(matches),
        }
    }

    /// An attribute of the first element that matches.
    pub(super) fn first_attribute(&self, page: &str, name: &str) -> Result<String, String> {
        let first = self.find_matches(page, Some(name), false, 1)?.into_iter().next();
        first.map(|found| found.text).ok_or_else(|| "nothing matched".to_owned())
    }
}

#[cfg(test)]
mod tests;
