//! Message bodies, with their framing removed. A large body is read directly into the chunks that
//! are returned.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::chunked;
use super::connection::{BUFFER_BYTES, Connection};
use super::pool::ConnectionPool;
use super::response_head::BodyFraming;
use crate::error::{FetchError, FetchErrorKind};
use crate::failure_reason::{ConnectionFault, FailureReason};

/// Size of one read and one allocation: smaller ones cost system calls, larger ones leave the CPU
/// cache.
const BLOCK_BYTES: usize = 256 * 1024;
/// Minimum free space of a block for another read into it.
const BLOCK_REUSE_MIN_BYTES: usize = 16 * 1024;
/// From this many remaining bytes on, a chunk is read directly and not through the buffer.
const DIRECT_READ_MIN_BYTES: u64 = 64 * 1024;
/// How much of an unread body is drained to save its connection, if the bytes have already arrived.
const DRAIN_MAX_BYTES: usize = 64 * 1024;

pub(crate) struct FramedBody {
    /// `None` once the body has been read to its end, or failed.
    connection: Option<Connection>,
    reader: FramingReader,
    keep_alive: bool,
    is_broken: bool,
    pool: Arc<ConnectionPool>,
}

enum FramingReader {
    Length {
        total: u64,
        left: u64,
        block: ReadBlock,
    },
    Chunked {
        decoder: chunked::ChunkedDecoder,
        block: ReadBlock,
        size: usize,
        /// The server has said that it will close the connection, so that the end of the connection
        /// may be that of the body, as it is without any framing.
        is_close_announced: bool,
    },
    UntilClose {
        size: usize,
    },
}

/// A chunk of the body, and whether it is the last. Only the last one may be empty.
type BodyPiece = (Bytes, bool);

impl FramedBody {
    pub(super) fn new(
        connection: Connection,
        framing: BodyFraming,
        keep_alive: bool,
        pool: Arc<ConnectionPool>,
    ) -> Self {
        let is_empty = framing == BodyFraming::Empty;
        let block = ReadBlock::default();
        let reader = match framing {
            BodyFraming::Empty => FramingReader::UntilClose { size: 0 },
            BodyFraming::Length(total) => FramingReader::Length { total, left: total, block },
            BodyFraming::Chunked => FramingReader::Chunked {
                decoder: chunked::ChunkedDecoder::default(),
                block,
                size: BUFFER_BYTES,
                is_close_announced: !keep_alive,
            },
            BodyFraming::UntilClose => FramingReader::UntilClose { size: BUFFER_BYTES },
        };
        let mut body =
            Self { connection: Some(connection), reader, keep_alive, is_broken: false, pool };
        if is_empty {
            body.return_connection();
        }
        body
    }

    pub(crate) fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, FetchError>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(if self.is_broken {
                Err(FetchErrorKind::Body.into())
            } else {
                Ok(None)
            });
        };
        Poll::Ready(match ready!(self.reader.poll(connection, cx)) {
            Ok((chunk, is_last)) => {
                if is_last {
                    self.return_connection();
                }
                Ok((!chunk.is_empty()).then_some(chunk))
            }
            Err(error) => {
                self.connection = None;
                self.is_broken = true;
                Err(error)
            }
        })
    }

    /// Whether the body, which has been read to its end, has ended by its framing.
    pub(crate) fn has_framed_end(&self) -> bool {
        match &self.reader {
            FramingReader::Length { .. } => true,
            FramingReader::Chunked { decoder, .. } => decoder.has_last_chunk(),
            FramingReader::UntilClose { size } => *size == 0,
        }
    }

    /// Returns the connection to the pool, unless the server sent more than it announced.
    fn return_connection(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.keep_alive
            && connection.unread_bytes().is_empty()
        {
            self.pool.put(connection);
        }
    }
}

impl Drop for FramedBody {
    fn drop(&mut self) {
        let is_small = match &self.reader {
            FramingReader::Length { left, .. } => *left <= DRAIN_MAX_BYTES as u64,
            FramingReader::Chunked { .. } => true,
            FramingReader::UntilClose { .. } => false,
        };
        if !is_small || !self.keep_alive || self.connection.is_none() {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        let mut drained = 0;
        while drained <= DRAIN_MAX_BYTES
            && let Poll::Ready(Ok(Some(chunk))) = self.poll_chunk(&mut cx)
        {
            drained += chunk.len();
        }
    }
}

impl FramingReader {
    fn poll(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BodyPiece, FetchError>> {
        match self {
            Self::Length { total, left: remaining, block } => {
                let chunk = ready!(block.poll_read_chunk(connection, cx, *remaining))
                    .map_err(body_error)?;
                if chunk.is_empty() {
                    let detail = format!("{} of {total} bytes", *total - *remaining);
                    return Poll::Ready(Err(FetchError::with_detail(FetchErrorKind::Body, detail)));
                }
                *remaining -= chunk.len() as u64;
                Poll::Ready(Ok((chunk, *remaining == 0)))
            }
            Self::Chunked { decoder, block, size, is_close_announced } => loop {
                let bytes = connection.unread_bytes_mut();
                if !bytes.is_empty() {
                    let (consumed, data_length) = decoder
                        .decode(bytes)
                        .map_err(|what| FetchError::with_detail(FetchErrorKind::Body, what))?;
                    let chunk =
                        Bytes::copy_from_slice(bytes.get(..data_length).unwrap_or_default());
                    connection.consume(consumed);
                    if decoder.is_at_end() || !chunk.is_empty() {
                        return Poll::Ready(Ok((chunk, decoder.is_at_end())));
                    }
                } else if decoder.remaining_in_chunk() >= DIRECT_READ_MIN_BYTES {
                    let read = block.poll_read_chunk(connection, cx, decoder.remaining_in_chunk());
                    let chunk = ready!(read).map_err(body_error)?;
                    if chunk.is_empty() {
                        return Poll::Ready(Err(truncated_error()));
                    }
                    decoder.record_data_read(chunk.len());
                    return Poll::Ready(Ok((chunk, false)));
                } else if ready!(poll_fill_buffer(connection, cx, size)).map_err(body_error)? == 0 {
                    let ends = decoder.has_last_chunk()
                        || (*is_close_announced && decoder.is_between_chunks());
                    return Poll::Ready(match () {
                        () if ends => Ok((Bytes::new(), true)),
                        () if decoder.is_between_chunks() => Err(missing_last_chunk_error()),
                        () => Err(truncated_error()),
                    });
                }
            },
            Self::UntilClose { size } => {
                let mut has_ended = false;
                if connection.unread_bytes().is_empty() {
                    has_ended =
                        ready!(poll_fill_buffer(connection, cx, size)).map_err(body_error)? == 0;
                }
                let chunk = Bytes::copy_from_slice(connection.unread_bytes());
                connection.consume(chunk.len());
                Poll::Ready(Ok((chunk, has_ended)))
            }
        }
    }
}

/// Reads into the empty buffer. Its size grows with full reads.
fn poll_fill_buffer(
    connection: &mut Connection,
    cx: &mut Context<'_>,
    size: &mut usize,
) -> Poll<io::Result<usize>> {
    let read_bytes = ready!(connection.poll_fill(cx, *size))?;
    if read_bytes >= *size {
        *size = BLOCK_BYTES.min(*size * 4);
    }
    Poll::Ready(Ok(read_bytes))
}

fn body_error(error: io::Error) -> FetchError {
    FetchError::of_io(FetchErrorKind::Body, &error)
}

fn missing_last_chunk_error() -> FetchError {
    let fault = ConnectionFault::ClosedBeforeLastChunk;
    FetchError::of_reason(FetchErrorKind::Body, FailureReason::Connection(fault))
}

fn truncated_error() -> FetchError {
    FetchError::with_detail(FetchErrorKind::Body, "closed within a chunked body")
}

/// A block of memory that is split into chunks without copying, so that a chunk holds exactly its
/// bytes. Once all chunks are dropped, the same memory is used again while it is still in the CPU
/// cache.
#[derive(Default)]
struct ReadBlock(BytesMut);

impl ReadBlock {
    /// Reads at most `remaining` bytes, those in the buffer first; empty at the end of the stream.
    fn poll_read_chunk(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
        remaining: u64,
    ) -> Poll<io::Result<Bytes>> {
        let wanted = usize::try_from(remaining).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let room = self.reserve(wanted);
        let unread = connection.unread_bytes();
        let buffered = unread.get(..room).unwrap_or(unread);
        self.0.extend_from_slice(buffered);
        let buffered = buffered.len();
        connection.consume(buffered);
        if buffered < room {
            let read = connection.poll_read(cx, &mut (&mut self.0).limit(room - buffered));
            match read? {
                Poll::Pending if buffered == 0 => return Poll::Pending,
                _ => {}
            }
        }
        let is_full = self.0.len() == self.0.capacity() && wanted as u64 == remaining;
        let chunk = if is_full { std::mem::take(&mut self.0) } else { self.0.split() };
        Poll::Ready(Ok(chunk.freeze()))
    }

    /// Returns how many bytes can be read into the block, at most `wanted`.
    fn reserve(&mut self, wanted: usize) -> usize {
        let spare = self.0.capacity();
        if self.0.try_reclaim(wanted) {
            return wanted;
        }
        if spare >= BLOCK_REUSE_MIN_BYTES {
            return spare;
        }
        self.0 = BytesMut::with_capacity(wanted);
        wanted
    }
}
