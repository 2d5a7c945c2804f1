//! Rewriting of a playlist: every URI becomes a link, every other byte stays.
//!
//! The output is the input up to the next URI, copied in one piece, then the link, and so on. Text
//! that needs no change is read once.

mod uri_location;

use url::Url;

use self::uri_location::UriLocation;
use crate::error::InvalidPlaylist;
use crate::limits::PlaylistLimits;
use crate::line::{self, Line, LineKind, Tag};
use crate::number;
use crate::playlist_kind::{KindDetector, PlaylistKind};
use crate::playlist_timing::PlaylistTiming;
use crate::redaction::{self, RedactionCandidates};
use crate::sequence::SequenceCounter;
use crate::uri_mapper::{UriMapper, UriReference, UriRole};
use crate::uri_resolver::{self, UriResolver};
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
        variant_follows: false,
        sequence: SequenceCounter::default(),
        kind_detector: KindDetector::default(),
        timing: PlaylistTiming::default(),
        byte_ranges: ByteRanges::default(),
        gap_follows: false,
        redactions: RedactionCandidates::default(),
    };
    for line in lines {
        rewriter.rewrite_line(&line?)?;
    }
    let kind = rewriter.kind_detector.kind()?;
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
    /// An EXT-X-STREAM-INF was read and the next URI line is its variant, whatever lines stand
    /// between.
    variant_follows: bool,
    sequence: SequenceCounter,
    kind_detector: KindDetector,
    timing: PlaylistTiming,
    byte_ranges: ByteRanges,
    /// An EXT-X-GAP was read, which marks the next segment as missing.
    gap_follows: bool,
    redactions: RedactionCandidates<'a>,
}

impl<'a, L: UriMapper + ?Sized> Rewriter<'a, L> {
    fn rewrite_line(&mut self, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        // EXTINF precedes every segment and never contains a URI.
        if line.text.starts_with(b"#EXTINF:") {
            self.kind_detector.observe_tag(b"EXTINF");
            return Ok(());
        }
        if uri_location::has_no_uri(line.text) {
            return Ok(());
        }
        match line.kind() {
            LineKind::Blank | LineKind::Comment => Ok(()),
            LineKind::Uri => self.rewrite_uri_line(line),
            LineKind::Tag(tag) => self.rewrite_tag(&tag, line.number),
        }
    }

    fn rewrite_uri_line(&mut self, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        if std::mem::take(&mut self.variant_follows) {
            return self.replace_uri(
                UriRole::Variant,
                line.text,
                line.start,
                TagContext::WHOLE_RESOURCE,
                line.number,
            );
        }
        let sequence = Some(self.sequence.take_number());
        let is_gap = std::mem::take(&mut self.gap_follows);
        let context = TagContext { sequence, byte_range: self.byte_ranges.take_range(), is_gap };
        self.timing.segment_count += 1;
        self.replace_uri(UriRole::Segment, line.text, line.start, context, line.number)
    }

    fn rewrite_tag(&mut self, tag: &Tag<'a>, line: usize) -> Result<(), InvalidPlaylist> {
        self.kind_detector.observe_tag(tag.name);
        self.sequence.observe_tag(tag);
        self.timing.observe_tag(tag);
        match tag.name {
            b"EXT-X-STREAM-INF" => self.variant_follows = true,
            b"EXT-X-BYTERANGE" => self.byte_ranges.observe_tag(tag.value),
            b"EXT-X-GAP" => self.gap_follows = true,
            b"EXT-X-DEFINE" => return self.rewrite_define(tag, line),
            _ => {}
        }
        match UriLocation::of(tag.name) {
            UriLocation::NoUri => Ok(()),
            UriLocation::WholeValue(role) => {
                let context = TagContext::with_sequence(Some(self.sequence.take_prefetch_number()));
                self.replace_uri(role, tag.value, tag.value_start, context, line)
            }
            location => {
                for attribute in tag.attributes() {
                    let Some(role) = location.role(|name| attribute.has_name(name)) else {
                        continue;
                    };
                    let context = match role {
                        UriRole::Part | UriRole::PreloadHint => TagContext {
                            is_gap: tag.is_yes("GAP"),
                            ..TagContext::with_sequence(Some(self.sequence.peek_number()))
                        },
                        UriRole::Map => {
                            let byte_range = tag.attribute("BYTERANGE");
                            let byte_range = byte_range.and_then(number::parse_map_byte_range);
                            TagContext { byte_range, ..TagContext::WHOLE_RESOURCE }
                        }
                        _ => TagContext::WHOLE_RESOURCE,
                    };
                    self.replace_uri(role, attribute.value, attribute.value_start, context, line)?;
                }
                Ok(())
            }
        }
    }

    fn replace_uri(
        &mut self,
        role: UriRole,
        written: &'a [u8],
        start: usize,
        context: TagContext,
        line: usize,
    ) -> Result<(), InvalidPlaylist> {
        if written.is_empty() {
            return Ok(());
        }
        let uri = line::trim_padding(self.variables.substitute(
            written,
            &mut self.substituted_uri,
            self.limits.max_line_bytes,
            line,
        )?);
        if role == UriRole::UnknownTag && !uri_resolver::has_host(uri) {
            return Ok(());
        }
        let Some(url) = self.resolver.resolve(uri) else { return Ok(()) };
        let reference = UriReference {
            role,
            target: role.target(url),
            url,
            sequence: context.sequence,
            byte_range: context.byte_range,
            is_gap: context.is_gap,
            variables: if role.is_child() { self.variables } else { &NO_VARIABLES },
            written,
        };
        self.out.extend_from_slice(self.input.get(self.copied_until..start).unwrap_or_default());
        self.mapper.map_uri(&reference, &mut self.out);
        self.copied_until = start + written.len();
        self.check_growth(line)
    }

    fn check_growth(&self, line: usize) -> Result<(), InvalidPlaylist> {
        let limit = self.limits.max_output_bytes();
        if self.out.len() > limit {
            Err(InvalidPlaylist::OutputTooLong { line, limit })
        } else {
            Ok(())
        }
    }

    /// Rewrites QUERYPARAM and IMPORT to NAME and VALUE: a player would evaluate them against the
    /// edge's URL and multivariant playlist. A definition without a value stays and fails in the
    /// player, as it does with the origin's playlist.
    fn rewrite_define(&mut self, tag: &Tag<'a>, line: usize) -> Result<(), InvalidPlaylist> {
        let Some(definition) = Definition::of(tag) else { return Ok(()) };
        let name = definition.name();
        let Some(value) = self.variables.get(name) else { return Ok(()) };
        let names_origin = redaction::names_origin(value, self.resolver.base());
        match definition {
            Definition::Value { value: None, .. } => {}
            Definition::Value { value: Some(value_attribute), .. } => {
                let end = value_attribute.value_start + value_attribute.value.len();
                self.copy_to(value_attribute.value_start);
                let start = self.out.len();
                self.copy_to(end);
                self.mark_for_redaction(name, start, names_origin);
            }
            Definition::QueryParameter(source) | Definition::Import(source) => {
                // A stray VALUE attribute would override the one written here.
                for attribute in tag.attributes() {
                    let is_source = attribute.start == source.start;
                    if !is_source && !attribute.has_name("VALUE") {
                        continue;
                    }
                    self.copy_to(attribute.start);
                    if is_source {
                        self.out.extend_from_slice(b"NAME=\"");
                        self.out.extend_from_slice(name);
                        self.out.extend_from_slice(b"\",");
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
        self.check_growth(line)
    }

    /// Records that the variable's value, from `start` to the end of the output, may have to be
    /// redacted.
    fn mark_for_redaction(&mut self, name: &'a [u8], start: usize, names_origin: bool) {
        if names_origin {
            self.redactions.push(name, start..self.out.len());
        }
    }

    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.input.get(self.copied_until..end).unwrap_or_default());
        self.copied_until = end;
    }

    fn finish(mut self) -> Vec<u8> {
        self.copy_to(self.input.len());
        self.redactions.redact(self.out)
    }
}

/// Position of a URI among the segments, and which byte range of its resource is meant.
#[derive(Clone, Copy)]
struct TagContext {
    sequence: Option<u64>,
    byte_range: Option<(u64, u64)>,
    is_gap: bool,
}

impl TagContext {
    const WHOLE_RESOURCE: Self = Self::with_sequence(None);

    const fn with_sequence(sequence: Option<u64>) -> Self {
        Self { sequence, byte_range: None, is_gap: false }
    }
}

/// State of EXT-X-BYTERANGE, which applies to the next segment; a range without an offset begins
/// where the last one ended.
#[derive(Default)]
struct ByteRanges {
    pending: Option<(u64, Option<u64>)>,
    last_end: u64,
}

impl ByteRanges {
    fn observe_tag(&mut self, value: &[u8]) {
        self.pending = number::parse_byte_range(value);
    }

    /// The pending range as (length, offset).
    fn take_range(&mut self) -> Option<(u64, u64)> {
        let (length, offset) = self.pending.take()?;
        let offset = offset.unwrap_or(self.last_end);
        self.last_end = offset.saturating_add(length);
        Some((length, offset))
    }
}

#[cfg(test)]
mod tests;
