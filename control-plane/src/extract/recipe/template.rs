//! Text with `{{variables}}`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use url::Url;

use crate::settings::from_text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
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
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Variable(name_of(name.trim())?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    pub(super) fn render(&self, variables: &BTreeMap<String, String>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            text.push_str(match part {
                Part::Text(part) => part,
                Part::Variable(name) => variables.get(name).ok_or_else(|| unknown(name))?,
            });
        }
        Ok(text)
    }

    /// Does it only name what is known?
    pub(super) fn check(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        self.0.iter().try_for_each(|part| match part {
            Part::Variable(name) if !known.contains(name.as_str()) => Err(unknown(name)),
            _ => Ok(()),
        })
    }

    /// Is it surely not an absolute URL?
    pub(super) fn is_relative(&self) -> bool {
        match self.0.first() {
            Some(Part::Text(text)) => {
                !(text.starts_with("http://") || text.starts_with("https://"))
            }
            Some(Part::Variable(_)) => false,
            None => true,
        }
    }

    /// The port that a URL names before its first variable.
    pub(super) fn port(&self) -> Option<u16> {
        let Some(Part::Text(text)) = self.0.first() else { return None };
        let (scheme, rest) = text.split_once("://")?;
        let (authority, _) = rest.split_once('/').or((self.0.len() == 1).then_some((rest, "")))?;
        Url::parse(&format!("{scheme}://{authority}/")).ok()?.port()
    }
}

fn unknown(name: &str) -> String {
    format!("the variable {name:?} is not known here")
}

/// `[a-z_][a-z0-9_]*`
pub(super) fn name_of(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let goes_on = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if begins && bytes.all(goes_on) {
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
        let variables = BTreeMap::from([("id".to_owned(), "7".to_owned())]);
        for (text, expected) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("{{id}}", Ok("7")),
            ("a{{ id }}b{{id}}", Ok("a7b7")),
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
            assert_eq!(template.port(), port, "{text}");
            assert_eq!(template.is_relative(), relative, "{text}");
        }
    }
}
