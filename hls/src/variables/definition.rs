//! A parsed `EXT-X-DEFINE` tag.

use percent_encoding::percent_decode;
use url::Url;

use super::is_variable_name;
use crate::attribute::Attribute;
use crate::line::Tag;
use crate::tag::{PlaylistTag as P, TagKind as Kind};

/// An `EXT-X-DEFINE` tag with a valid variable name.
#[derive(Debug)]
pub(crate) enum Definition<'a> {
    Value {
        name: &'a [u8],
        value: Option<Attribute<'a>>,
    },
    /// A `QUERYPARAM` attribute, which a player of a rewritten playlist cannot evaluate because the
    /// query of the link is not the query of the origin's URL.
    QueryParameter(Attribute<'a>),
    Import(Attribute<'a>),
}

impl<'a> Definition<'a> {
    pub(crate) fn of(tag: &Tag<'a>) -> Option<Self> {
        if !matches!(tag.kind(), Kind::Playlist(P::Define)) {
            return None;
        }
        let definition = if let Some(name) = tag.find_attribute_value("NAME") {
            Self::Value { name, value: tag.find_attribute("VALUE") }
        } else if let Some(attribute) = tag.find_attribute("QUERYPARAM") {
            Self::QueryParameter(attribute)
        } else {
            Self::Import(tag.find_attribute("IMPORT")?)
        };
        is_variable_name(definition.name()).then_some(definition)
    }

    pub(crate) fn name(&self) -> &'a [u8] {
        match self {
            Self::Value { name, .. } => name,
            Self::QueryParameter(attribute) | Self::Import(attribute) => attribute.value,
        }
    }
}

/// Returns the percent-decoded value of the query parameter `name`. `{` becomes `%7B`, because the
/// value is written out as a `VALUE`, where `{$` would be substituted again.
pub(super) fn decode_query_parameter(base: &Url, name: &[u8]) -> Option<Vec<u8>> {
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
