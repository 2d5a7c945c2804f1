//! An incremental parser of one HTTP/1.1 response: it parses the header section and only counts the
//! content.

use httparse::Status;

/// Size limit of a header section.
const HEAD_MAX_BYTES: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct ResponseParser {
    state: ParserState,
    /// The incomplete header section or chunk line read so far.
    partial_line: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) body_bytes: u64,
    /// Whether the server closes the connection after this response.
    pub(crate) closes_connection: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ParserState {
    #[default]
    Head,
    /// Content of which so many bytes are outstanding.
    FixedLengthBody(u64),
    ChunkSize,
    /// A chunk of which so many bytes are outstanding, before its line end.
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    UntilClosed,
    Done,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error("the head of the response cannot be read")]
    InvalidHead,
    #[error("a chunk of the response cannot be read")]
    InvalidChunk,
    #[error("bytes after the end of the response")]
    TrailingBytes,
    #[error("the response was cut short after {0} bytes of its body")]
    Truncated(u64),
}

impl ResponseParser {
    pub(crate) fn is_complete(&self) -> bool {
        self.state == ParserState::Done
    }

    pub(crate) fn has_started(&self) -> bool {
        self.state != ParserState::Head || !self.partial_line.is_empty()
    }

    /// How many of the next bytes are content, which need not be parsed.
    pub(crate) fn discardable_bytes(&self) -> u64 {
        match self.state {
            ParserState::FixedLengthBody(left) | ParserState::ChunkData(left) => left,
            ParserState::UntilClosed => u64::MAX,
            _ => 0,
        }
    }

    /// Counts content bytes that were discarded unread, at most [`Self::discardable_bytes`].
    pub(crate) fn count_discarded(&mut self, count: u64) {
        self.body_bytes += count;
        match &mut self.state {
            ParserState::FixedLengthBody(left) => {
                *left -= count;
                if *left == 0 {
                    self.state = ParserState::Done;
                }
            }
            ParserState::ChunkData(left) => {
                *left -= count;
                if *left == 0 {
                    self.state = ParserState::ChunkEnd;
                }
            }
            _ => {}
        }
    }

    /// Parses received bytes; `on_body` gets the pieces of the content.
    ///
    /// # Errors
    /// A [`ResponseError`] when the bytes are not one response.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        on_body: &mut dyn FnMut(&[u8]),
    ) -> Result<(), ResponseError> {
        while !bytes.is_empty() {
            if self.is_complete() {
                return Err(ResponseError::TrailingBytes);
            }
            let discardable = usize::try_from(self.discardable_bytes()).unwrap_or(usize::MAX);
            if discardable > 0 {
                let (body, rest) = bytes.split_at(discardable.min(bytes.len()));
                on_body(body);
                self.count_discarded(body.len() as u64);
                bytes = rest;
                continue;
            }
            let (complete, rest) = self.extend_line(bytes)?;
            bytes = rest;
            if complete {
                let line = std::mem::take(&mut self.partial_line);
                self.parse_line(&line)?;
            }
        }
        Ok(())
    }

    /// Handles the end of the connection.
    ///
    /// # Errors
    /// [`ResponseError::Truncated`] when the response is incomplete.
    pub(crate) fn on_connection_closed(&mut self) -> Result<(), ResponseError> {
        match self.state {
            ParserState::UntilClosed | ParserState::Done => {
                self.state = ParserState::Done;
                Ok(())
            }
            _ => Err(ResponseError::Truncated(self.body_bytes)),
        }
    }

    /// Extends the incomplete header section or line by `bytes`; whether it is complete, and the
    /// rest.
    fn extend_line<'a>(&mut self, bytes: &'a [u8]) -> Result<(bool, &'a [u8]), ResponseError> {
        let end: &[u8] = if self.state == ParserState::Head { b"\r\n\r\n" } else { b"\r\n" };
        let before = self.partial_line.len();
        self.partial_line.extend_from_slice(bytes);
        let from = before.saturating_sub(end.len() - 1);
        let found = self.partial_line.get(from..).and_then(|new| {
            new.windows(end.len()).position(|window| window == end).map(|at| from + at + end.len())
        });
        match found {
            Some(length) => {
                self.partial_line.truncate(length);
                Ok((true, bytes.split_at(length - before).1))
            }
            None if self.partial_line.len() > HEAD_MAX_BYTES => Err(ResponseError::InvalidHead),
            None => Ok((false, &[])),
        }
    }

    fn parse_line(&mut self, line: &[u8]) -> Result<(), ResponseError> {
        self.state = match self.state {
            ParserState::Head => return self.parse_head(line),
            ParserState::ChunkSize => {
                match parse_chunk_size(line).ok_or(ResponseError::InvalidChunk)? {
                    0 => ParserState::Trailer,
                    size => ParserState::ChunkData(size),
                }
            }
            ParserState::ChunkEnd if line == b"\r\n" => ParserState::ChunkSize,
            ParserState::ChunkEnd => return Err(ResponseError::InvalidChunk),
            ParserState::Trailer if line == b"\r\n" => ParserState::Done,
            state => state,
        };
        Ok(())
    }

    fn parse_head(&mut self, bytes: &[u8]) -> Result<(), ResponseError> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let Ok(Status::Complete(_)) = head.parse(bytes) else {
            return Err(ResponseError::InvalidHead);
        };
        self.status = head.code.unwrap_or_default();
        if (100..200).contains(&self.status) {
            return Ok(());
        }
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let has_value = |name, expected: &str| {
            header(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(expected))
        };
        self.closes_connection = has_value("connection", "close");
        self.state = if has_value("transfer-encoding", "chunked") {
            ParserState::ChunkSize
        } else if let Some(length) = header("content-length") {
            match length.trim().parse().map_err(|_| ResponseError::InvalidHead)? {
                0 => ParserState::Done,
                length => ParserState::FixedLengthBody(length),
            }
        } else if matches!(self.status, 204 | 304) {
            ParserState::Done
        } else {
            self.closes_connection = true;
            ParserState::UntilClosed
        };
        Ok(())
    }
}

fn parse_chunk_size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    let size = line.split(';').next()?;
    u64::from_str_radix(size.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `text` at once, byte by byte, and by three bytes; the result must be the same.
    fn check(text: &str, expected: Result<(u16, u64, bool), ResponseError>) {
        for step in [text.len(), 1, 3] {
            let mut response = ResponseParser::default();
            let mut body_bytes = 0;
            let read = text.as_bytes().chunks(step).try_for_each(|chunk| {
                response.feed(chunk, &mut |body: &[u8]| body_bytes += body.len() as u64)
            });
            let read = read.and_then(|()| response.on_connection_closed());
            let actual =
                read.map(|()| (response.status, response.body_bytes, response.closes_connection));
            assert_eq!(actual, expected, "{text:?} by {step}");
            if actual.is_ok() {
                assert_eq!(body_bytes, response.body_bytes);
            }
        }
    }

    #[test]
    fn responses_are_read() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok((200, 5, false)));
        check(
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: close\r\n\r\n",
            Ok((200, 0, true)),
        );
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
            Ok((200, 15, false)),
        );
        check("HTTP/1.0 200 OK\r\n\r\nuntil closed", Ok((200, 12, true)));
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 x\r\n\r\n", Ok((304, 0, false)));
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Err(ResponseError::Truncated(4)));
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhe", Err(ResponseError::TrailingBytes));
        check("hello\r\n\r\n", Err(ResponseError::InvalidHead));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            Err(ResponseError::InvalidChunk),
        );
    }
}
