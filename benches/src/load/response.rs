//! One response as a client reads it: the head is parsed, the body only counted.

use httparse::Status;

/// A head longer than this is no answer to anything asked here.
const LONGEST_HEAD: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Response {
    state: State,
    /// What of a head or a chunk's first line has come so far.
    line: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) body: u64,
    /// The server ends the connection after this one.
    pub(crate) closes: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body are still to come.
    Sized(u64),
    ChunkSize,
    /// So many bytes of a chunk, then its line end.
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilClosed,
    Done,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadResponse {
    #[error("the head of the response cannot be read")]
    Head,
    #[error("a chunk of the response cannot be read")]
    Chunk,
    #[error("bytes after the end of the response")]
    Surplus,
    #[error("the response was cut short after {0} bytes of its body")]
    Cut(u64),
}

impl Response {
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.state != State::Head || !self.line.is_empty()
    }

    /// How many of the next bytes need not be looked at.
    pub(crate) fn discardable(&self) -> u64 {
        match self.state {
            State::Sized(left) | State::Chunk(left) => left,
            State::UntilClosed => u64::MAX,
            _ => 0,
        }
    }

    /// So many bytes were thrown away unread, no more than may be.
    pub(crate) fn discard(&mut self, count: u64) {
        self.body += count;
        match &mut self.state {
            State::Sized(left) => {
                *left -= count;
                if *left == 0 {
                    self.state = State::Done;
                }
            }
            State::Chunk(left) => {
                *left -= count;
                if *left == 0 {
                    self.state = State::ChunkEnd;
                }
            }
            _ => {}
        }
    }

    /// Reads what came; `keep` is given the pieces of the body.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        keep: &mut dyn FnMut(&[u8]),
    ) -> Result<(), BadResponse> {
        while !bytes.is_empty() {
            if self.is_done() {
                return Err(BadResponse::Surplus);
            }
            let discardable = usize::try_from(self.discardable()).unwrap_or(usize::MAX);
            if discardable > 0 {
                let (body, rest) = bytes.split_at(discardable.min(bytes.len()));
                keep(body);
                self.discard(body.len() as u64);
                bytes = rest;
                continue;
            }
            let (complete, rest) = self.complete(bytes)?;
            bytes = rest;
            if complete {
                let line = std::mem::take(&mut self.line);
                self.advance(&line)?;
            }
        }
        Ok(())
    }

    /// The connection ended.
    pub(crate) fn close(&mut self) -> Result<(), BadResponse> {
        match self.state {
            State::UntilClosed | State::Done => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BadResponse::Cut(self.body)),
        }
    }

    /// Takes of `bytes` what a head or line still lacks; whether that was its end.
    fn complete<'a>(&mut self, bytes: &'a [u8]) -> Result<(bool, &'a [u8]), BadResponse> {
        let end: &[u8] = if self.state == State::Head { b"\r\n\r\n" } else { b"\r\n" };
        let before = self.line.len();
        self.line.extend_from_slice(bytes);
        let from = before.saturating_sub(end.len() - 1);
        let found = self.line.get(from..).and_then(|new| {
            new.windows(end.len()).position(|window| window == end).map(|at| from + at + end.len())
        });
        match found {
            Some(length) => {
                self.line.truncate(length);
                Ok((true, bytes.split_at(length - before).1))
            }
            None if self.line.len() > LONGEST_HEAD => Err(BadResponse::Head),
            None => Ok((false, &[])),
        }
    }

    fn advance(&mut self, line: &[u8]) -> Result<(), BadResponse> {
        self.state = match self.state {
            State::Head => return self.head(line),
            State::ChunkSize => match chunk_size(line).ok_or(BadResponse::Chunk)? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line == b"\r\n" => State::ChunkSize,
            State::ChunkEnd => return Err(BadResponse::Chunk),
            State::Trailer if line == b"\r\n" => State::Done,
            state => state,
        };
        Ok(())
    }

    fn head(&mut self, bytes: &[u8]) -> Result<(), BadResponse> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let Ok(Status::Complete(_)) = head.parse(bytes) else { return Err(BadResponse::Head) };
        self.status = head.code.unwrap_or_default();
        if (100..200).contains(&self.status) {
            return Ok(());
        }
        let header = |name: &str| {
            let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok())
        };
        let says = |name, what: &str| {
            header(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(what))
        };
        self.closes = says("connection", "close");
        self.state = if says("transfer-encoding", "chunked") {
            State::ChunkSize
        } else if let Some(length) = header("content-length") {
            match length.trim().parse().map_err(|_| BadResponse::Head)? {
                0 => State::Done,
                length => State::Sized(length),
            }
        } else if matches!(self.status, 204 | 304) {
            State::Done
        } else {
            self.closes = true;
            State::UntilClosed
        };
        Ok(())
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    let size = line.split(';').next()?;
    u64::from_str_radix(size.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fed whole, byte by byte, and with the body thrown away: always the same.
    fn check(text: &str, expected: Result<(u16, u64, bool), BadResponse>) {
        for step in [text.len(), 1, 3] {
            let mut response = Response::default();
            let mut kept = 0;
            let read = text.as_bytes().chunks(step).try_for_each(|chunk| {
                response.feed(chunk, &mut |body: &[u8]| kept += body.len() as u64)
            });
            let read = read.and_then(|()| response.close());
            let seen = read.map(|()| (response.status, response.body, response.closes));
            assert_eq!(seen, expected, "{text:?} by {step}");
            if seen.is_ok() {
                assert_eq!(kept, response.body);
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
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Err(BadResponse::Cut(4)));
        check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhe", Err(BadResponse::Surplus));
        check("hello\r\n\r\n", Err(BadResponse::Head));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            Err(BadResponse::Chunk),
        );
    }
}
