//! Bodies as they were sent. A large one is read straight into what is handed out.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::chunked;
use super::connection::{BUFFER, Connection};
use super::head::Framing;
use super::pool::Pool;
use crate::error::{FetchError, Kind};

/// One read, and one allocation. Smaller costs system calls, larger leaves the cache.
const BLOCK: usize = 256 * 1024;
/// The rest of a block that is not worth a read of its own.
const CRUMB: usize = 16 * 1024;
/// A chunk of which so much is to come is not read through the buffer.
const STRAIGHT: u64 = 64 * 1024;
/// So much of a body that nobody wants is read to save its connection, if it is there already.
const SCRAP: usize = 64 * 1024;

pub(super) struct Body {
    /// `None` when the body has been read to its end, or broke off.
    connection: Option<Connection>,
    reader: Reader,
    keep_alive: bool,
    broken: bool,
    pool: Arc<Pool>,
}

enum Reader {
    Length { total: u64, left: u64, block: Block },
    Chunked { decoder: chunked::Decoder, block: Block, size: usize },
    UntilClose { size: usize },
}

/// A piece of the body, and whether it is the last. Only the last one may be empty.
type Piece = (Bytes, bool);

impl Body {
    pub(super) fn new(
        connection: Connection,
        framing: Framing,
        keep_alive: bool,
        pool: Arc<Pool>,
    ) -> Self {
        let empty = framing == Framing::Empty;
        let block = Block::default();
        let reader = match framing {
            Framing::Empty => Reader::UntilClose { size: 0 },
            Framing::Length(total) => Reader::Length { total, left: total, block },
            Framing::Chunked => {
                Reader::Chunked { decoder: chunked::Decoder::default(), block, size: BUFFER }
            }
            Framing::UntilClose => Reader::UntilClose { size: BUFFER },
        };
        let mut body =
            Self { connection: Some(connection), reader, keep_alive, broken: false, pool };
        if empty {
            body.end();
        }
        body
    }

    pub(super) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FetchError>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(if self.broken { Err(Kind::Body.into()) } else { Ok(None) });
        };
        Poll::Ready(match ready!(self.reader.poll(connection, cx)) {
            Ok((chunk, last)) => {
                if last {
                    self.end();
                }
                Ok((!chunk.is_empty()).then_some(chunk))
            }
            Err(error) => {
                self.connection = None;
                self.broken = true;
                Err(error)
            }
        })
    }

    /// Another request may use the connection, unless more came than was announced.
    fn end(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.keep_alive
            && connection.unread().is_empty()
        {
            self.pool.put(connection);
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let small = match &self.reader {
            Reader::Length { left, .. } => *left <= SCRAP as u64,
            Reader::Chunked { .. } => true,
            Reader::UntilClose { .. } => false,
        };
        if !small || !self.keep_alive || self.connection.is_none() {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut scrapped = 0;
        while scrapped <= SCRAP
            && let Poll::Ready(Ok(Some(chunk))) = self.poll_chunk(&mut cx)
        {
            scrapped += chunk.len();
        }
    }
}

impl Reader {
    fn poll(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Piece, FetchError>> {
        match self {
            Self::Length { total, left, block } => {
                let chunk = ready!(block.poll_read(connection, cx, *left)).map_err(broke)?;
                if chunk.is_empty() {
                    let detail = format!("{} of {total} bytes", *total - *left);
                    return Poll::Ready(Err(FetchError::with(Kind::Body, detail)));
                }
                *left -= chunk.len() as u64;
                Poll::Ready(Ok((chunk, *left == 0)))
            }
            Self::Chunked { decoder, block, size } => loop {
                let bytes = connection.unread_mut();
                if !bytes.is_empty() {
                    let (read, kept) =
                        decoder.decode(bytes).map_err(|what| FetchError::with(Kind::Body, what))?;
                    let chunk = Bytes::copy_from_slice(bytes.get(..kept).unwrap_or_default());
                    connection.take(read);
                    if decoder.is_at_end() || !chunk.is_empty() {
                        return Poll::Ready(Ok((chunk, decoder.is_at_end())));
                    }
                } else if decoder.pending() >= STRAIGHT {
                    let read = block.poll_read(connection, cx, decoder.pending());
                    let chunk = ready!(read).map_err(broke)?;
                    if chunk.is_empty() {
                        return Poll::Ready(Err(cut_short()));
                    }
                    decoder.pass(chunk.len());
                    return Poll::Ready(Ok((chunk, false)));
                } else if ready!(poll_buffer(connection, cx, size)).map_err(broke)? == 0 {
                    return Poll::Ready(Err(cut_short()));
                }
            },
            Self::UntilClose { size } => {
                let mut ended = false;
                if connection.unread().is_empty() {
                    ended = ready!(poll_buffer(connection, cx, size)).map_err(broke)? == 0;
                }
                let chunk = Bytes::copy_from_slice(connection.unread());
                connection.take(chunk.len());
                Poll::Ready(Ok((chunk, ended)))
            }
        }
    }
}

/// Fills the empty buffer, which grows for those who fill it.
fn poll_buffer(
    connection: &mut Connection,
    cx: &mut Context<'_>,
    size: &mut usize,
) -> Poll<io::Result<usize>> {
    let read = ready!(connection.poll_fill(cx, *size))?;
    if read >= *size {
        *size = BLOCK.min(*size * 4);
    }
    Poll::Ready(Ok(read))
}

fn broke(error: io::Error) -> FetchError {
    FetchError::of_io(Kind::Body, &error)
}

fn cut_short() -> FetchError {
    FetchError::with(Kind::Body, "closed within a chunked body")
}

/// Memory that is handed out piece by piece without being copied, and without a rest: what is
/// held of it is what was read. When nobody holds a piece any more, the same memory is used
/// again, which is still in the cache.
#[derive(Default)]
struct Block(BytesMut);

impl Block {
    /// The next at most `left` bytes, those in the buffer first; empty at the end of the stream.
    fn poll_read(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
        left: u64,
    ) -> Poll<io::Result<Bytes>> {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
        let room = self.make_room(want);
        let unread = connection.unread();
        let buffered = unread.get(..room).unwrap_or(unread);
        self.0.extend_from_slice(buffered);
        let buffered = buffered.len();
        connection.take(buffered);
        if buffered < room {
            let read = connection.poll_read(cx, &mut (&mut self.0).limit(room - buffered));
            match read? {
                Poll::Pending if buffered == 0 => return Poll::Pending,
                _ => {}
            }
        }
        let whole = self.0.len() == self.0.capacity() && want as u64 == left;
        let chunk = if whole { std::mem::take(&mut self.0) } else { self.0.split() };
        Poll::Ready(Ok(chunk.freeze()))
    }

    /// How many bytes to read, at most `want`.
    fn make_room(&mut self, want: usize) -> usize {
        let spare = self.0.capacity();
        if self.0.try_reclaim(want) {
            return want;
        }
        if spare >= CRUMB {
            return spare;
        }
        self.0 = BytesMut::with_capacity(want);
        want
    }
}
