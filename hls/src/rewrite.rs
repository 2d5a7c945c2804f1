//! Rewriting of a playlist: every URI becomes a link, what names the origin goes, every other byte
//! stays.
//!
//! The output is the input up to the next URI, copied in one piece, then the link, and so on. Text
//! that needs no change is read once.

mod redacting;
mod uri_attributes;

use url::Url;

use self::uri_attributes::uri_attributes;
use crate::attribute::Attribute;
use crate::error::InvalidPlaylist;
use crate::limits::PlaylistLimits;
use crate::line::{self, Line, LineKind, Tag};
use crate::playlist_kind::{KindDetector, PlaylistKind};
use crate::playlist_timing::PlaylistTiming;
use crate::redaction::{self, RedactionCandidates};
use crate::segment_context::{PendingSegmentTags, SegmentTags};
use crate::tag::{self, Inf, PlaylistTag as P, SegmentTag as S, TagKind as Kind};
use crate::uri_mapper::{UriMapper, UriReference, UriRole};
use crate::uri_resolver::UriResolver;
use crate::variables::{Definition, NO_VARIABLES, Variables};

/// A rewritten playlist.
#[derive(Clone, Debug, PartialEq)]
pub struct RewriteOutput {
    pub bytes: Vec<u8>,
    pub kind: PlaylistKind,
    /// Variables that the playlist defines; the children of a multivariant playlist import these.
    pub variables: Variables,
    pub timing: PlaylistTiming,
}

/// Rewrites a playlist that was loaded from `base` (the URL after redirects); `imported` are the
/// variables of its multivariant playlist.
///
/// # Errors
/// [`InvalidPlaylist`] if the input is no playlist, or input or output exceed `limits`.
pub fn rewrite<L: UriMapper + ?Sized>(
    input: &[u8],
    base: &Url,
    imported: &Variables,
    limits: &PlaylistLimits,
    mapper: &mut L,
) -> Result<RewriteOutput, InvalidPlaylist> {
    let lines = line::parse_lines(input, limits)?;
    let variables = Variables::collect_definitions(input, base, imported, limits)?;
    let mut rewriter = Rewriter {
        input,
        limits,
        mapper,
        variables: &variables,
        resolver: UriResolver::new(base),
        substituted_uri: Vec::new(),
        out: Vec::with_capacity(input.len().saturating_mul(2)),
        copied_until: 0,
        next_segment: PendingSegmentTags::default(),
        open_range_end: None,
        kind_detector: KindDetector::default(),
        timing: PlaylistTiming::default(),
        last_infs: [Inf::default(); 2],
        redactions: RedactionCandidates::default(),
    };
    for line in lines {
        rewriter.rewrite_line(&line?)?;
    }
    let kind = rewriter.kind_detector.kind()?;
    rewriter.timing.allow_for_segments(rewriter.last_infs.map(|inf| inf.duration()));
    let timing = rewriter.timing;
    let bytes = rewriter.finish();
    Ok(RewriteOutput { bytes, kind, variables, timing })
}

struct Rewriter<'a, L: ?Sized> {
    input: &'a [u8],
    limits: &'a PlaylistLimits,
    mapper: &'a mut L,
    variables: &'a Variables,
    resolver: UriResolver<'a>,
    /// Buffer for a URI after variable substitution.
    substituted_uri: Vec<u8>,
    out: Vec<u8>,
    /// Number of input bytes that `out` contains or replaces.
    copied_until: usize,
    next_segment: PendingSegmentTags<'a>,
    /// Where in `out` the EXT-X-BYTERANGE of the next segment ends, if it has no offset.
    open_range_end: Option<usize>,
    kind_detector: KindDetector,
    timing: PlaylistTiming,
    /// The last two EXTINFs: what is to be expected of the next segment. To parse all of them would
    /// cost more than to copy the lines.
    last_infs: [Inf<'a>; 2],
    redactions: RedactionCandidates<'a>,
}

impl<'a, L: UriMapper + ?Sized> Rewriter<'a, L> {
    fn rewrite_line(&mut self, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        let before = self.input.get(..line.start).unwrap_or_default();
        let marks = line::trailing_mark_length(before);
        if marks > 0 {
            // A playlist must not contain a byte order mark (RFC 8216bis, 4.1), and ffmpeg takes one
            // that does for no playlist.
            self.copy_input_until(line.start - marks);
            self.copied_until = line.start;
        }
        let is_inf = line.text.starts_with(tag::INF);
        self.kind_detector.has_segments |= is_inf;
        // In a long playlist this is most lines, and no URI depends on them.
        if is_inf {
            let value = line.text.get(tag::INF.len()..).unwrap_or_default();
            self.last_infs = [self.last_infs[1], Inf::of(value)];
            self.redact_behind_number(line, tag::INF, b",");
            return Ok(());
        }
        if line.text.starts_with(tag::PROGRAM_DATE_TIME) {
            self.redact_behind_number(line, tag::PROGRAM_DATE_TIME, b"");
            self.complete_date(line);
            return Ok(());
        }
        match line.kind() {
            LineKind::Blank => Ok(()),
            LineKind::Comment => match line.vendor_tag() {
                Some(tag) => self.rewrite_tag(&tag, line),
                None => {
                    self.redact_comment(line);
                    Ok(())
                }
            },
            LineKind::Uri => self.rewrite_uri_line(line),
            LineKind::Tag(tag) => self.rewrite_tag(&tag, line),
        }
    }

    fn rewrite_uri_line(&mut self, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        let is_variant = self.next_segment.take_variant_flag();
        self.timing.segment_count += u64::from(!is_variant);
        let role = if is_variant { UriRole::Variant } else { UriRole::Segment };
        self.replace_uri(role, line.text, line.start, TagContext::default(), line.number)
    }

    fn rewrite_tag(&mut self, tag: &Tag<'a>, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        let kind = tag.kind();
        self.kind_detector.observe_tag(&kind);
        self.next_segment.observe_tag(&kind);
        let mut context = TagContext::default();
        match kind {
            Kind::Playlist(P::TargetDuration(seconds)) => {
                self.timing.target_duration = seconds;
                if let Some(seconds) = seconds.filter(|_| is_fraction(tag.value)) {
                    // It is an integer (RFC 8216bis, 4.4.3.1), and strict players read no other.
                    self.copy_input_until(tag.value_start);
                    self.out.extend_from_slice((seconds.ceil() as u64).to_string().as_bytes());
                    self.copied_until = tag.value_start + tag.value.len();
                    return Ok(());
                }
            }
            Kind::Playlist(P::PartInf(target)) => self.timing.part_target = target,
            Kind::Playlist(P::EndList) => self.timing.has_end_list = true,
            Kind::Playlist(P::Define) => return self.rewrite_define(tag, line),
            Kind::Segment(S::Part | S::PreloadHint) => {
                context.sequence = Some(self.next_segment.tags.number);
                context.is_gap = tag.is_attribute_yes("GAP");
            }
            Kind::Segment(S::Map(byte_range)) => context.byte_range = byte_range,
            Kind::Segment(S::ByteRange(Some((_, None)))) if is_number(tag.value) => {
                self.copy_input_until(tag.value_start + tag.value.len());
                self.open_range_end = Some(self.out.len());
                return Ok(());
            }
            Kind::Segment(S::Prefetch) => {
                context.sequence = Some(self.next_segment.take_prefetch_number());
                let (role, start) = (UriRole::Prefetch, tag.value_start);
                return self.replace_uri(role, tag.value, start, context, line.number);
            }
            _ => {}
        }
        if self.mapper.redactor().is_some() {
            return self.rewrite_and_redact(tag, &kind, context, line);
        }
        let uri_attributes = uri_attributes(&kind);
        if uri_attributes.is_empty() {
            return Ok(());
        }
        for Attribute { name, value, value_start, .. } in tag.attributes() {
            let known = uri_attributes.iter().find(|known| name.eq_ignore_ascii_case(known.0));
            if let Some((_, role)) = known {
                self.replace_uri(*role, value, value_start, context, line.number)?;
            }
        }
        Ok(())
    }

    /// Appends `Z` to a date without a time zone, which is UTC. Browsers take it for a time where
    /// the viewer is.
    fn complete_date(&mut self, line: &Line<'a>) {
        let date = line.text.trim_ascii_end();
        let time = date.iter().rposition(|byte| matches!(byte, b'T' | b't' | b' '));
        let time = time.and_then(|at| date.get(at + 1..)).unwrap_or_default();
        let end = line.start + date.len();
        let is_of_time = |byte: &u8| byte.is_ascii_digit() || b":.,".contains(byte);
        if time.len() > 1 && time.iter().all(is_of_time) && self.copied_until <= end {
            self.copy_input_until(end);
            self.out.push(b'Z');
        }
    }

    /// Replaces a URI with its link. What is none, or none that is fetched, stays unless it names
    /// the origin.
    fn replace_uri(
        &mut self,
        role: UriRole,
        written: &'a [u8],
        start: usize,
        mut context: TagContext,
        line: usize,
    ) -> Result<(), InvalidPlaylist> {
        if written.is_empty() {
            return Ok(());
        }
        let (limit, buffer) = (self.limits.max_line_bytes, &mut self.substituted_uri);
        let uri = line::trim_padding(self.variables.substitute(written, buffer, limit, line)?);
        let url = self.resolver.resolve(uri);
        if url.is_some_and(|url| url.len() > limit) {
            return Err(InvalidPlaylist::UriTooLong { line, limit });
        }
        if role == UriRole::Segment {
            let tags = self.next_segment.take_segment_tags(url.map_or(uri, str::as_bytes));
            let SegmentTags { number, byte_range, is_gap, .. } = tags;
            if let (Some(end), Some((_, offset))) = (self.open_range_end.take(), byte_range) {
                // A range without an offset follows that of the same URI (RFC 8216bis, 4.4.4.2),
                // but each segment has a link of its own.
                self.out.splice(end..end, format!("@{offset}").into_bytes());
            }
            context = TagContext { sequence: Some(number), byte_range, is_gap };
        }
        let Some(url) = url else {
            self.redact_uri(written, start);
            return Ok(());
        };
        let reference = UriReference {
            role,
            target: role.link_route(url),
            url,
            sequence: context.sequence,
            byte_range: context.byte_range,
            is_gap: context.is_gap,
            variables: if role.is_child() { self.variables } else { &NO_VARIABLES },
            written,
        };
        self.out.extend_from_slice(self.input.get(self.copied_until..start).unwrap_or_default());
        let link_start = self.out.len();
        self.mapper.map_uri(&reference, &mut self.out);
        self.copied_until = start + written.len();
        let (bytes, limit) = (self.out.len() - link_start, self.limits.max_link_bytes);
        if bytes > limit && role == UriRole::UnknownTag && self.mapper.redactor().is_some() {
            // It is only text, and costs no more than itself.
            self.out.truncate(link_start);
            self.mapper.map_hidden_text(written, &mut self.out);
        } else if bytes > limit {
            return Err(InvalidPlaylist::LinkTooLong { line, bytes, limit });
        }
        self.check_growth(line)
    }

    fn check_growth(&self, line: usize) -> Result<(), InvalidPlaylist> {
        let limit = self.limits.max_output_bytes();
        let is_within = self.out.len() <= limit;
        is_within.then_some(()).ok_or(InvalidPlaylist::OutputTooLong { line, limit })
    }

    /// Rewrites QUERYPARAM and IMPORT to NAME and VALUE: a player would evaluate them against the
    /// edge's URL and multivariant playlist. A definition without a value stays and fails in the
    /// player, as it does with the origin's playlist.
    fn rewrite_define(&mut self, tag: &Tag<'a>, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        if self.has_hidden_extras(tag) {
            self.hide_line(line);
            return Ok(());
        }
        let Some(definition) = Definition::of(tag) else { return Ok(()) };
        let name = definition.name();
        let Some(value) = self.variables.get(name) else { return Ok(()) };
        let is_hidden = self.mapper.redactor().is_some_and(|redactor| {
            let is_written_hidden = match &definition {
                // Another definition of the variable may have come since.
                Definition::Value { value, .. } => {
                    value.is_some_and(|written| !redactor.can_publish(written.value))
                }
                // It is a part of the URL.
                Definition::QueryParameter(_) => true,
                Definition::Import(_) => false,
            };
            is_written_hidden || !redactor.can_publish(value)
        });
        let names_origin = is_hidden || redaction::may_name_origin(value, self.resolver.base());
        match definition {
            Definition::Value { value: None, .. } => {}
            Definition::Value { value: Some(Attribute { value, value_start, .. }), .. } => {
                self.copy_input_until(value_start);
                let start = self.out.len();
                self.copy_input_until(value_start + value.len());
                self.mark_for_redaction(name, start, names_origin);
            }
            Definition::QueryParameter(source) | Definition::Import(source) => {
                // A stray VALUE attribute would override the one written here.
                for attribute in tag.attributes() {
                    let is_source = attribute.start == source.start;
                    if !is_source && !attribute.has_name("VALUE") {
                        continue;
                    }
                    self.copy_input_until(attribute.start);
                    if is_source {
                        self.out.extend_from_slice(&[b"NAME=\"", name, b"\","].concat());
                    }
                    self.out.extend_from_slice(b"VALUE=\"");
                    let start = self.out.len();
                    self.out.extend_from_slice(value);
                    self.mark_for_redaction(name, start, names_origin);
                    self.out.push(b'"');
                    self.copied_until = attribute.end;
                }
            }
        }
        self.check_growth(line.number)
    }

    /// Records that the variable's value, from `start` to the end of the output, may have to be
    /// redacted.
    fn mark_for_redaction(&mut self, name: &'a [u8], start: usize, names_origin: bool) {
        if names_origin {
            // Nothing may be inserted before a position that is recorded.
            self.open_range_end = None;
            self.redactions.push(name, start..self.out.len());
        }
    }

    fn copy_input_until(&mut self, end: usize) {
        self.out.extend_from_slice(self.input.get(self.copied_until..end).unwrap_or_default());
        self.copied_until = end;
    }

    fn finish(mut self) -> Vec<u8> {
        self.copy_input_until(self.input.len());
        self.redactions.redact_unreferenced(self.out)
    }
}

fn is_fraction(text: &[u8]) -> bool {
    text.contains(&b'.') && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

fn is_number(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// Position of a URI among the segments, and which byte range of its resource is meant.
#[derive(Clone, Copy, Default)]
struct TagContext {
    sequence: Option<u64>,
    byte_range: Option<(u64, u64)>,
    is_gap: bool,
}

#[cfg(test)]
mod tests;
