//! Which media sequence number comes next.

use crate::line::Tag;
use crate::number;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequence {
    next: u64,
    /// What EXT-X-MEDIA-SEQUENCE said; a second one replaces it, as the last of anything does.
    first: u64,
    /// Prefetched segments follow the last one, but are not segments yet.
    ahead: u64,
    begun: bool,
}

impl Sequence {
    pub(crate) fn tag(&mut self, tag: &Tag<'_>) {
        match tag.name {
            // Once segments are numbered it comes too late to mean anything.
            b"EXT-X-MEDIA-SEQUENCE" if !self.begun => {
                let first = number::integer(tag.value).unwrap_or(0);
                self.next = self.next.saturating_sub(self.first).saturating_add(first);
                self.first = first;
            }
            b"EXT-X-SKIP" => {
                let skipped =
                    tag.attribute("SKIPPED-SEGMENTS").and_then(number::integer).unwrap_or(0);
                self.next = self.next.saturating_add(skipped);
            }
            _ => {}
        }
    }

    /// The number of the segment that comes next: also that of a part or hint standing here.
    pub(crate) fn upcoming(&self) -> u64 {
        self.next
    }

    pub(crate) fn segment(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.ahead = 0;
        self.begun = true;
        number
    }

    pub(crate) fn prefetch(&mut self) -> u64 {
        let number = self.next.saturating_add(self.ahead);
        self.ahead += 1;
        number
    }
}
