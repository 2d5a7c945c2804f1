//! Lines with their place in the input, and what each one is.
//!
//! CR, LF and CRLF end a line, nothing else does: NEL, VT and FF occur inside titles. Bytes up to
//! and including the space are padding at either end of a line, so an indented tag is a tag.

use crate::error::{InvalidPlaylist, Seen};
use crate::limits::Limits;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Counted from one, as editors do.
    pub(crate) number: usize,
    /// Where `text` stands in the input.
    pub(crate) start: usize,
    /// Without padding and line end.
    pub(crate) text: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Blank,
    Comment,
    Tag(Tag<'a>),
    Uri,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag<'a> {
    /// Without the `#`.
    pub(crate) name: &'a [u8],
    /// What follows the colon.
    pub(crate) value: &'a [u8],
    /// Where `value` stands in the input.
    pub(crate) start: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    input: &'a [u8],
    limits: Limits,
    position: usize,
    number: usize,
}

/// The lines of a playlist, or why this is none. Limits on lines are met while iterating.
pub(crate) fn open<'a>(input: &'a [u8], limits: &Limits) -> Result<Lines<'a>, InvalidPlaylist> {
    if input.len() > limits.bytes {
        return Err(InvalidPlaylist::TooLong { bytes: input.len(), limit: limits.bytes });
    }
    let lines = Lines::new(input, *limits);
    let text = input.get(lines.position..).unwrap_or_default();
    let head = trim(text);
    if head.is_empty() {
        return Err(InvalidPlaylist::Empty);
    }
    if !head.starts_with(b"#EXTM3U") {
        return Err(InvalidPlaylist::NotAPlaylist { seen: Seen::of(text) });
    }
    Ok(lines)
}

impl<'a> Lines<'a> {
    pub(crate) fn new(input: &'a [u8], limits: Limits) -> Self {
        let position = if input.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Self { input, limits, position, number: 0 }
    }

    fn refuse(&mut self, error: InvalidPlaylist) -> Option<Result<Line<'a>, InvalidPlaylist>> {
        self.position = self.input.len();
        Some(Err(error))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, InvalidPlaylist>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.input.get(self.position..).filter(|rest| !rest.is_empty())?;
        self.number += 1;
        if self.number > self.limits.lines {
            return self.refuse(InvalidPlaylist::TooManyLines { limit: self.limits.lines });
        }
        let length = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        if length > self.limits.line {
            return self.refuse(InvalidPlaylist::LineTooLong {
                line: self.number,
                limit: self.limits.line,
            });
        }
        let (whole, end) = rest.split_at(length);
        let text = trim(whole);
        let start = self.position + if text.len() == whole.len() { 0 } else { padding(whole) };
        self.position += length
            + match end {
                [] => 0,
                [b'\r', b'\n', ..] => 2,
                _ => 1,
            };
        Some(Ok(Line { number: self.number, start, text }))
    }
}

impl<'a> Line<'a> {
    pub(crate) fn content(&self) -> Content<'a> {
        match self.text {
            [] => Content::Blank,
            [b'#', b'E', b'X', b'T', ..] => Content::Tag(self.tag()),
            [b'#', ..] => Content::Comment,
            _ => Content::Uri,
        }
    }

    fn tag(&self) -> Tag<'a> {
        let end = self
            .text
            .iter()
            .position(|&byte| byte == b':' || is_padding(byte))
            .unwrap_or(self.text.len());
        let (head, mut rest) = self.text.split_at(end);
        rest = rest.get(padding(rest)..).unwrap_or_default();
        rest = rest.strip_prefix(b":").unwrap_or(rest);
        rest = rest.get(padding(rest)..).unwrap_or_default();
        Tag {
            name: head.strip_prefix(b"#").unwrap_or(head),
            value: rest,
            start: self.start + self.text.len() - rest.len(),
        }
    }
}

pub(crate) fn is_padding(byte: u8) -> bool {
    byte <= b' '
}

/// How many bytes of padding stand in front.
pub(crate) fn padding(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| is_padding(byte)).count()
}

pub(crate) fn trim(text: &[u8]) -> &[u8] {
    if let [first, .., last] = text
        && !is_padding(*first)
        && !is_padding(*last)
    {
        return text;
    }
    let start = padding(text);
    let end = text.iter().rposition(|&byte| !is_padding(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
