//! A body as it came: pieces in their order, never copied unless that pays.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Joining copies, and a request waits for it: past this it is not worth it.
const JOINED: u64 = 16 * 1024 * 1024;

/// Pieces smaller than this, on average, cost more in entries and half-used buffers than one
/// copy of them all.
const SMALL: u64 = 64 * 1024;

#[derive(Clone, Default)]
pub struct Pieces {
    /// With the offset of each. The first of them may have been dropped.
    pieces: VecDeque<(u64, Bytes)>,
    end: u64,
}

impl Pieces {
    pub fn push(&mut self, piece: Bytes) {
        let start = self.end;
        self.end += piece.len() as u64;
        self.pieces.push_back((start, piece));
    }

    /// How long the whole is, with what was dropped of it.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// What follows `position`, as far as it is in one piece and within `limit`.
    pub fn at(&self, position: u64, limit: u64) -> Option<Bytes> {
        let end_of = |(start, piece): &(u64, Bytes)| start + piece.len() as u64;
        let index = self.pieces.partition_point(|piece| end_of(piece) <= position);
        let (start, piece) = self.pieces.get(index)?;
        let from = usize::try_from(position.checked_sub(*start)?).ok()?;
        let room = usize::try_from(limit).unwrap_or(usize::MAX);
        let to = piece.len().min(from.saturating_add(room));
        Some(piece.slice(from..to))
    }

    pub fn drop_before(&mut self, position: u64) {
        while let Some((start, piece)) = self.pieces.front()
            && start + piece.len() as u64 <= position
        {
            self.pieces.pop_front();
        }
    }

    pub fn is_scattered(&self) -> bool {
        self.pieces.len() > 1 && self.end <= JOINED
    }

    /// Is it worth joining though nobody may ask for it again?
    pub fn is_crumbled(&self) -> bool {
        self.is_scattered() && self.end / (self.pieces.len() as u64) < SMALL
    }

    /// The same in one piece, which is sent in fewer writes.
    #[must_use]
    pub fn joined(&self) -> Self {
        let mut whole = BytesMut::with_capacity(usize::try_from(self.end).unwrap_or_default());
        for (_, piece) in &self.pieces {
            whole.extend_from_slice(piece);
        }
        Self { pieces: VecDeque::from([(0, whole.freeze())]), end: self.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Pieces {
        let mut pieces = Pieces::default();
        for piece in ["abc", "", "de", "f"] {
            pieces.push(Bytes::from_static(piece.as_bytes()));
        }
        pieces
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
            assert_eq!(pieces().at(position, limit), expected, "{position} {limit}");
        }
        assert_eq!(pieces().joined().at(0, 9), Some(Bytes::from_static(b"abcdef")));
        assert!(!pieces().joined().is_scattered());
    }

    #[test]
    fn what_was_dropped_is_gone() {
        let mut pieces = pieces();
        pieces.drop_before(4);
        assert_eq!(pieces.at(0, 9), None);
        assert_eq!(pieces.at(3, 9), Some(Bytes::from_static(b"de")));
        assert_eq!(pieces.end(), 6);
    }

    #[test]
    fn joining_pays_for_crumbs() {
        for (count, size, scattered, crumbled) in [
            (1, 1000, false, false),
            (4, 1000, true, true),
            (4, 256 * 1024, true, false),
            (100, 256 * 1024, false, false),
        ] {
            let mut pieces = Pieces::default();
            (0..count).for_each(|_| pieces.push(Bytes::from(vec![0; size])));
            assert_eq!(pieces.is_scattered(), scattered, "{count} of {size}");
            assert_eq!(pieces.is_crumbled(), crumbled, "{count} of {size}");
        }
    }
}
