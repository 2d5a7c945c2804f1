//! Every URI becomes a link; every other byte stays.
//!
//! The output is the input, copied up to the next URI in one piece, then the link, and so on. What
//! needs no change is never looked at twice.

mod place;

use url::Url;

use self::place::Place;
use crate::error::InvalidPlaylist;
use crate::kind::{Evidence, Kind};
use crate::limits::Limits;
use crate::line::{self, Content, Line, Tag};
use crate::number;
use crate::reference::{Linker, Reference, Role};
use crate::resolve::{self, Resolver};
use crate::sequence::Sequence;
use crate::tempo::Tempo;
use crate::variables::{Definition, NONE, Variables};
use crate::withhold::{self, Withheld};

#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten {
    pub bytes: Vec<u8>,
    pub kind: Kind,
    /// Those defined here: a multivariant playlist's are what its children import.
    pub variables: Variables,
    pub tempo: Tempo,
}

/// Rewrites a playlist that was loaded from `base` (after redirects), whose parent defined `imported`.
pub fn rewrite<L: Linker + ?Sized>(
    input: &[u8],
    base: &Url,
    imported: &Variables,
    limits: &Limits,
    linker: &mut L,
) -> Result<Rewritten, InvalidPlaylist> {
    let lines = line::open(input, limits)?;
    let variables = Variables::of(input, base, imported, limits)?;
    let mut rewriter = Rewriter {
        input,
        limits,
        linker,
        variables: &variables,
        resolver: Resolver::new(base),
        filled: Vec::new(),
        out: Vec::with_capacity(input.len().saturating_mul(2)),
        copied: 0,
        variant_follows: false,
        sequence: Sequence::default(),
        evidence: Evidence::default(),
        tempo: Tempo::default(),
        ranges: Ranges::default(),
        gap_follows: false,
        withheld: Withheld::default(),
    };
    for line in lines {
        rewriter.line(&line?)?;
    }
    let kind = rewriter.evidence.kind()?;
    let tempo = rewriter.tempo;
    let bytes = rewriter.finish();
    Ok(Rewritten { bytes, kind, variables, tempo })
}

struct Rewriter<'a, L: ?Sized> {
    input: &'a [u8],
    limits: &'a Limits,
    linker: &'a mut L,
    variables: &'a Variables,
    resolver: Resolver<'a>,
    /// A URI with its variables filled in.
    filled: Vec<u8>,
    out: Vec<u8>,
    /// How much of the input is in `out`, or replaced there.
    copied: usize,
    /// A STREAM-INF waits for its URI, whatever stands between.
    variant_follows: bool,
    sequence: Sequence,
    evidence: Evidence,
    tempo: Tempo,
    ranges: Ranges,
    /// EXT-X-GAP stands before the segment that comes next.
    gap_follows: bool,
    withheld: Withheld<'a>,
}

impl<'a, L: Linker + ?Sized> Rewriter<'a, L> {
    fn line(&mut self, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        // One of these stands before every segment, and there is nothing in them to parse.
        if line.text.starts_with(b"#EXTINF:") {
            self.evidence.tag(b"EXTINF");
            return Ok(());
        }
        if place::holds_no_uri(line.text) {
            return Ok(());
        }
        match line.content() {
            Content::Blank | Content::Comment => Ok(()),
            Content::Uri => self.uri(line),
            Content::Tag(tag) => self.tag(&tag, line.number),
        }
    }

    fn uri(&mut self, line: &Line<'a>) -> Result<(), InvalidPlaylist> {
        if std::mem::take(&mut self.variant_follows) {
            return self.link(Role::Variant, line.text, line.start, Within::WHOLE, line.number);
        }
        let sequence = Some(self.sequence.segment());
        let is_gap = std::mem::take(&mut self.gap_follows);
        let within = Within { sequence, byte_range: self.ranges.segment(), is_gap };
        self.tempo.segments += 1;
        self.link(Role::Segment, line.text, line.start, within, line.number)
    }

    fn tag(&mut self, tag: &Tag<'a>, line: usize) -> Result<(), InvalidPlaylist> {
        self.evidence.tag(tag.name);
        self.sequence.tag(tag);
        self.tempo.tag(tag);
        match tag.name {
            b"EXT-X-STREAM-INF" => self.variant_follows = true,
            b"EXT-X-BYTERANGE" => self.ranges.tag(tag.value),
            b"EXT-X-GAP" => self.gap_follows = true,
            b"EXT-X-DEFINE" => return self.define(tag, line),
            _ => {}
        }
        match Place::of(tag.name) {
            Place::Nowhere => Ok(()),
            Place::Value(role) => {
                let within = Within::of(Some(self.sequence.prefetch()));
                self.link(role, tag.value, tag.start, within, line)
            }
            place => {
                for attribute in tag.attributes() {
                    let Some(role) = place.role(|name| attribute.is(name)) else { continue };
                    let within = match role {
                        Role::Part | Role::Hint => Within {
                            is_gap: tag.flag("GAP"),
                            ..Within::of(Some(self.sequence.upcoming()))
                        },
                        Role::Map => {
                            let byte_range = tag.attribute("BYTERANGE");
                            let byte_range = byte_range.and_then(number::map_range);
                            Within { byte_range, ..Within::WHOLE }
                        }
                        _ => Within::WHOLE,
                    };
                    self.link(role, attribute.value, attribute.value_start, within, line)?;
                }
                Ok(())
            }
        }
    }

    fn link(
        &mut self,
        role: Role,
        written: &'a [u8],
        start: usize,
        within: Within,
        line: usize,
    ) -> Result<(), InvalidPlaylist> {
        if written.is_empty() {
            return Ok(());
        }
        let uri =
            line::trim(self.variables.fill(written, &mut self.filled, self.limits.line, line)?);
        if role == Role::Vendor && !resolve::names_host(uri) {
            return Ok(());
        }
        let Some(url) = self.resolver.resolve(uri) else { return Ok(()) };
        let reference = Reference {
            role,
            target: role.target(url),
            url,
            sequence: within.sequence,
            byte_range: within.byte_range,
            is_gap: within.is_gap,
            variables: if role.is_child() { self.variables } else { &NONE },
            written,
        };
        self.out.extend_from_slice(self.input.get(self.copied..start).unwrap_or_default());
        self.linker.link(&reference, &mut self.out);
        self.copied = start + written.len();
        self.check_growth(line)
    }

    fn check_growth(&self, line: usize) -> Result<(), InvalidPlaylist> {
        let limit = self.limits.grown();
        if self.out.len() > limit {
            Err(InvalidPlaylist::GrownTooLong { line, limit })
        } else {
            Ok(())
        }
    }

    /// QUERYPARAM and IMPORT look in our URL and our multivariant playlist when a player evaluates
    /// them, so they become the NAME and VALUE they stand for. One without a value is left to fail
    /// in the player, as it does at the origin.
    fn define(&mut self, tag: &Tag<'a>, line: usize) -> Result<(), InvalidPlaylist> {
        let Some(definition) = Definition::of(tag) else { return Ok(()) };
        let name = definition.name();
        let Some(value) = self.variables.get(name) else { return Ok(()) };
        let names_origin = withhold::names_origin(value, self.resolver.base());
        match definition {
            Definition::Value { value: None, .. } => {}
            Definition::Value { value: Some(written), .. } => {
                let end = written.value_start + written.value.len();
                self.copy_to(written.value_start);
                let start = self.out.len();
                self.copy_to(end);
                self.defined(name, start, names_origin);
            }
            Definition::Query(source) | Definition::Import(source) => {
                // A stray VALUE beside it would win over the one written here.
                for attribute in tag.attributes() {
                    let is_source = attribute.start == source.start;
                    if !is_source && !attribute.is("VALUE") {
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
                    self.defined(name, start, names_origin);
                    self.out.push(b'"');
                    self.copied = attribute.end;
                }
            }
        }
        self.check_growth(line)
    }

    /// The value of the name stands in the output from `start` on.
    fn defined(&mut self, name: &'a [u8], start: usize, names_origin: bool) {
        if names_origin {
            self.withheld.push(name, start..self.out.len());
        }
    }

    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.input.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    fn finish(mut self) -> Vec<u8> {
        self.copy_to(self.input.len());
        self.withheld.from(self.out)
    }
}

/// Where a URI stands among the segments, and which part of its resource is meant.
#[derive(Clone, Copy)]
struct Within {
    sequence: Option<u64>,
    byte_range: Option<(u64, u64)>,
    is_gap: bool,
}

impl Within {
    const WHOLE: Self = Self::of(None);

    const fn of(sequence: Option<u64>) -> Self {
        Self { sequence, byte_range: None, is_gap: false }
    }
}

/// EXT-X-BYTERANGE: it speaks of the segment that follows, and one without an offset begins where
/// the last one ended.
#[derive(Default)]
struct Ranges {
    next: Option<(u64, Option<u64>)>,
    end: u64,
}

impl Ranges {
    fn tag(&mut self, value: &[u8]) {
        self.next = number::byte_range(value);
    }

    /// Length and offset.
    fn segment(&mut self) -> Option<(u64, u64)> {
        let (length, offset) = self.next.take()?;
        let offset = offset.unwrap_or(self.end);
        self.end = offset.saturating_add(length);
        Some((length, offset))
    }
}

#[cfg(test)]
mod tests;
