//! Which tags apply to the next segment (RFC 8216bis, 4.4.4).

use crate::tag::{
    Inf, Key, MultivariantTag as M, PlaylistTag as P, SegmentTag as S, TagKind as Kind,
};

/// Collects what applies to the next segment alone.
#[derive(Debug, Default)]
pub(crate) struct PendingSegmentTags<'a> {
    pub(crate) tags: SegmentTags<'a>,
    /// EXT-X-MEDIA-SEQUENCE and EXT-X-DISCONTINUITY-SEQUENCE; a second tag replaces the first, and
    /// they are ignored after the first segment.
    pub(crate) media_sequence: u64,
    pub(crate) discontinuity_sequence: u64,
    has_segments: bool,
    /// Number of prefetch URIs since the last segment; these follow the segment but are no segments
    /// yet.
    prefetched: u64,
    /// An EXT-X-STREAM-INF was read and the next URI line is its variant, whatever lines stand
    /// between.
    variant_follows: bool,
    byte_range: Option<(u64, Option<u64>)>,
    /// End of the last segment's byte range, 0 if it had none, and the resource of that range.
    range_end: u64,
    range_resource: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegmentTags<'a> {
    /// Media sequence number, which is also that of a partial segment or preload hint before it.
    pub(crate) number: u64,
    /// Discontinuity sequence number, including the segment's own tags.
    pub(crate) discontinuity: u64,
    /// Number of EXT-X-DISCONTINUITY tags directly before the segment.
    pub(crate) discontinuity_tags: u64,
    pub(crate) inf: Option<Inf<'a>>,
    /// EXT-X-PROGRAM-DATE-TIME as written; it may stand before the discontinuity.
    pub(crate) date: Option<&'a [u8]>,
    pub(crate) is_gap: bool,
    /// Length and offset.
    pub(crate) byte_range: Option<(u64, u64)>,
}

impl<'a> PendingSegmentTags<'a> {
    #[inline]
    pub(crate) fn observe_tag(&mut self, kind: &Kind<'a>) {
        let tags = &mut self.tags;
        match *kind {
            Kind::Segment(S::Inf(inf)) => tags.inf = Some(inf),
            Kind::Segment(S::ProgramDateTime(date)) => tags.date = Some(date),
            Kind::Segment(S::ByteRange(range)) => self.byte_range = range,
            Kind::Segment(S::Gap) => tags.is_gap = true,
            Kind::Segment(S::Discontinuity) => {
                tags.discontinuity = tags.discontinuity.saturating_add(1);
                tags.discontinuity_tags += 1;
            }
            // Keys and maps stay in force, and the others do not describe the segment.
            Kind::Segment(S::Key | S::Map(_) | S::Part | S::PreloadHint | S::Prefetch) => {}
            Kind::Segment(S::Bitrate | S::Tiles | S::Cue) => {}
            Kind::Playlist(P::Skip(skipped)) => tags.number = tags.number.saturating_add(skipped),
            Kind::Playlist(P::MediaSequence(first)) if !self.has_segments => {
                tags.number = tags.number.saturating_sub(self.media_sequence).saturating_add(first);
                self.media_sequence = first;
            }
            Kind::Playlist(P::DiscontinuitySequence(first)) if !self.has_segments => {
                tags.discontinuity = first.saturating_add(tags.discontinuity_tags);
                self.discontinuity_sequence = first;
            }
            Kind::Multivariant(M::StreamInf) => self.variant_follows = true,
            Kind::Playlist(_) | Kind::Multivariant(_) | Kind::Unknown => {}
        }
    }

    /// Whether the URI line just read is a variant and no segment.
    pub(crate) fn take_variant_flag(&mut self) -> bool {
        std::mem::take(&mut self.variant_follows)
    }

    /// The tags of the segment whose URI line was just read, which is `resource` or a range of it.
    pub(crate) fn take_segment_tags(&mut self, resource: &[u8]) -> SegmentTags<'a> {
        let byte_range = self.byte_range_of(resource);
        self.range_end = byte_range.map_or(0, |(length, offset)| offset.saturating_add(length));
        if self.byte_range.take().is_some() {
            resource.clone_into(&mut self.range_resource);
        }
        (self.prefetched, self.has_segments) = (0, true);
        let (number, discontinuity) = (self.tags.number.saturating_add(1), self.tags.discontinuity);
        let next = SegmentTags { number, discontinuity, ..SegmentTags::default() };
        SegmentTags { byte_range, ..std::mem::replace(&mut self.tags, next) }
    }

    /// Length and offset of the segment's byte range if that is of `resource`. Without an offset it
    /// begins where the last segment's range of the same resource ended, else at 0.
    pub(crate) fn byte_range_of(&self, resource: &[u8]) -> Option<(u64, u64)> {
        let (length, offset) = self.byte_range?;
        let follows = || if self.range_resource == resource { self.range_end } else { 0 };
        Some((length, offset.unwrap_or_else(follows)))
    }

    pub(crate) fn take_prefetch_number(&mut self) -> u64 {
        let number = self.tags.number.saturating_add(self.prefetched);
        self.prefetched += 1;
        number
    }
}

/// The EXT-X-KEYs that apply to the maps and segments to come, one per key format.
#[derive(Debug, Default)]
pub(crate) struct KeysInForce<'a>(pub(crate) Vec<Key<'a>>);

impl<'a> KeysInForce<'a> {
    /// Limit on keys per segment, above the number of existing DRM systems.
    const MAX: usize = 16;

    /// A key replaces the one of its format, and METHOD=NONE replaces all.
    pub(crate) fn observe_key(&mut self, key: Key<'a>) {
        if key.method.eq_ignore_ascii_case(b"NONE") {
            return self.0.clear();
        }
        self.0.retain(|other| !other.format.eq_ignore_ascii_case(key.format));
        if self.0.len() < Self::MAX {
            self.0.push(key);
        }
    }

    /// The key that a player without a DRM module takes, else the first.
    pub(crate) fn preferred(&self) -> Option<Key<'a>> {
        self.0.iter().find(|key| key.is_identity()).or(self.0.first()).copied()
    }
}

#[cfg(test)]
mod tests;
