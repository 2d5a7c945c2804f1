//! Playlist variables (`EXT-X-DEFINE`, RFC 8216bis, 4.4.2.3) and their substitution in URIs.

mod definition;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use url::Url;

pub(crate) use self::definition::Definition;
use self::definition::decode_query_parameter;
use crate::error::InvalidPlaylist;
use crate::limits::PlaylistLimits;
use crate::line;

/// Variable names and their values: those that a playlist defines, or those that its parent hands
/// down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variables(BTreeMap<Box<[u8]>, Box<[u8]>>);

/// The empty set, for links whose target imports no variables.
pub(crate) static NO_VARIABLES: Variables = Variables(BTreeMap::new());

/// The text was not produced by [`Variables::encode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a set of playlist variables")]
pub struct InvalidVariables;

impl Variables {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.get(name).map(AsRef::as_ref)
    }

    /// Encodes the variables for the end of a child playlist's link: only `A-Za-z0-9_-`, equal for
    /// equal variables, empty for none.
    ///
    /// The encoded text must be authenticated together with the URL that it follows: whoever can
    /// change the variables chooses the host of every link in the child playlist.
    pub fn encode(&self) -> String {
        let mut plain = Vec::new();
        for (name, value) in &self.0 {
            plain.extend_from_slice(name);
            plain.push(b'=');
            plain.extend_from_slice(value);
            plain.push(b'\n');
        }
        URL_SAFE_NO_PAD.encode(plain)
    }

    /// Decodes the text that [`Variables::encode`] produced.
    ///
    /// # Errors
    /// [`InvalidVariables`] if `text` is not such an encoding.
    pub fn decode(text: &str) -> Result<Self, InvalidVariables> {
        let plain = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidVariables)?;
        let mut variables = Self::default();
        for entry in plain.split_inclusive(|&byte| byte == b'\n') {
            let entry = entry.strip_suffix(b"\n").ok_or(InvalidVariables)?;
            let equals = memchr::memchr(b'=', entry).ok_or(InvalidVariables)?;
            let (name, value) = entry.split_at(equals);
            let value = value.strip_prefix(b"=").ok_or(InvalidVariables)?;
            if !is_variable_name(name) || value.iter().any(|&byte| needs_escaping(byte)) {
                return Err(InvalidVariables);
            }
            variables.insert(name, value);
        }
        Ok(variables)
    }

    /// Collects all variables that a playlist defines. The whole input is read before the first URI
    /// is mapped, because a child may import a variable that its parent defines further down.
    pub(crate) fn collect_definitions(
        input: &[u8],
        base: &Url,
        imported: &Self,
        limits: &PlaylistLimits,
    ) -> Result<Self, InvalidPlaylist> {
        let mut variables = Self::default();
        if memmem::find(input, b"#EXT-X-DEFINE").is_none() {
            return Ok(variables);
        }
        let mut total_length = 0;
        let mut buffer = Vec::new();
        for line in line::parse_lines(input, limits)? {
            let line = line?;
            let Some(definition) = line.tag().and_then(|tag| Definition::of(&tag)) else {
                continue;
            };
            let name = definition.name();
            let value = match definition {
                Definition::Value { value, .. } => {
                    let value = value.map_or(&[][..], |attribute| attribute.value);
                    let limit = limits.max_line_bytes;
                    Some(variables.substitute(value, &mut buffer, limit, line.number)?.to_vec())
                }
                Definition::QueryParameter(_) => decode_query_parameter(base, name),
                Definition::Import(_) => imported.get(name).map(<[u8]>::to_vec),
            };
            if let Some(value) = value {
                total_length += name.len() + value.len();
                variables.insert(name, &value);
            }
            // A value may refer to earlier values, so without this limit a few lines that double
            // each other would expand to gigabytes.
            if total_length > limits.max_line_bytes {
                return Err(InvalidPlaylist::VariablesTooLong {
                    line: line.number,
                    limit: limits.max_line_bytes,
                });
            }
        }
        Ok(variables)
    }

    /// Replaces each `{$name}` in `text` with the variable's value and leaves undefined names as
    /// they are. Returns `text` itself, without copying, if there is nothing to replace.
    pub(crate) fn substitute<'t>(
        &self,
        text: &'t [u8],
        buffer: &'t mut Vec<u8>,
        limit: usize,
        line: usize,
    ) -> Result<&'t [u8], InvalidPlaylist> {
        if self.is_empty() || memmem::find(text, b"{$").is_none() {
            return Ok(text);
        }
        buffer.clear();
        let mut copied = 0;
        for reference in find_variable_references(text) {
            let Some(value) = self.get(reference.name) else { continue };
            buffer.extend_from_slice(text.get(copied..reference.start).unwrap_or_default());
            buffer.extend_from_slice(value);
            copied = reference.end;
            if buffer.len() > limit {
                break;
            }
        }
        buffer.extend_from_slice(text.get(copied..).unwrap_or_default());
        if buffer.len() > limit {
            return Err(InvalidPlaylist::UriTooLong { line, limit });
        }
        Ok(buffer)
    }

    /// Stores a value with the bytes percent-encoded that would end a quoted string or its line
    /// when the value is written out again.
    fn insert(&mut self, name: &[u8], value: &[u8]) {
        let mut safe = Vec::with_capacity(value.len());
        for &byte in value {
            if needs_escaping(byte) {
                safe.extend_from_slice(percent_encoding::percent_encode_byte(byte).as_bytes());
            } else {
                safe.push(byte);
            }
        }
        self.0.insert(name.into(), safe.into());
    }
}

/// A `{$name}` reference and its byte positions in the text.
#[derive(Debug)]
pub(crate) struct VariableReference<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) start: usize,
    pub(crate) end: usize,
}

pub(crate) fn find_variable_references(text: &[u8]) -> impl Iterator<Item = VariableReference<'_>> {
    memmem::find_iter(text, b"{$").filter_map(|start| {
        let rest = text.get(start + 2..)?;
        let length = rest.iter().take_while(|&&byte| is_name_byte(byte)).count();
        let name = rest.get(..length).filter(|name| !name.is_empty())?;
        (rest.get(length) == Some(&b'}')).then_some(VariableReference {
            name,
            start,
            end: start + length + 3,
        })
    })
}

fn is_variable_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_name_byte(byte))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Whether the byte would end a quoted string or its line, so that an upstream's query parameter
/// cannot inject tags.
fn needs_escaping(byte: u8) -> bool {
    byte == b'"' || byte < b' ' || byte == 0x7F
}

#[cfg(test)]
mod tests;
