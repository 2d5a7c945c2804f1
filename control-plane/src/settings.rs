//! Configuration values that are validated while they are deserialized, so that an error carries
//! the line and key of the invalid value.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::time::Duration;

use pitwall_fetch::{FetchErrorKind, USER_INFO_ERROR, parse_source_headers};
use pitwall_upstream_map::StreamId;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, de};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use url::Url;

/// What to configure instead of a URL with a user name or password.
pub(crate) const CREDENTIALS_HINT: &str = "leave them out of it and write headers = { Authorization = \"Basic …\" }, where … is the base64 of USER:PASSWORD";

/// Longer than any sensible interval, yet far from overflowing a clock.
const DURATION_MAX: Duration = Duration::from_hours(31 * 24);

/// A duration such as `"90s"`, `"5m"` or `"1h 30m"`: more than zero, at most 31 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HumanDuration(pub Duration);

/// An absolute http or https URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl(pub Url);

/// The name of a source: `[a-z0-9_-]{1,64}`, as links and metric labels contain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceName(pub String);

/// The name of a feed; it has at least one character that a stream id can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedName(pub String);

/// Header fields with values of type `T`; their names are validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTable<T>(pub Vec<(String, T)>);

/// A header field value that can be sent unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderText(pub String);

impl HttpUrl {
    /// For constant defaults, each of which a test parses.
    ///
    /// # Panics
    /// When `text` is not a URL.
    pub(crate) fn from_static(text: &'static str) -> Self {
        #[expect(clippy::expect_used, reason = "constants, each covered by a test")]
        Self(Url::parse(text).expect("a URL in the source code"))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        pitwall_fetch::parse_url(text).map(Self).map_err(|error| match error.kind {
            FetchErrorKind::BadUrl(USER_INFO_ERROR) => {
                format!("{USER_INFO_ERROR}: {CREDENTIALS_HINT}")
            }
            _ => error.to_string(),
        })
    }
}

macro_rules! from_text {
    ($type:ty, $parse:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::settings::TextVisitor::<$type>($parse))
            }
        }
    };
}
pub(crate) use from_text;

/// Validates a text while it is deserialized: an error raised after deserialization would have no
/// span of its own within an array.
pub(crate) struct TextVisitor<T>(pub(crate) fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for TextVisitor<T> {
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
        longer if longer > DURATION_MAX => Err("must be at most 31 days".to_owned()),
        duration => Ok(Self(duration)),
    }
});

from_text!(HttpUrl, Self::parse);

impl SourceName {
    pub(crate) fn is_valid(text: &str) -> bool {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        !text.is_empty() && text.len() <= 64 && text.bytes().all(legal)
    }
}

from_text!(SourceName, |text| {
    if !SourceName::is_valid(text) {
        return Err(format!("{text:?} is not a name: use [a-z0-9_-], at most 64 characters"));
    }
    Ok(Self(text.to_owned()))
});

from_text!(FeedName, |text| match StreamId::of_feed(text) {
    Some(_) => Ok(Self(text.to_owned())),
    None => Err(format!("{text:?} has no letter, digit or sign to make an id of")),
});

from_text!(HeaderText, |text| match parse_source_headers([("x-any", text)]) {
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
        struct HeaderTableVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for HeaderTableVisitor<T> {
            type Value = HeaderTable<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut headers = Vec::new();
                while let Some(name) = map.next_key_seed(HeaderNameSeed)? {
                    headers.push((name, map.next_value()?));
                }
                Ok(HeaderTable(headers))
            }
        }

        deserializer.deserialize_map(HeaderTableVisitor(PhantomData))
    }
}

struct HeaderNameSeed;

impl<'de> DeserializeSeed<'de> for HeaderNameSeed {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        let name = String::deserialize(deserializer)?;
        parse_source_headers([(name.as_str(), "")]).map_err(D::Error::custom)?;
        Ok(name)
    }
}

/// A text; numbers and booleans are converted to text.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScalarText(pub(crate) String);

impl<'de> Deserialize<'de> for ScalarText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarTextVisitor;

        impl Visitor<'_> for ScalarTextVisitor {
            type Value = ScalarText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ScalarText, E> {
                Ok(ScalarText(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<ScalarText, E> {
                Ok(ScalarText(number.to_string()))
            }
        }

        deserializer.deserialize_any(ScalarTextVisitor)
    }
}

/// The line of a TOML error, if it has a span, and its message, prefixed with the key.
pub fn locate_error(text: &str, error: &toml::de::Error) -> (Option<usize>, String) {
    let Some(span) = error.span() else { return (None, error.message().to_owned()) };
    // What is missing in the whole text is said of no key.
    let is_whole_text = span.start == 0 && span.end >= text.trim_end().len();
    let key = DeTable::parse(text).ok().filter(|_| !is_whole_text);
    let key = key.map(|table| key_at(table.get_ref(), span.start));
    let key = key.filter(|key| !key.is_empty()).map_or(String::new(), |key| format!("{key}: "));
    let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
    (Some(line), format!("{key}{}", error.message()))
}

/// Checks that an error has a message, and a line of the text that it is in.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn assert_located(text: &str, error: &toml::de::Error) {
    let (line, message) = locate_error(text, error);
    assert!(!message.is_empty());
    let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{line:?}: {message}");
}

/// The dotted key whose name or value covers the byte `offset`.
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

/// An error with the span `span`, for rules that can be checked only once several keys are read.
pub(crate) fn error_at(span: Range<usize>, message: impl fmt::Display) -> toml::de::Error {
    struct FailingVisitor(String);

    impl Visitor<'_> for FailingVisitor {
        type Value = std::convert::Infallible;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Err(E::custom(self.0))
        }
    }

    // toml attaches a span only to an error that is returned while a spanned value is deserialized.
    let value = ValueDeserializer::from(Spanned::new(span, DeValue::Boolean(false)));
    match value.deserialize_any(FailingVisitor(message.to_string())) {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// Deserializes one text as `T` outside of any file.
#[cfg(test)]
pub(crate) fn parse_text<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    use serde::de::IntoDeserializer as _;
    let deserializer: de::value::StrDeserializer<'de, de::value::Error> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection_message<'de, T: Deserialize<'de>>(text: &'de str) -> String {
        parse_text::<T>(text).err().unwrap_or_else(|| panic!("{text:?} was accepted"))
    }

    #[test]
    fn invalid_values_are_rejected() {
        for (message, expected) in [
            (rejection_message::<HumanDuration>("-5m"), "not a duration"),
            (rejection_message::<HumanDuration>("5"), "not a duration"),
            (rejection_message::<HumanDuration>("0s"), "longer than nothing"),
            (rejection_message::<HumanDuration>("99999999999999999999s"), "not a duration"),
            (rejection_message::<HumanDuration>("32d"), "at most 31 days"),
            (rejection_message::<HttpUrl>("ftp://example.com/"), "only http and https"),
            (rejection_message::<HttpUrl>("/path"), "not an absolute URL"),
            (
                rejection_message::<HttpUrl>("http://u:p@example.com/"),
                "headers = { Authorization = \"Basic …\" }",
            ),
            (rejection_message::<SourceName>("My Source"), "not a name"),
            (rejection_message::<SourceName>(""), "not a name"),
            (rejection_message::<FeedName>("—"), "no letter, digit or sign"),
            (rejection_message::<HeaderText>("a\r\nb: c"), "cannot carry"),
        ] {
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn valid_values_are_parsed() {
        assert_eq!(parse_text::<HumanDuration>("5m").unwrap().0, Duration::from_mins(5));
        assert_eq!(parse_text::<FeedName>("World feed").unwrap().0, "World feed");
    }
}
