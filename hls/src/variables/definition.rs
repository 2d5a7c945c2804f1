//! One EXT-X-DEFINE.

use percent_encoding::percent_decode;
use url::Url;

use super::is_name;
use crate::attribute::Attribute;
use crate::line::Tag;

/// One that means something.
#[derive(Debug)]
pub(crate) enum Definition<'a> {
    Value {
        name: &'a [u8],
        value: Option<Attribute<'a>>,
    },
    /// The attribute that a player of ours cannot resolve itself.
    Query(Attribute<'a>),
    Import(Attribute<'a>),
}

impl<'a> Definition<'a> {
    pub(crate) fn of(tag: &Tag<'a>) -> Option<Self> {
        if tag.name != b"EXT-X-DEFINE" {
            return None;
        }
        let last = |name| tag.attributes().filter(|attribute| attribute.is(name)).last();
        let definition = if let Some(name) = last("NAME") {
            Self::Value { name: name.value, value: last("VALUE") }
        } else if let Some(attribute) = last("QUERYPARAM") {
            Self::Query(attribute)
        } else {
            Self::Import(last("IMPORT")?)
        };
        is_name(definition.name()).then_some(definition)
    }

    pub(crate) fn name(&self) -> &'a [u8] {
        match self {
            Self::Value { name, .. } => name,
            Self::Query(attribute) | Self::Import(attribute) => attribute.value,
        }
    }
}

/// Percent-decoded, save a brace: the value is written out as a VALUE, where `{$` would be filled in again.
pub(super) fn query_parameter(base: &Url, name: &[u8]) -> Option<Vec<u8>> {
    let query = base.query()?.as_bytes();
    let value = query.split(|&byte| byte == b'&').find_map(|pair| {
        let (key, value) = pair.split_at(memchr::memchr(b'=', pair).unwrap_or(pair.len()));
        percent_decode(key)
            .eq(name.iter().copied())
            .then(|| value.strip_prefix(b"=").unwrap_or_default())
    })?;
    let mut decoded = Vec::with_capacity(value.len());
    for byte in percent_decode(value) {
        match byte {
            b'{' => decoded.extend_from_slice(b"%7B"),
            _ => decoded.push(byte),
        }
    }
    Some(decoded)
}
