//! A body as it was received: chunks in order, copied only where that pays.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bodies above this size are not joined, because a request waits for the copy.
const JOIN_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Chunks below this average size cost more in entries and half-used buffers than one copy of them
/// all.
const SMALL_CHUNK_MAX_BYTES: u64 = 64 * 1024;

/// The chunks of a body.
#[derive(Clone, Default)]
pub struct Chunks {
    /// Each chunk with its offset. The first chunks may have been dropped.
    chunks: VecDeque<(u64, Bytes)>,
    total_length: u64,
}

impl Chunks {
    pub fn push(&mut self, chunk: Bytes) {
        let start = self.total_length;
        self.total_length += chunk.len() as u64;
        self.chunks.push_back((start, chunk));
    }

    /// Length of the body in bytes, with the dropped chunks.
    pub fn total_length(&self) -> u64 {
        self.total_length
    }

    /// Position of the first byte that is held.
    pub fn first_held_position(&self) -> u64 {
        self.chunks.front().map_or(self.total_length, |(start, _)| *start)
    }

    pub fn held_bytes(&self) -> u64 {
        self.total_length - self.first_held_position()
    }

    /// The bytes from `position` on, as far as they are in one chunk and within `limit` bytes.
    /// `None` at the end of the body, and where the chunk was dropped.
    pub fn slice_at(&self, position: u64, limit: u64) -> Option<Bytes> {
        let end_of = |(start, chunk): &(u64, Bytes)| start + chunk.len() as u64;
        let index = self.chunks.partition_point(|chunk| end_of(chunk) <= position);
        let (start, chunk) = self.chunks.get(index)?;
        let from = usize::try_from(position.checked_sub(*start)?).ok()?;
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        let to = chunk.len().min(from.saturating_add(room));
        Some(chunk.slice(from..to))
    }

    pub fn drop_before(&mut self, position: u64) {
        while let Some((start, chunk)) = self.chunks.front()
            && start + chunk.len() as u64 <= position
        {
            self.chunks.pop_front();
        }
    }

    pub fn is_fragmented(&self) -> bool {
        self.chunks.len() > 1 && self.total_length <= JOIN_MAX_BYTES
    }

    /// Whether joining pays even if the body is not requested again.
    pub fn has_small_chunks(&self) -> bool {
        self.is_fragmented()
            && self.total_length / (self.chunks.len() as u64) < SMALL_CHUNK_MAX_BYTES
    }

    /// The same body in one chunk, which is sent in fewer writes.
    #[must_use]
    pub fn to_contiguous(&self) -> Self {
        let mut joined =
            BytesMut::with_capacity(usize::try_from(self.total_length).unwrap_or_default());
        for (_, chunk) in &self.chunks {
            joined.extend_from_slice(chunk);
        }
        Self { chunks: VecDeque::from([(0, joined.freeze())]), total_length: self.total_length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_chunks() -> Chunks {
        let mut chunks = Chunks::default();
        for chunk in ["abc", "", "de", "f"] {
            chunks.push(Bytes::from_static(chunk.as_bytes()));
        }
        chunks
    }

    #[test]
    fn what_follows_a_position() {
        for (position, limit, expected) in [
            (0, 9, Some("abc")),
            (0, 2, Some("ab")),
            (2, 9, Some("c")),
            (3, 9, Some("de")),
            (5, 9, Some("f")),
            (6, 9, None),
            (90, 9, None),
        ] {
            let expected = expected.map(|text| Bytes::from_static(text.as_bytes()));
            assert_eq!(sample_chunks().slice_at(position, limit), expected, "{position} {limit}");
        }
        assert_eq!(
            sample_chunks().to_contiguous().slice_at(0, 9),
            Some(Bytes::from_static(b"abcdef"))
        );
        assert!(!sample_chunks().to_contiguous().is_fragmented());
    }

    #[test]
    fn what_was_dropped_is_gone() {
        let mut chunks = sample_chunks();
        chunks.drop_before(4);
        assert_eq!(chunks.slice_at(0, 9), None);
        assert_eq!(chunks.slice_at(3, 9), Some(Bytes::from_static(b"de")));
        assert_eq!(
            (chunks.total_length(), chunks.first_held_position(), chunks.held_bytes()),
            (6, 3, 3)
        );
    }

    #[test]
    fn joining_pays_for_small_chunks() {
        for (count, size, fragmented, small) in [
            (1, 1000, false, false),
            (4, 1000, true, true),
            (4, 256 * 1024, true, false),
            (100, 256 * 1024, false, false),
        ] {
            let mut chunks = Chunks::default();
            (0..count).for_each(|_| chunks.push(Bytes::from(vec![0; size])));
            assert_eq!(chunks.is_fragmented(), fragmented, "{count} of {size}");
            assert_eq!(chunks.has_small_chunks(), small, "{count} of {size}");
        }
    }
}
