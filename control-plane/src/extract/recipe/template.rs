//! [`Template`]: a text with `{{variables}}`.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::settings::from_text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<TemplatePart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    /// `{{name}}`, or `{{name | percent}}`, which is encoded as one component of a URL.
    Variable {
        name: String,
        percent_encoded: bool,
    },
}

from_text!(Template, Template::parse);

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after
                .split_once("}}")
                .ok_or_else(|| format!("{text:?}: a {{{{ without its }}}}"))?;
            parts.push(TemplatePart::Text(before.to_owned()));
            parts.push(parse_variable(name)?);
            rest = after;
        }
        parts.push(TemplatePart::Text(rest.to_owned()));
        parts.retain(|part| *part != TemplatePart::Text(String::new()));
        Ok(Self(parts))
    }

    pub(super) fn render(&self, variables: &BTreeMap<String, String>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                TemplatePart::Text(part) => text.push_str(part),
                TemplatePart::Variable { name, percent_encoded: percent } => {
                    let value = variables.get(name).ok_or_else(|| unknown_variable_error(name))?;
                    match percent {
                        true => text.extend(utf8_percent_encode(value, URL_COMPONENT_SET)),
                        false => text.push_str(value),
                    }
                }
            }
        }
        Ok(text)
    }

    /// Checks that every variable is in `known`.
    pub(super) fn check_variables(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        self.0.iter().try_for_each(|part| match part {
            TemplatePart::Variable { name, .. } if !known.contains(name.as_str()) => {
                Err(unknown_variable_error(name))
            }
            _ => Ok(()),
        })
    }

    /// Whether the text cannot become an absolute URL. A text that begins with a variable can.
    pub(super) fn is_relative(&self) -> bool {
        match self.0.first() {
            Some(TemplatePart::Text(text)) => {
                !(text.starts_with("http://") || text.starts_with("https://"))
            }
            Some(TemplatePart::Variable { .. }) => false,
            None => true,
        }
    }

    /// The scheme, host and port that a URL names before its first variable.
    pub(super) fn origin(&self) -> Option<Url> {
        let Some(TemplatePart::Text(text)) = self.0.first() else { return None };
        let (scheme, rest) = text.split_once("://")?;
        let (authority, _) = rest.split_once('/').or((self.0.len() == 1).then_some((rest, "")))?;
        Url::parse(&format!("{scheme}://{authority}/")).ok()
    }
}

/// All but what JavaScript's `encodeURIComponent` leaves unencoded.
const URL_COMPONENT_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Parses the text between the braces: `name` or `name | percent`.
fn parse_variable(text: &str) -> Result<TemplatePart, String> {
    let (name, percent) = match text.split_once('|') {
        None => (text, false),
        Some((name, filter)) if filter.trim() == "percent" => (name, true),
        Some((_, filter)) => {
            return Err(format!("{:?} is not a filter: use percent", filter.trim()));
        }
    };
    Ok(TemplatePart::Variable { name: parse_variable_name(name.trim())?, percent_encoded: percent })
}

fn unknown_variable_error(name: &str) -> String {
    format!("the variable {name:?} is not known here")
}

/// Checks a variable's name: `[a-z_][a-z0-9_]*`.
pub(super) fn parse_variable_name(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let first_is_valid = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if first_is_valid && bytes.all(is_valid) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is not the name of a variable: use [a-z0-9_]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendering() {
        let text = |text: &str| text.to_owned();
        let variables = BTreeMap::from([(text("id"), text("7")), (text("q"), text("a b/ü&"))]);
        for (text, expected) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("{{id}}", Ok("7")),
            ("a{{ id }}b{{id}}", Ok("a7b7")),
            ("?q={{q|percent}}", Ok("?q=a%20b%2F%C3%BC%26")),
            ("{{q | upper}}", Err("\"upper\" is not a filter: use percent")),
            ("{{other}}", Err("the variable \"other\" is not known here")),
            ("{{id", Err("\"{{id\": a {{ without its }}")),
            ("{{Not ok}}", Err("\"Not ok\" is not the name of a variable: use [a-z0-9_]")),
            ("{\"json\": {}}", Ok("{\"json\": {}}")),
        ] {
            let got = Template::parse(text).and_then(|template| template.render(&variables));
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn ports_and_relative_urls() {
        for (text, port, relative) in [
            ("http://127.0.0.1:9000/watch/{{id}}", Some(9000), false),
            ("http://127.0.0.1:9000", Some(9000), false),
            ("http://127.0.0.1:90{{id}}/x", None, false),
            ("https://example.com/{{id}}", None, false),
            ("{{action}}", None, false),
            ("/play", None, true),
            ("", None, true),
        ] {
            let template = Template::parse(text).unwrap();
            let origin = template.origin();
            assert_eq!(origin.and_then(|origin| origin.port()), port, "{text}");
            assert_eq!(template.is_relative(), relative, "{text}");
        }
    }
}
