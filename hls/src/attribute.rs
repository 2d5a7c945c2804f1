//! Attribute lists: `NAME=VALUE,NAME="VALUE"`, with the place of each value.
//!
//! A list is parsed, never searched: `NAME="Foo, URI="` and a title with a URL in it both exist.
//! Forgiven, because players forgive it: blanks around anything, missing quotes, a quote that never
//! closes, blanks instead of commas (ffmpeg splits there), words without a value. A single quote is
//! an ordinary character.

use crate::line::{Tag, is_padding, padding, trim};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a [u8],
    /// Without quotes and padding.
    pub(crate) value: &'a [u8],
    /// Where `value` stands in the input.
    pub(crate) value_start: usize,
    /// Where the whole attribute, name to closing quote, stands in the input.
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
        Attributes { text: self.value, offset: self.start, position: 0 }
    }

    /// The last of the name wins, as in every player.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'a [u8]> {
        self.attributes()
            .filter(|attribute| attribute.is(name))
            .last()
            .map(|attribute| attribute.value)
    }

    /// `NAME=YES`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.attribute(name).is_some_and(|value| value.eq_ignore_ascii_case(b"YES"))
    }
}

impl Attribute<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.position +=
                self.rest().iter().take_while(|&&byte| is_padding(byte) || byte == b',').count();
            let start = self.position;
            let stop = start + memchr::memchr3(b'=', b',', b'"', self.rest())?;
            self.position = stop + 1;
            match self.text.get(stop)? {
                b'=' => return self.attribute(start, stop),
                b'"' => self.position += memchr::memchr(b'"', self.rest())? + 1,
                _ => {} // a word without a value
            }
        }
    }
}

impl<'a> Attributes<'a> {
    /// The name lies between `start` and `equals`, the value begins at `self.position`.
    fn attribute(&mut self, start: usize, equals: usize) -> Option<Attribute<'a>> {
        let words = trim(self.text.get(start..equals)?);
        let name = words.rsplit(|&byte| is_padding(byte)).next().unwrap_or(words);
        let name_start = equals
            - self
                .text
                .get(start..equals)?
                .iter()
                .rev()
                .take_while(|&&byte| is_padding(byte))
                .count()
            - name.len();

        self.position += padding(self.rest());
        let (value, end) = match self.rest().split_first() {
            Some((b'"', quoted)) => {
                let closing = memchr::memchr(b'"', quoted);
                let value = quoted.get(..closing.unwrap_or(quoted.len()))?;
                self.position += 1;
                (value, self.position + value.len() + usize::from(closing.is_some()))
            }
            _ => {
                let value = unquoted(self.rest());
                (value, self.position + value.len())
            }
        };
        let value_start = self.position + padding(value);
        self.position = end;
        self.skip_to_next();
        Some(Attribute {
            name,
            value: trim(value),
            value_start: self.offset + value_start,
            start: self.offset + name_start,
            end: self.offset + end,
        })
    }

    /// Past what clutters the way from a value to the next attribute.
    fn skip_to_next(&mut self) {
        if !(self.rest().first().is_some_and(|&byte| is_padding(byte)) && name_follows(self.rest()))
        {
            self.position = memchr::memchr(b',', self.rest())
                .map_or(self.text.len(), |comma| self.position + comma);
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }
}

/// Up to a comma, or to the blanks before another `NAME=`.
fn unquoted(text: &[u8]) -> &[u8] {
    let text = text.get(..memchr::memchr(b',', text).unwrap_or(text.len())).unwrap_or(text);
    let mut position = 0;
    while let Some(rest) = text.get(position..).filter(|rest| !rest.is_empty()) {
        let word = rest.iter().take_while(|&&byte| !is_padding(byte)).count();
        let (_, after) = rest.split_at(word);
        position += word;
        if name_follows(after) {
            break;
        }
        position += padding(after);
    }
    trim(text.get(..position).unwrap_or(text))
}

fn name_follows(text: &[u8]) -> bool {
    let text = text.get(padding(text)..).unwrap_or_default();
    let name =
        text.iter().take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'-').count();
    let after = text.get(name..).unwrap_or_default();
    name > 0 && after.get(padding(after)) == Some(&b'=')
}

#[cfg(test)]
mod tests;
