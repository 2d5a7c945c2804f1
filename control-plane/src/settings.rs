//! Values of the configuration that are judged where they are read, so that an error knows
//! the line and the key it is about.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::Duration;

use pitwall_fetch::{Kind, USER_INFO, source_headers};
use pitwall_upstream_map::StreamId;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, de};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use url::Url;

use crate::extract::error::USE_HEADERS;

/// Longer than any interval makes sense, and far from overflowing a clock.
const LONGEST: Duration = Duration::from_hours(31 * 24);

/// `"90s"`, `"5m"`, `"1h 30m"`: longer than nothing, at most 31 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

/// The name of a source: `[a-z0-9_-]{1,64}`. It is part of links and labels of metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName(pub String);

/// The name of a feed, which is not made of separators alone: its id is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedName(pub String);

/// Headers with values of type `T`, names judged.
#[derive(Clone, Debug)]
pub struct HeaderTable<T>(pub Vec<(String, T)>);

/// A header's value that can be sent as it is.
#[derive(Clone, Debug)]
pub struct HeaderText(pub String);

impl HttpUrl {
    /// For defaults, which tests parse.
    pub(crate) fn fixed(text: &'static str) -> Self {
        #[expect(clippy::expect_used, reason = "constants, each covered by a test")]
        Self(Url::parse(text).expect("a URL in the source code"))
    }
}

macro_rules! from_text {
    ($type:ty, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::settings::Parse::<$type>($parse))
            }
        }
    };
}
pub(crate) use from_text;

/// Parses while the text is being read: an error raised later would have no place of its own
/// within an array.
pub(crate) struct Parse<T>(pub(crate) fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Parse<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

from_text!(HumanDuration, |text| {
    let duration = humantime::parse_duration(text).map_err(|error| {
        format!("{text:?} is not a duration such as \"90s\" or \"5m\": {error}")
    })?;
    match duration {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        longer if longer > LONGEST => Err("must be at most 31 days".to_owned()),
        duration => Ok(Self(duration)),
    }
});

from_text!(HttpUrl, |text| {
    pitwall_fetch::parse_url(text).map(Self).map_err(|error| match error.kind {
        Kind::BadUrl(USER_INFO) => format!("{USER_INFO}: {USE_HEADERS}"),
        _ => error.to_string(),
    })
});

from_text!(SourceName, |text| {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(legal) {
        return Err(format!("{text:?} is not a name: use [a-z0-9_-], at most 64 characters"));
    }
    Ok(Self(text.to_owned()))
});

from_text!(FeedName, |text| match StreamId::of_feed(text) {
    Some(_) => Ok(Self(text.to_owned())),
    None => Err(format!("{text:?} has no letter, digit or sign to make an id of")),
});

from_text!(HeaderText, |text| match source_headers([("x-any", text)]) {
    Ok(_) => Ok(Self(text.to_owned())),
    Err(_) => Err("holds characters that a header cannot carry".to_owned()),
});

impl<T> Default for HeaderTable<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for HeaderTable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Headers<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Headers<T> {
            type Value = HeaderTable<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut headers = Vec::new();
                while let Some(name) = map.next_key_seed(HeaderName)? {
                    headers.push((name, map.next_value()?));
                }
                Ok(HeaderTable(headers))
            }
        }

        deserializer.deserialize_map(Headers(PhantomData))
    }
}

struct HeaderName;

impl<'de> DeserializeSeed<'de> for HeaderName {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let name = String::deserialize(deserializer)?;
        source_headers([(name.as_str(), "")]).map_err(D::Error::custom)?;
        Ok(name)
    }
}

/// Variables by name; numbers and booleans are taken as text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain(pub(crate) String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Plain;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Plain, E> {
                Ok(Plain(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Plain, E> {
                Ok(Plain(number.to_string()))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

/// Where a TOML error is, as a line, and what it says, with the key it is about in front.
pub fn locate(text: &str, error: &toml::de::Error) -> (Option<usize>, String) {
    let Some(span) = error.span() else { return (None, error.message().to_owned()) };
    let key = DeTable::parse(text).ok().map(|table| key_at(table.get_ref(), span.start));
    let key = key.filter(|key| !key.is_empty()).map_or(String::new(), |key| format!("{key}: "));
    let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
    (Some(line), format!("{key}{}", error.message()))
}

/// The dotted key whose name or value covers this place.
fn key_at(table: &DeTable<'_>, offset: usize) -> String {
    for (key, value) in table {
        let name = key.get_ref();
        if key.span().contains(&offset) {
            return name.to_string();
        }
        let inner = match value.get_ref() {
            DeValue::Table(inner) => key_at(inner, offset),
            DeValue::Array(array) => array
                .iter()
                .filter_map(|item| item.get_ref().as_table())
                .map(|inner| key_at(inner, offset))
                .find(|key| !key.is_empty())
                .unwrap_or_default(),
            _ => String::new(),
        };
        if !inner.is_empty() {
            return format!("{name}.{inner}");
        }
        if value.span().contains(&offset) {
            return name.to_string();
        }
    }
    String::new()
}

/// An error about the text at `span`, for what can only be judged once several keys are read.
pub(crate) fn error_at(span: Range<usize>, message: impl fmt::Display) -> toml::de::Error {
    struct Refuse(String);

    impl Visitor<'_> for Refuse {
        type Value = std::convert::Infallible;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Err(E::custom(self.0))
        }
    }

    // The library attaches spans only to errors that pass through a value.
    let value = ValueDeserializer::from(Spanned::new(span, DeValue::Boolean(false)));
    match value.deserialize_any(Refuse(message.to_string())) {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// Reads one text as `T` outside of any file.
#[cfg(test)]
pub(crate) fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    use serde::de::IntoDeserializer as _;
    let deserializer: de::value::StrDeserializer<'de, de::value::Error> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<'de, T: Deserialize<'de>>(text: &'de str) -> String {
        parse::<T>(text).err().unwrap_or_else(|| panic!("{text:?} was taken"))
    }

    #[test]
    fn what_is_refused() {
        for (message, expected) in [
            (refused::<HumanDuration>("-5m"), "not a duration"),
            (refused::<HumanDuration>("5"), "not a duration"),
            (refused::<HumanDuration>("0s"), "longer than nothing"),
            (refused::<HumanDuration>("99999999999999999999s"), "not a duration"),
            (refused::<HumanDuration>("32d"), "at most 31 days"),
            (refused::<HttpUrl>("ftp://example.com/"), "only http and https"),
            (refused::<HttpUrl>("/path"), "not an absolute URL"),
            (
                refused::<HttpUrl>("http://u:p@example.com/"),
                "headers = { Authorization = \"Basic …\" }",
            ),
            (refused::<SourceName>("My Source"), "not a name"),
            (refused::<SourceName>(""), "not a name"),
            (refused::<FeedName>("—"), "no letter, digit or sign"),
            (refused::<HeaderText>("a\r\nb: c"), "cannot carry"),
        ] {
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn what_is_taken() {
        assert_eq!(parse::<HumanDuration>("5m").unwrap().0, Duration::from_mins(5));
        assert_eq!(parse::<FeedName>("World feed").unwrap().0, "World feed");
    }
}
