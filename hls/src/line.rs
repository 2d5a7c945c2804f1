//! Lines of a playlist with their byte offsets and kinds.
//!
//! Only CR, LF and CRLF end a line, because NEL, VT and FF occur inside titles. Bytes up to and
//! including the space are padding at both ends of a line, so an indented tag is a tag.

use crate::error::{InvalidPlaylist, UnexpectedContent};
use crate::limits::PlaylistLimits;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Line number, counted from 1.
    pub(crate) number: usize,
    /// Byte offset of `text` in the input.
    pub(crate) start: usize,
    /// The line without padding and line end.
    pub(crate) text: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum LineKind<'a> {
    Blank,
    Comment,
    Tag(Tag<'a>),
    Uri,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag<'a> {
    /// Tag name without the `#`.
    pub(crate) name: &'a [u8],
    /// Text after the colon.
    pub(crate) value: &'a [u8],
    /// Byte offset of `value` in the input.
    pub(crate) value_start: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    input: &'a [u8],
    limits: PlaylistLimits,
    position: usize,
    number: usize,
}

/// Iterates over the lines of a playlist. Line limits are checked while iterating.
///
/// # Errors
/// [`InvalidPlaylist`] if the input is too long, empty, or does not begin with `#EXTM3U`.
pub(crate) fn parse_lines<'a>(
    input: &'a [u8],
    limits: &PlaylistLimits,
) -> Result<Lines<'a>, InvalidPlaylist> {
    if input.len() > limits.max_bytes {
        return Err(InvalidPlaylist::TooLong { bytes: input.len(), limit: limits.max_bytes });
    }
    let mut lines = Lines::new(input, PlaylistLimits::UNLIMITED).filter_map(Result::ok);
    let Some(first) = lines.find(|line| !line.text.is_empty()) else {
        return Err(InvalidPlaylist::Empty);
    };
    if !first.text.starts_with(b"#EXTM3U") {
        let text = input.get(first.start..).unwrap_or_default();
        return Err(InvalidPlaylist::NotAPlaylist { seen: UnexpectedContent::classify(text) });
    }
    Ok(Lines::new(input, *limits))
}

/// The tags of an excerpt, without limits.
pub(crate) fn tags_of(text: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    Lines::new(text, PlaylistLimits::UNLIMITED).filter_map(|line| line.ok()?.tag())
}

impl<'a> Lines<'a> {
    pub(crate) fn new(input: &'a [u8], limits: PlaylistLimits) -> Self {
        Self { input, limits, position: 0, number: 0 }
    }

    /// Byte offset of the next line.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    fn stop_with(&mut self, error: InvalidPlaylist) -> Option<Result<Line<'a>, InvalidPlaylist>> {
        self.position = self.input.len();
        Some(Err(error))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, InvalidPlaylist>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.input.get(self.position..).filter(|rest| !rest.is_empty())?;
        self.number += 1;
        if self.number > self.limits.max_lines {
            return self.stop_with(InvalidPlaylist::TooManyLines { limit: self.limits.max_lines });
        }
        let length = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        if length > self.limits.max_line_bytes {
            return self.stop_with(InvalidPlaylist::LineTooLong {
                line: self.number,
                limit: self.limits.max_line_bytes,
            });
        }
        let (line, end) = rest.split_at(length);
        let whole = strip_byte_order_marks(line);
        let text = trim_padding(whole);
        let start = self.position
            + (line.len() - whole.len())
            + if text.len() == whole.len() { 0 } else { leading_padding_length(whole) };
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
    pub(crate) fn kind(&self) -> LineKind<'a> {
        match self.text {
            [] => LineKind::Blank,
            [b'#', b'E', b'X', b'T', ..] => LineKind::Tag(self.parse_tag()),
            [b'#', ..] => LineKind::Comment,
            _ => LineKind::Uri,
        }
    }

    pub(crate) fn tag(&self) -> Option<Tag<'a>> {
        match self.kind() {
            LineKind::Tag(tag) => Some(tag),
            LineKind::Blank | LineKind::Comment | LineKind::Uri => None,
        }
    }

    /// A comment of the form `#NAME:`. The standard knows only tags whose names begin with `EXT`;
    /// players of a vendor know others too.
    pub(crate) fn vendor_tag(&self) -> Option<Tag<'a>> {
        let (name, _) = self.text.split_at_checked(memchr::memchr(b':', self.text)?)?;
        let name = name.strip_prefix(b"#").filter(|name| !name.is_empty())?;
        let is_name = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
        name.iter().all(is_name).then(|| self.parse_tag())
    }

    fn parse_tag(&self) -> Tag<'a> {
        let is_end = |&byte: &u8| byte == b':' || is_padding_byte(byte);
        let end = self.text.iter().position(is_end).unwrap_or(self.text.len());
        let (head, mut rest) = self.text.split_at(end);
        rest = rest.get(leading_padding_length(rest)..).unwrap_or_default();
        rest = rest.strip_prefix(b":").unwrap_or(rest);
        rest = rest.get(leading_padding_length(rest)..).unwrap_or_default();
        Tag {
            name: head.strip_prefix(b"#").unwrap_or(head),
            value: rest,
            value_start: self.start + self.text.len() - rest.len(),
        }
    }
}

/// A playlist that was put together from files may have a mark in front of any line.
fn strip_byte_order_marks(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_prefix(BYTE_ORDER_MARK) {
        line = rest;
    }
    line
}

/// Number of bytes of byte order marks at the end of `text`.
pub(crate) fn trailing_mark_length(text: &[u8]) -> usize {
    let mut rest = text;
    while let Some(before) = rest.strip_suffix(BYTE_ORDER_MARK) {
        rest = before;
    }
    text.len() - rest.len()
}

pub(crate) fn is_padding_byte(byte: u8) -> bool {
    byte <= b' '
}

/// Number of padding bytes at the start.
pub(crate) fn leading_padding_length(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| is_padding_byte(byte)).count()
}

pub(crate) fn trim_padding(text: &[u8]) -> &[u8] {
    if let [first, .., last] = text
        && !is_padding_byte(*first)
        && !is_padding_byte(*last)
    {
        return text;
    }
    let start = leading_padding_length(text);
    let end = text.iter().rposition(|&byte| !is_padding_byte(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
