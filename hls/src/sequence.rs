//! Counting of media sequence numbers.

use crate::line::Tag;
use crate::number;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SequenceCounter {
    next: u64,
    /// Value of EXT-X-MEDIA-SEQUENCE; a second tag replaces it, since the last of any tag wins.
    first: u64,
    /// Number of prefetch URIs since the last segment; these follow the segment but are no segments
    /// yet.
    prefetched: u64,
    has_segments: bool,
}

impl SequenceCounter {
    pub(crate) fn observe_tag(&mut self, tag: &Tag<'_>) {
        match tag.name {
            // EXT-X-MEDIA-SEQUENCE is ignored after the first segment.
            b"EXT-X-MEDIA-SEQUENCE" if !self.has_segments => {
                let first = number::parse_integer(tag.value).unwrap_or(0);
                self.next = self.next.saturating_sub(self.first).saturating_add(first);
                self.first = first;
            }
            b"EXT-X-SKIP" => {
                let skipped =
                    tag.attribute("SKIPPED-SEGMENTS").and_then(number::parse_integer).unwrap_or(0);
                self.next = self.next.saturating_add(skipped);
            }
            _ => {}
        }
    }

    /// Number of the next segment, which is also that of a partial segment or preload hint at this
    /// point.
    pub(crate) fn peek_number(&self) -> u64 {
        self.next
    }

    pub(crate) fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.prefetched = 0;
        self.has_segments = true;
        number
    }

    pub(crate) fn take_prefetch_number(&mut self) -> u64 {
        let number = self.next.saturating_add(self.prefetched);
        self.prefetched += 1;
        number
    }
}
