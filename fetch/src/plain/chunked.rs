//! The chunked coding, undone in place. Extensions and trailers are passed over.

/// Longest chunk line, and all trailers together.
const MAX_LINE: usize = 4 * 1024;
const MAX_TRAILERS: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Decoder {
    state: State,
    /// Of the chunk: what its line says so far, then what is still to come of it.
    size: u64,
    /// The bytes of this line, or of the trailers.
    passed: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit.
    #[default]
    Start,
    Size,
    /// White space behind the size.
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

impl Decoder {
    pub(super) fn is_at_end(&self) -> bool {
        self.state == State::End
    }

    /// What is still to come of the chunk that is being read.
    pub(super) fn pending(&self) -> u64 {
        if self.state == State::Data { self.size } else { 0 }
    }

    /// `length` bytes of the chunk were read elsewhere.
    pub(super) fn pass(&mut self, length: usize) {
        self.size = self.size.saturating_sub(length as u64);
        if self.size == 0 {
            self.state = State::DataReturn;
        }
    }

    /// Moves the data among `bytes` to their front. Returns how many bytes were read, and how
    /// many of them were data.
    pub(super) fn decode(&mut self, bytes: &mut [u8]) -> Result<(usize, usize), &'static str> {
        let (mut read, mut kept) = (0, 0);
        while let Some(byte) = bytes.get(read)
            && self.state != State::End
        {
            if self.state == State::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                let length = left.min(bytes.len() - read);
                bytes.copy_within(read..read + length, kept);
                (read, kept) = (read + length, kept + length);
                self.pass(length);
            } else {
                self.state = self.step(*byte)?;
                read += 1;
            }
        }
        Ok((read, kept))
    }

    fn step(&mut self, byte: u8) -> Result<State, &'static str> {
        self.passed += 1;
        Ok(match (self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.size >> 60 != 0 {
                    return Err("a chunk size beyond all bounds");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.size = self.size << 4 | u64::from(digit);
                if self.passed > MAX_LINE {
                    return Err("a chunk line that is too long");
                }
                State::Size
            }
            (State::Size | State::Space, b' ' | b'\t') if self.passed < MAX_LINE => State::Space,
            (State::Size | State::Space, b';') => State::Extension,
            (State::Size | State::Space | State::Extension, b'\r') => State::LineFeed,
            (State::Extension, b'\n') => return Err("a chunk line that ends wrongly"),
            (State::Extension, _) if self.passed < MAX_LINE => State::Extension,
            (State::Extension, _) => return Err("a chunk line that is too long"),
            (State::LineFeed, b'\n') => {
                self.passed = 0;
                if self.size == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => {
                self.passed = 0;
                State::Start
            }
            (State::TrailerStart, b'\r') => State::LastFeed,
            (State::TrailerStart | State::Trailer, byte) if self.passed < MAX_TRAILERS => {
                match byte {
                    b'\r' => State::TrailerFeed,
                    b'\n' => return Err("a trailer that ends wrongly"),
                    _ => State::Trailer,
                }
            }
            (State::TrailerStart | State::Trailer, _) => return Err("trailers that are too long"),
            (State::TrailerFeed, b'\n') => State::TrailerStart,
            (State::LastFeed, b'\n') => State::End,
            _ => return Err("a chunk that is not one"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes`, which come in two pieces, the second behind `split`.
    fn decode(bytes: &[u8], split: usize) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let mut decoder = Decoder::default();
        let (mut body, mut total) = (Vec::new(), 0);
        for piece in [&bytes[..split], &bytes[split..]] {
            let mut piece = piece.to_vec();
            let (read, kept) = decoder.decode(&mut piece)?;
            body.extend_from_slice(&piece[..kept]);
            total += read;
        }
        Ok((body, total, decoder.is_at_end()))
    }

    #[test]
    fn however_it_is_split() {
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
    fn what_is_not_chunked() {
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
            long("2;", MAX_LINE),
            long("0\r\nA: ", MAX_TRAILERS),
            format!("{}2\r\n", "0".repeat(MAX_LINE)),
            format!("2{}\r\n", " ".repeat(MAX_LINE)),
        ] {
            for split in [0, 1, text.len()] {
                assert!(decode(text.as_bytes(), split).is_err(), "{text:?} at {split}");
            }
        }
    }

    #[test]
    fn what_has_not_ended() {
        for text in ["", "2", "2\r\nh", "2\r\nhi\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"] {
            assert!(!decode(text.as_bytes(), 0).unwrap().2, "{text:?}");
        }
    }
}
