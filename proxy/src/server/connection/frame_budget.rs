//! [`FrameBudget`]: how many frames without a request or a body a client of HTTP/2 may send.
//!
//! The standard sets no limit on `PING`, `SETTINGS`, `PRIORITY`, `WINDOW_UPDATE`, `RST_STREAM` and unknown frames (RFC 9113,
//! section 10.5), and h2 bounds the memory that they take, not their number: a client that sends nothing else would keep a
//! processor busy for ever, and one that resets each request would have all of them begun.

use tokio::time::Instant;

/// Length of a frame's header (RFC 9113, section 4.1).
const FRAME_HEADER_BYTES: usize = 9;

/// Types of the frames that carry requests and their bodies; h2 limits their number itself, except that of trailers.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// How many frames a client may send at once: a page that is left resets its requests, and a few hundred windows open
/// before the first bytes are written.
const BURST_FRAMES: f64 = 1000.0;
/// How many frames it may send for ever.
const FRAMES_PER_SECOND: f64 = 100.0;
/// A client opens its windows as it reads: bytes that were written allow for a frame each.
const WRITTEN_BYTES_PER_FRAME: f64 = 1024.0;

/// Follows the frames that a client sends, and counts those that carry neither a request nor a body.
#[derive(Debug)]
pub(super) struct FrameBudget {
    header: [u8; FRAME_HEADER_BYTES],
    /// How much of the next frame's header has been read.
    header_length: usize,
    /// How much of the preface, or of a frame's payload, is still to come.
    skipped_bytes: usize,
    /// The newest stream; further `HEADERS` on one that is not newer are trailers.
    newest_stream: u32,
    frames_left: f64,
    updated_at: Instant,
}

impl FrameBudget {
    /// `preface_bytes`: how many bytes precede the first frame.
    pub(super) fn new(preface_bytes: usize) -> Self {
        Self {
            header: [0; FRAME_HEADER_BYTES],
            header_length: 0,
            skipped_bytes: preface_bytes,
            newest_stream: 0,
            frames_left: BURST_FRAMES,
            updated_at: Instant::now(),
        }
    }

    /// Allows for the frames with which a client opens its windows after these bytes.
    pub(super) fn credit_written_bytes(&mut self, bytes: usize) {
        self.frames_left =
            (self.frames_left + bytes as f64 / WRITTEN_BYTES_PER_FRAME).min(BURST_FRAMES);
    }

    /// Counts the frames in the next bytes of the connection; false once they are too many.
    pub(super) fn count_frames(&mut self, mut bytes: &[u8]) -> bool {
        let mut frames = 0_u32;
        while !bytes.is_empty() {
            let wanted = match self.skipped_bytes {
                0 => FRAME_HEADER_BYTES - self.header_length,
                skipped => skipped,
            };
            let (piece, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if self.skipped_bytes > 0 {
                self.skipped_bytes -= piece.len();
                continue;
            }
            for (to, byte) in self.header.iter_mut().skip(self.header_length).zip(piece) {
                *to = *byte;
            }
            self.header_length += piece.len();
            if self.header_length == FRAME_HEADER_BYTES {
                self.header_length = 0;
                frames += u32::from(self.parse_frame_header());
            }
        }
        frames == 0 || self.spend_frames(frames)
    }

    /// Reads the frame's header; true where the frame is one that counts.
    fn parse_frame_header(&mut self) -> bool {
        let [high, middle, low, kind, _flags, stream @ ..] = self.header;
        self.skipped_bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
        // The first bit is reserved.
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        match kind {
            DATA | CONTINUATION => false,
            HEADERS if stream > self.newest_stream => {
                self.newest_stream = stream;
                false
            }
            _ => true,
        }
    }

    fn spend_frames(&mut self, frames: u32) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.updated_at).as_secs_f64() * FRAMES_PER_SECOND;
        self.updated_at = now;
        self.frames_left = (self.frames_left + earned).min(BURST_FRAMES) - f64::from(frames);
        self.frames_left >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        frame_of_stream(kind, 0, payload)
    }

    fn frame_of_stream(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = &(payload.len() as u32).to_be_bytes()[1..];
        [length, &[kind, 0], &stream.to_be_bytes(), payload].concat()
    }

    /// How many of `count` such frames pass, `size` bytes at a time.
    fn passed(kind: u8, payload: &[u8], count: usize, size: usize) -> usize {
        let mut budget = FrameBudget::new(PREFACE.len());
        let frame = frame(kind, payload);
        let bytes = [PREFACE, &frame.repeat(count)].concat();
        let mut read = 0;
        for piece in bytes.chunks(size) {
            if !budget.count_frames(piece) {
                break;
            }
            read += piece.len();
        }
        read.saturating_sub(PREFACE.len()) / frame.len()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_counted_however_they_are_split() {
        for (name, kind, payload, expected) in [
            ("SETTINGS", 4, &[][..], 1000),
            ("SETTINGS with parameters", 4, &[0, 3, 0, 0, 0, 100], 1000),
            ("PING", 6, &[0; 8], 1000),
            ("PRIORITY", 2, &[0; 5], 1000),
            ("RST_STREAM", 3, &[0, 0, 0, 8], 1000),
            ("WINDOW_UPDATE", 8, &[0, 0, 1, 0], 1000),
            ("a type that is not known", 200, &[6; 30], 1000),
            ("DATA", 0, &[6; 30], 3000),
            ("trailers", 1, &[6; 30], 1000),
            ("CONTINUATION", 9, &[6; 30], 3000),
        ] {
            for size in [1, 7, 9, 100] {
                let passed = passed(kind, payload, 3000, size);
                let within_a_piece = expected - 12..=expected;
                assert!(within_a_piece.contains(&passed), "{name}, {size} at a time: {passed}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_not_counted() {
        let mut budget = FrameBudget::new(0);
        for stream in 0..10_000 {
            assert!(budget.count_frames(&frame_of_stream(1, 2 * stream + 1, &[6; 30])), "{stream}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_and_what_is_written_allow_for_more() {
        let mut budget = FrameBudget::new(0);
        let pings = |count: usize| frame(6, &[0; 8]).repeat(count);
        assert!(budget.count_frames(&pings(1000)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(budget.count_frames(&pings(200)));
        budget.credit_written_bytes(100 * 1024);
        assert!(budget.count_frames(&pings(100)));
        assert!(!budget.count_frames(&pings(1)));
        // Never more than at once in the beginning.
        let mut budget = FrameBudget::new(0);
        budget.credit_written_bytes(1 << 30);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(budget.count_frames(&pings(1000)));
        assert!(!budget.count_frames(&pings(1)));
    }
}
