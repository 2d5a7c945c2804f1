//! Attribute lists (RFC 8216bis, 4.2): `NAME=VALUE,NAME="VALUE"`, with the byte offset of each
//! value.
//!
//! A list is parsed, never searched: `NAME="Foo, URI="` and a title with a URL in it both occur. As
//! players do, the parser tolerates blanks around anything, missing quotes, an unclosed quote,
//! blanks instead of commas (ffmpeg splits there), and words without a value. A single quote is an
//! ordinary character.

use crate::line::{Tag, is_padding_byte, leading_padding_length, trim_padding};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a [u8],
    /// Value without quotes and padding.
    pub(crate) value: &'a [u8],
    pub(crate) is_quoted: bool,
    /// Byte offset of `value` in the input.
    pub(crate) value_start: usize,
    /// Byte offset of the attribute in the input, from its name to `end`, after its closing quote.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    text: &'a [u8],
    offset: usize,
    position: usize,
}

impl<'a> Tag<'a> {
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes { text: self.value, offset: self.value_start, position: 0 }
    }

    /// Value of the named attribute; the last one of that name wins, as in every player.
    pub(crate) fn find_attribute_value(&self, name: &str) -> Option<&'a [u8]> {
        self.find_attribute(name).map(|attribute| attribute.value)
    }

    pub(crate) fn find_attribute(&self, name: &str) -> Option<Attribute<'a>> {
        self.attributes().filter(|attribute| attribute.has_name(name)).last()
    }

    /// Whether the attribute is `NAME=YES`.
    pub(crate) fn is_attribute_yes(&self, name: &str) -> bool {
        self.find_attribute_value(name).is_some_and(|value| value.eq_ignore_ascii_case(b"YES"))
    }
}

impl Attribute<'_> {
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.position += self
                .rest()
                .iter()
                .take_while(|&&byte| is_padding_byte(byte) || byte == b',')
                .count();
            let start = self.position;
            let stop = start + memchr::memchr3(b'=', b',', b'"', self.rest())?;
            self.position = stop + 1;
            match self.text.get(stop)? {
                b'=' => return self.parse_attribute(start, stop),
                b'"' => self.position += memchr::memchr(b'"', self.rest())? + 1,
                _ => {} // a word without a value
            }
        }
    }
}

impl<'a> Attributes<'a> {
    /// Parses the attribute whose name lies between `start` and `equals` and whose value begins at
    /// `self.position`.
    fn parse_attribute(&mut self, start: usize, equals: usize) -> Option<Attribute<'a>> {
        let written = self.text.get(start..equals)?;
        let words = trim_padding(written);
        let name = words.rsplit(|&byte| is_padding_byte(byte)).next().unwrap_or(words);
        let padding = written.iter().rev().take_while(|&&byte| is_padding_byte(byte)).count();
        let name_start = equals - padding - name.len();

        self.position += leading_padding_length(self.rest());
        let (value, end, is_quoted) = match self.rest().split_first() {
            Some((b'"', quoted)) => {
                let closing = memchr::memchr(b'"', quoted);
                let value = quoted.get(..closing.unwrap_or(quoted.len()))?;
                self.position += 1;
                (value, self.position + value.len() + usize::from(closing.is_some()), true)
            }
            _ => {
                let value = parse_unquoted(self.rest());
                (value, self.position + value.len(), false)
            }
        };
        let value_start = self.position + leading_padding_length(value);
        self.position = end;
        self.skip_to_comma();
        Some(Attribute {
            name,
            value: trim_padding(value),
            is_quoted,
            value_start: self.offset + value_start,
            start: self.offset + name_start,
            end: self.offset + end,
        })
    }

    /// Skips to the comma after a value, unless a blank and another `NAME=` follow directly.
    fn skip_to_comma(&mut self) {
        if !(self.rest().first().is_some_and(|&byte| is_padding_byte(byte))
            && starts_with_attribute(self.rest()))
        {
            self.position = memchr::memchr(b',', self.rest())
                .map_or(self.text.len(), |comma| self.position + comma);
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }
}

/// Returns the value up to a comma, or up to the blanks before another `NAME=`.
fn parse_unquoted(text: &[u8]) -> &[u8] {
    let text = text.get(..memchr::memchr(b',', text).unwrap_or(text.len())).unwrap_or(text);
    let mut position = 0;
    while let Some(rest) = text.get(position..).filter(|rest| !rest.is_empty()) {
        let word_length = rest.iter().take_while(|&&byte| !is_padding_byte(byte)).count();
        let (_, rest_after_word) = rest.split_at(word_length);
        position += word_length;
        if starts_with_attribute(rest_after_word) {
            break;
        }
        position += leading_padding_length(rest_after_word);
    }
    trim_padding(text.get(..position).unwrap_or(text))
}

fn starts_with_attribute(text: &[u8]) -> bool {
    let text = text.get(leading_padding_length(text)..).unwrap_or_default();
    let name_length =
        text.iter().take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'-').count();
    let rest = text.get(name_length..).unwrap_or_default();
    name_length > 0 && rest.get(leading_padding_length(rest)) == Some(&b'=')
}

#[cfg(test)]
mod tests;
