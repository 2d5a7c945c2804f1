//! EXT-X-DEFINE: names that stand for text in URIs.

mod definition;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem;
use url::Url;

pub(crate) use self::definition::Definition;
use self::definition::query_parameter;
use crate::error::InvalidPlaylist;
use crate::limits::Limits;
use crate::line::{self, Content};

/// What names stand for: those a playlist defined, or those its parent hands down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variables(BTreeMap<Box<[u8]>, Box<[u8]>>);

/// For links whose target imports nothing.
pub(crate) static NONE: Variables = Variables(BTreeMap::new());

/// The text does not come from [`Variables::encode`].
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

    /// For the end of a child's link: `A-Za-z0-9_-` only, the same for equal variables, empty for
    /// none. Whoever can change it can choose the host of every link in the child, so it must be
    /// authenticated along with the URL it travels behind.
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

    pub fn decode(text: &str) -> Result<Self, InvalidVariables> {
        let plain = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidVariables)?;
        let mut variables = Self::default();
        for entry in plain.split_inclusive(|&byte| byte == b'\n') {
            let entry = entry.strip_suffix(b"\n").ok_or(InvalidVariables)?;
            let equals = memchr::memchr(b'=', entry).ok_or(InvalidVariables)?;
            let (name, value) = entry.split_at(equals);
            let value = value.strip_prefix(b"=").ok_or(InvalidVariables)?;
            if !is_name(name) || value.iter().any(|&byte| breaks_out(byte)) {
                return Err(InvalidVariables);
            }
            variables.insert(name, value);
        }
        Ok(variables)
    }

    /// Everything a playlist defines. The whole of it, before the first URI is linked: a child may
    /// import what its parent defines further down.
    pub(crate) fn of(
        input: &[u8],
        base: &Url,
        imported: &Self,
        limits: &Limits,
    ) -> Result<Self, InvalidPlaylist> {
        let mut variables = Self::default();
        if memmem::find(input, b"#EXT-X-DEFINE").is_none() {
            return Ok(variables);
        }
        let mut length = 0;
        let mut filled = Vec::new();
        for line in line::open(input, limits)? {
            let line = line?;
            let Content::Tag(tag) = line.content() else { continue };
            let Some(definition) = Definition::of(&tag) else { continue };
            let name = definition.name();
            match definition {
                Definition::Value { value, .. } => {
                    let value = value.map_or(&[][..], |attribute| attribute.value);
                    let value = variables.fill(value, &mut filled, limits.line, line.number)?;
                    length += name.len() + value.len();
                    let value = value.to_vec();
                    variables.insert(name, &value);
                }
                Definition::Query(_) => {
                    if let Some(value) = query_parameter(base, name) {
                        length += name.len() + value.len();
                        variables.insert(name, &value);
                    }
                }
                Definition::Import(_) => {
                    if let Some(value) = imported.get(name) {
                        length += name.len() + value.len();
                        variables.insert(name, value);
                    }
                }
            }
            // Values are built from values: without an end to it, a few lines double themselves to gigabytes.
            if length > limits.line {
                return Err(InvalidPlaylist::VariablesTooLong {
                    line: line.number,
                    limit: limits.line,
                });
            }
        }
        Ok(variables)
    }

    /// The text with its `{$name}` filled in; names nobody defined stay. Borrows unless there are any.
    pub(crate) fn fill<'t>(
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
        for mention in mentions(text) {
            let Some(value) = self.get(mention.name) else { continue };
            buffer.extend_from_slice(text.get(copied..mention.start).unwrap_or_default());
            buffer.extend_from_slice(value);
            copied = mention.end;
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

    /// A value stands between quotes on one line when it is written out again.
    fn insert(&mut self, name: &[u8], value: &[u8]) {
        let mut safe = Vec::with_capacity(value.len());
        for &byte in value {
            if breaks_out(byte) {
                safe.extend_from_slice(percent_encoding::percent_encode_byte(byte).as_bytes());
            } else {
                safe.push(byte);
            }
        }
        self.0.insert(name.into(), safe.into());
    }
}

/// `{$name}` in a text.
#[derive(Debug)]
pub(crate) struct Mention<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) start: usize,
    pub(crate) end: usize,
}

pub(crate) fn mentions(text: &[u8]) -> impl Iterator<Item = Mention<'_>> {
    memmem::find_iter(text, b"{$").filter_map(|start| {
        let rest = text.get(start + 2..)?;
        let length = rest.iter().take_while(|&&byte| is_name_byte(byte)).count();
        let name = rest.get(..length).filter(|name| !name.is_empty())?;
        (rest.get(length) == Some(&b'}')).then_some(Mention {
            name,
            start,
            end: start + length + 3,
        })
    })
}

fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_name_byte(byte))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Would end the quotes, or the line: an upstream's query could otherwise smuggle in tags of its own.
fn breaks_out(byte: u8) -> bool {
    byte == b'"' || byte < b' ' || byte == 0x7F
}

#[cfg(test)]
mod tests;
