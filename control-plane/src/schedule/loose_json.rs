//! Reads JSON members as the servers of schedules write them: a number as text, text as a number,
//! and `null`, an empty text or nothing for what is not known. For `deserialize_with`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A text, or a number as text; `None` for anything else.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(value_text(Value::deserialize(from)?))
}

/// A whole number that is not negative; `None` for anything else.
pub(super) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(value_text(Value::deserialize(from)?).and_then(|text| parse_number(&text)))
}

/// As [`number`], of what has to be there.
pub(super) fn key<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(from)?;
    let found = value_text(value.clone()).and_then(|text| parse_number(&text));
    found.ok_or_else(|| serde::de::Error::custom(format!("{value} is no key")))
}

/// `true`, `"true"`, `1`, `"1"` and their opposites; `None` for anything else.
pub(super) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    let text = match Value::deserialize(from)? {
        Value::Bool(flag) => return Ok(Some(flag)),
        other => value_text(other).unwrap_or_default(),
    };
    Ok(match &*text.to_ascii_lowercase() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    })
}

fn value_text(value: Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// `7`, or `7.0`, as a language without whole numbers writes it.
fn parse_number(text: &str) -> Option<u64> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}
