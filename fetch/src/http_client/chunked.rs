//! In-place decoding of the chunked transfer coding (RFC 9112, 7.1). Chunk extensions and trailers
//! are skipped.

/// Limit on a chunk-size line with its extensions; the limit on all trailers follows.
const CHUNK_LINE_MAX_BYTES: usize = 4 * 1024;
const TRAILERS_MAX_BYTES: usize = 16 * 1024;
/// A chunk line up to this length is a size without extensions.
const CHUNK_SIZE_MAX_BYTES: usize = 20;
/// How many bytes of extensions and padding all chunk lines together may have beyond as many as there are of data, so that
/// a body cannot be a thousand times larger on its way than it is.
const EXTENSIONS_MAX_BYTES: u64 = 16 * 1024;

#[derive(Default)]
pub(super) struct ChunkedDecoder {
    state: ChunkState,
    /// Chunk size read so far, then the number of bytes of the chunk that are still to come.
    size: u64,
    /// Bytes read of the current line or of the trailers.
    line_bytes: usize,
    /// Bytes of all chunk lines beyond [`CHUNK_SIZE_MAX_BYTES`] of each.
    extension_bytes: u64,
    /// Bytes of all chunks read so far.
    data_bytes: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum ChunkState {
    /// Before the first digit of the chunk size.
    #[default]
    Start,
    Size,
    /// White space after the chunk size.
    Space,
    Extension,
    LineFeed,
    Data,
    DataReturn,
    DataFeed,
    TrailerStart,
    Trailer,
    TrailerFeed,
    LastFeed,
    End,
}

impl ChunkedDecoder {
    pub(super) fn is_at_end(&self) -> bool {
        self.state == ChunkState::End
    }

    /// Whether at least one chunk was read and the next has not begun.
    pub(super) fn is_between_chunks(&self) -> bool {
        self.data_bytes > 0 && self.state == ChunkState::Start
    }

    /// Whether the last chunk was read; only trailers and a line end may be missing.
    pub(super) fn has_last_chunk(&self) -> bool {
        use ChunkState::{LastFeed, Trailer, TrailerFeed, TrailerStart};
        matches!(self.state, TrailerStart | Trailer | TrailerFeed | LastFeed | ChunkState::End)
    }

    /// Number of bytes of the current chunk that are still to come.
    pub(super) fn remaining_in_chunk(&self) -> u64 {
        if self.state == ChunkState::Data { self.size } else { 0 }
    }

    /// Records that `length` bytes of the chunk were read without the decoder.
    pub(super) fn record_data_read(&mut self, length: usize) {
        self.size = self.size.saturating_sub(length as u64);
        self.data_bytes = self.data_bytes.saturating_add(length as u64);
        if self.size == 0 {
            self.state = ChunkState::DataReturn;
        }
    }

    /// Moves the chunk data in `bytes` to their front. Returns how many bytes were read, and how
    /// many of these were data.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<(usize, usize), &'static str> {
        let (mut read, mut data_length) = (0, 0);
        while let Some(byte) = bytes.get(read)
            && self.state != ChunkState::End
        {
            if self.state == ChunkState::Data {
                let remaining = usize::try_from(self.size).unwrap_or(usize::MAX);
                let length = remaining.min(bytes.len() - read);
                bytes.copy_within(read..read + length, data_length);
                (read, data_length) = (read + length, data_length + length);
                self.record_data_read(length);
            } else {
                self.state = self.step(*byte)?;
                read += 1;
            }
        }
        Ok((read, data_length))
    }

    /// Counts the next byte where it is one of an extension or of padding.
    fn count_extension_byte(&mut self) -> Result<(), &'static str> {
        let is_in_line =
            matches!(self.state, ChunkState::Size | ChunkState::Space | ChunkState::Extension);
        if is_in_line && self.line_bytes > CHUNK_SIZE_MAX_BYTES {
            self.extension_bytes += 1;
            if self.extension_bytes > self.data_bytes.saturating_add(EXTENSIONS_MAX_BYTES) {
                return Err("chunk extensions that are larger than the chunks");
            }
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<ChunkState, &'static str> {
        self.line_bytes += 1;
        self.count_extension_byte()?;
        Ok(match (self.state, byte) {
            (ChunkState::Start | ChunkState::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.size >> 60 != 0 {
                    return Err("a chunk size beyond all bounds");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.size = self.size << 4 | u64::from(digit);
                if self.line_bytes > CHUNK_LINE_MAX_BYTES {
                    return Err("a chunk line that is too long");
                }
                ChunkState::Size
            }
            (ChunkState::Size | ChunkState::Space, b' ' | b'\t')
                if self.line_bytes < CHUNK_LINE_MAX_BYTES =>
            {
                ChunkState::Space
            }
            (ChunkState::Size | ChunkState::Space, b';') => ChunkState::Extension,
            (ChunkState::Size | ChunkState::Space | ChunkState::Extension, b'\r') => {
                ChunkState::LineFeed
            }
            (ChunkState::Extension, b'\n') => return Err("a chunk line that ends wrongly"),
            (ChunkState::Extension, _) if self.line_bytes < CHUNK_LINE_MAX_BYTES => {
                ChunkState::Extension
            }
            (ChunkState::Extension, _) => return Err("a chunk line that is too long"),
            (ChunkState::LineFeed, b'\n') => {
                self.line_bytes = 0;
                if self.size == 0 { ChunkState::TrailerStart } else { ChunkState::Data }
            }
            (ChunkState::DataReturn, b'\r') => ChunkState::DataFeed,
            (ChunkState::DataFeed, b'\n') => {
                self.line_bytes = 0;
                ChunkState::Start
            }
            (ChunkState::TrailerStart, b'\r') => ChunkState::LastFeed,
            (ChunkState::TrailerStart | ChunkState::Trailer, byte)
                if self.line_bytes < TRAILERS_MAX_BYTES =>
            {
                match byte {
                    b'\r' => ChunkState::TrailerFeed,
                    b'\n' => return Err("a trailer that ends wrongly"),
                    _ => ChunkState::Trailer,
                }
            }
            (ChunkState::TrailerStart | ChunkState::Trailer, _) => {
                return Err("trailers that are too long");
            }
            (ChunkState::TrailerFeed, b'\n') => ChunkState::TrailerStart,
            (ChunkState::LastFeed, b'\n') => ChunkState::End,
            _ => return Err("a chunk that is not one"),
        })
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes` in two pieces, split at `split`.
    fn decode(bytes: &[u8], split: usize) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let mut decoder = ChunkedDecoder::default();
        let (mut body, mut total) = (Vec::new(), 0);
        for piece in [&bytes[..split], &bytes[split..]] {
            let mut piece = piece.to_vec();
            let (read, data_length) = decoder.decode(&mut piece)?;
            body.extend_from_slice(&piece[..data_length]);
            total += read;
        }
        Ok((body, total, decoder.is_at_end()))
    }

    #[test]
    fn a_body_decodes_the_same_at_any_split() {
        for (text, body, rest) in [
            ("0\r\n\r\n", "", 0),
            ("2\r\nhi\r\n0\r\n\r\n", "hi", 0),
            ("000A\r\n0123456789\r\n1\r\n\n\r\n0\r\n\r\n", "0123456789\n", 0),
            (
                "2;a=b;c=\"d\"\r\nhi\r\n3 \t;x\r\n you\r\n00;e\r\n\r\n"
                    .replace(" you", "you")
                    .leak(),
                "hiyou",
                0,
            ),
            ("2 \r\nhi\r\n0\r\nX-A: b\r\nC: d\r\n\r\n", "hi", 0),
            ("2\r\nhi\r\n0\r\n\r\nHTTP/1.1", "hi", 8),
        ] {
            for split in 0..=text.len() {
                let got = decode(text.as_bytes(), split).unwrap();
                assert_eq!(
                    got,
                    (body.as_bytes().to_vec(), text.len() - rest, true),
                    "{text:?} at {split}"
                );
            }
        }
    }

    #[test]
    fn malformed_chunks_are_rejected() {
        let long = |start: &str, count: usize| format!("{start}{}\r\n\r\n", "x".repeat(count));
        for text in [
            "\r\n".to_owned(),
            "g\r\n".into(),
            "-1\r\n".into(),
            "0x2\r\nhi\r\n".into(),
            " 2\r\nhi\r\n".into(),
            ";a\r\n".into(),
            "2\nhi\r\n".into(),
            "2\r\rhi".into(),
            "2 2\r\nhi".into(),
            "2;a\nhi\r\n".into(),
            "2\r\nhi\n".into(),
            "2\r\nhi\r\r".into(),
            "2\r\nhi!\r\n".into(),
            "2\r\nhi\r\n\r\n".into(),
            "0\r\n\n".into(),
            "0\r\nA: b\n\r\n".into(),
            "0\r\n\r\r".into(),
            "10000000000000000\r\n".into(),
            "fffffffffffffffff\r\n".into(),
            long("2;", CHUNK_LINE_MAX_BYTES),
            long("0\r\nA: ", TRAILERS_MAX_BYTES),
            format!("{}2\r\n", "0".repeat(CHUNK_LINE_MAX_BYTES)),
            format!("2{}\r\n", " ".repeat(CHUNK_LINE_MAX_BYTES)),
        ] {
            for split in [0, 1, text.len()] {
                assert!(decode(text.as_bytes(), split).is_err(), "{text:?} at {split}");
            }
        }
    }

    #[test]
    fn extensions_are_no_larger_than_what_they_extend() {
        for (extension, data, chunks, is_read) in [
            (100, 1, 100, true),
            (100, 1, 1000, false),
            (100, 100, 10_000, true),
            (15, 1, 100_000, true),
            (4000, 8000, 1000, true),
        ] {
            let chunk = format!("{data:x};{}\r\n{}\r\n", "x".repeat(extension), "y".repeat(data));
            let decoded = decode(format!("{}0\r\n\r\n", chunk.repeat(chunks)).as_bytes(), 0);
            assert_eq!(decoded.is_ok(), is_read, "{extension} for {data}, {chunks} times");
        }
    }

    #[test]
    fn an_incomplete_body_has_not_ended() {
        for text in ["", "2", "2\r\nh", "2\r\nhi\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"] {
            assert!(!decode(text.as_bytes(), 0).unwrap().2, "{text:?}");
        }
    }
}
