//! [`Parameter`]s of a URL's text, and the texts that are encoded in it. Pure functions.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A shorter base64 word holds no name with a time.
const BASE64_MIN_CHARS: usize = 16;

/// A name and its value: `name=value` between any separators, `/name/value`, or a member of a JSON
/// object.
pub(super) struct Parameter {
    /// In lower case, without `-`, `_` and `.`.
    pub(super) name: String,
    /// As far as the next `&`. Other separators may be part of it.
    pub(super) value: String,
}

impl Parameter {
    fn new(name: &str, value: &str) -> Self {
        let letters = name.chars().filter(|c| !"-_.".contains(*c));
        Self { name: letters.map(|c| c.to_ascii_lowercase()).collect(), value: value.to_owned() }
    }
}

pub(super) fn find_parameters(text: &str) -> Vec<Parameter> {
    if let Some(members) = json_members(text) {
        return members;
    }
    let is_part_of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let pieces: Vec<&str> = text.split('=').collect();
    let pairs = pieces.windows(2).filter_map(|pair| {
        // Of `hdntl=exp=1767225600~acl=…` the pieces are `hdntl`, `exp`, `1767225600~acl`.
        let [before, after] = pair else { return None };
        let name = before.rsplit(|c| !is_part_of_name(c)).next()?;
        Some(Parameter::new(name, after.split('&').next()?))
    });
    let segments: Vec<&str> = text.split('/').collect();
    let segment_pairs = segments.windows(2).filter_map(|pair| {
        let [name, value] = pair else { return None };
        Some(Parameter::new(name, value))
    });
    pairs.chain(segment_pairs).collect()
}

/// The texts that are percent-encoded, base64 or a JSON object in `text`.
pub(super) fn decode_texts(text: &str) -> impl Iterator<Item = String> {
    let decoded = percent_decode_str(text).decode_utf8().ok().filter(|decoded| decoded != text);
    let inside_braces = text.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    let object = inside_braces.map(|(members, _)| format!("{{{members}}}"));
    // A word may hold signs that separate words elsewhere: `/` is of base64, `~` of CloudFront's.
    // In a path `/` ends it.
    let values = text.split(['&', '=']).chain(text.split(['&', '=', '/']));
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_+".contains(c)));
    let words = values.chain(words).filter(|word| word.len() >= BASE64_MIN_CHARS);
    let texts = decoded.map(Cow::into_owned).into_iter().chain(object.filter(|it| it != text));
    texts.chain(words.filter_map(decode_base64))
}

/// Decodes a list of parameters or a JSON object from base64, in which URLs may write `-` for `+`
/// and `_` for `/`, or, at CloudFront, `~` for `/` and `_` for `=`.
fn decode_base64(word: &str) -> Option<String> {
    let common = word.replace('+', "-").replace('/', "_");
    let cloudfront = word.trim_end_matches('_').replace('~', "_");
    [common, cloudfront].into_iter().find_map(|word| {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(word).ok()?).ok()?;
        (text.starts_with('{') || text.contains('=')).then_some(text)
    })
}

fn json_members(text: &str) -> Option<Vec<Parameter>> {
    let object: Value = serde_json::from_str(text).ok()?;
    let members = object.as_object()?.iter().map(|(name, value)| (name.as_str(), value));
    let statements = object.get("Statement").and_then(Value::as_array).into_iter().flatten();
    let policy_ends = statements.filter_map(|statement| {
        Some(("expires", statement.pointer("/Condition/DateLessThan/AWS:EpochTime")?))
    });
    let parameters = members.chain(policy_ends).filter_map(|(name, value)| match value {
        Value::String(text) => Some(Parameter::new(name, text)),
        Value::Number(number) => Some(Parameter::new(name, &number.to_string())),
        _ => None,
    });
    Some(parameters.collect())
}
