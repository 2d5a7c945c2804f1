//! What names the origin in a playlist without being a URI of it: comments, titles, attributes that
//! hold no URI, and whatever else a line says.
//!
//! | where | what becomes of a text that may not be published |
//! |---|---|
//! | comment | its line is `#` |
//! | title, or what else follows a number or date | it goes |
//! | attribute value that is a URL, or the whole value of a tag | a link |
//! | any other attribute value, a URI that is not fetched | a name that stands for it |
//! | what stands between attributes, or a name of an attribute | it goes, with its attribute |
//! | name of a tag, further attributes of EXT-X-DEFINE | the line is `#` |

use super::uri_attributes::uri_attributes;
use super::{Rewriter, TagContext};
use crate::attribute::Attribute;
use crate::error::InvalidPlaylist;
use crate::line::{Line, Tag, trim_padding};
use crate::redactor::Redactor;
use crate::tag::TagKind as Kind;
use crate::uri_mapper::{UriMapper, UriRole};
use crate::uri_resolver;

impl<'a, L: UriMapper + ?Sized> Rewriter<'a, L> {
    fn can_publish(&self, text: &[u8]) -> bool {
        self.mapper.redactor().is_none_or(|redactor| redactor.can_publish(text))
    }

    /// Replaces `written` at `start` with `replacement`.
    fn replace(&mut self, start: usize, written: &[u8], replacement: &[u8]) {
        self.copy_input_until(start);
        self.out.extend_from_slice(replacement);
        self.copied_until = start + written.len();
    }

    fn replace_with_hidden_text(&mut self, start: usize, written: &[u8]) {
        self.copy_input_until(start);
        self.mapper.map_hidden_text(written, &mut self.out);
        self.copied_until = start + written.len();
    }

    pub(super) fn hide_line(&mut self, line: &Line<'a>) {
        self.replace(line.start, line.text, b"#");
    }

    pub(super) fn redact_comment(&mut self, line: &Line<'a>) {
        if !self.can_publish(line.text) {
            self.hide_line(line);
        }
    }

    /// Redacts what follows the number or date of a tag, which begins with `name`; `end` then ends
    /// the line.
    pub(super) fn redact_behind_number(&mut self, line: &Line<'a>, name: &[u8], end: &[u8]) {
        if self.mapper.redactor().is_none() {
            return;
        }
        let value = line.text.get(name.len()..).unwrap_or_default();
        let is_number = |byte: &u8| byte.is_ascii_digit() || b".:+-TZ".contains(byte);
        let length = value.iter().take_while(|byte| is_number(byte)).count();
        let (number, rest) = value.split_at(length);
        // An address has more dots than a number.
        let is_address = memchr::memchr_iter(b'.', number).nth(1).is_some();
        if (rest.len() <= 1 && !is_address) || self.can_publish(value) {
            return;
        }
        let kept = if self.can_publish(number) { length } else { 0 };
        let written = value.get(kept..).unwrap_or_default();
        self.replace(line.start + name.len() + kept, written, end);
    }

    /// Redacts a URI that is not fetched.
    pub(super) fn redact_uri(&mut self, written: &'a [u8], start: usize) {
        if !self.can_publish(written) {
            self.replace_with_hidden_text(start, written);
        }
    }

    /// Whether an EXT-X-DEFINE has something beside its definition that may not be published.
    pub(super) fn has_hidden_extras(&self, tag: &Tag<'a>) -> bool {
        let Some(redactor) = self.mapper.redactor() else { return false };
        let is_known = |attribute: &Attribute<'_>| {
            ["NAME", "VALUE", "QUERYPARAM", "IMPORT"].iter().any(|name| attribute.has_name(name))
        };
        let mut end = 0;
        let gap = |from: usize, to: usize| tag.value.get(from..to).unwrap_or_default();
        let is_hidden = tag.attributes().any(|attribute| {
            let from = std::mem::replace(&mut end, attribute.end - tag.value_start);
            !redactor.can_publish(gap(from, attribute.start - tag.value_start))
                || !redactor.can_publish(attribute.name)
                || (!is_known(&attribute) && !redactor.can_publish(attribute.value))
        });
        is_hidden || !redactor.can_publish(gap(end, tag.value.len()))
    }

    /// Replaces the URIs of a tag, and redacts all else that it has.
    pub(super) fn rewrite_and_redact(
        &mut self,
        tag: &Tag<'a>,
        kind: &Kind<'a>,
        context: TagContext,
        line: &Line<'a>,
    ) -> Result<(), InvalidPlaylist> {
        let (is_unknown, uri_attributes) = (matches!(kind, Kind::Unknown), uri_attributes(kind));
        // The words of RFC 8216bis are no secrets, even if a URL has them too.
        if is_unknown && !self.can_publish(tag.name) {
            self.hide_line(line);
            return Ok(());
        }
        let (start, end) = (tag.value_start, tag.value_start + tag.value.len());
        if is_url(tag.value) && !self.can_publish(tag.value) {
            return self.replace_uri(UriRole::UnknownTag, tag.value, start, context, line.number);
        }
        let mut seen_until = start;
        for attribute in tag.attributes() {
            let Attribute { name, value, value_start, start, end: attribute_end, .. } = attribute;
            // A URL without quotes may go on behind a comma.
            if start < seen_until {
                continue;
            }
            self.redact_between_attributes(seen_until, start, tag);
            seen_until = attribute_end;
            if (is_unknown || !is_attribute_name(name)) && !self.can_publish(name) {
                let written = self.input.get(start..attribute_end).unwrap_or_default();
                self.replace(start, written, b"");
                continue;
            }
            let known = uri_attributes.iter().find(|known| name.eq_ignore_ascii_case(known.0));
            match known {
                Some((_, role)) => {
                    self.replace_uri(*role, value, value_start, context, line.number)?;
                }
                None => {
                    seen_until = seen_until.max(self.redact_value(&attribute, end, line.number)?);
                }
            }
        }
        self.redact_between_attributes(seen_until, end, tag);
        Ok(())
    }

    /// Redacts what stands between two attributes, before the first or behind the last.
    fn redact_between_attributes(&mut self, from: usize, to: usize, tag: &Tag<'a>) {
        let gap = self.input.get(from..to).unwrap_or_default();
        if !self.can_publish(gap) {
            let is_between = from > tag.value_start && to < tag.value_start + tag.value.len();
            let replacement: &[u8] = if is_between { b"," } else { b"" };
            self.replace(from, gap, replacement);
        }
    }

    /// Redacts the value of an attribute that holds no URI. Returns where what was redacted ends.
    fn redact_value(
        &mut self,
        attribute: &Attribute<'a>,
        tag_end: usize,
        line: usize,
    ) -> Result<usize, InvalidPlaylist> {
        let Attribute { value, value_start, is_quoted, .. } = *attribute;
        let (limit, buffer) = (self.limits.max_line_bytes, &mut self.substituted_uri);
        // A text that is too long with its variables is judged without them.
        let text = self.variables.substitute(value, buffer, limit, line).unwrap_or(value);
        let is_public = |redactor: &Redactor| redactor.can_publish(text);
        if self.mapper.redactor().is_none_or(is_public) {
            return Ok(value_start);
        }
        if !is_url(text) {
            self.replace_with_hidden_text(value_start, value);
            return Ok(value_start + value.len());
        }
        let rest = self.input.get(value_start..tag_end).unwrap_or_default();
        let url =
            if is_quoted { value } else { rest.get(..unquoted_url_length(rest)).unwrap_or(value) };
        self.replace_uri(UriRole::UnknownTag, url, value_start, TagContext::default(), line)?;
        Ok(value_start + url.len())
    }
}

/// Whether the text is an AttributeName (RFC 8216bis, 4.2).
fn is_attribute_name(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// Whether the whole text is a URL with a host.
fn is_url(text: &[u8]) -> bool {
    let text = trim_padding(text);
    let is_url_byte = |&byte: &u8| byte > b' ' && !b"\"'<>".contains(&byte);
    uri_resolver::has_host(text) && text.iter().all(is_url_byte)
}

/// Length of a URL without quotes: up to a comma before another attribute.
fn unquoted_url_length(text: &[u8]) -> usize {
    let begins_attribute = |at: usize| {
        let rest = text.get(at + 1..).unwrap_or_default();
        let is_name =
            |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'-';
        let length = rest.iter().take_while(is_name).count();
        length > 0 && rest.get(length) == Some(&b'=')
    };
    let blank = text.iter().position(|&byte| byte <= b' ').unwrap_or(text.len());
    let comma = memchr::memchr_iter(b',', text).find(|&at| begins_attribute(at));
    comma.unwrap_or(text.len()).min(blank)
}
