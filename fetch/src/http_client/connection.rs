//! A TCP stream with a buffer, in which requests are written and response heads are read.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{FetchError, FetchErrorKind};

/// Buffer size: a response head and a small playlist fit into it, and an idle connection keeps no
/// more.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Host and port as in requests: the key of the connection pool.
    origin: Arc<str>,
    buffer: Vec<u8>,
    /// Number of bytes consumed from the front of the buffer.
    consumed: usize,
    has_response: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, origin: &str) -> Result<Self, FetchError> {
        let peer = stream
            .peer_addr()
            .map_err(|error| FetchError::with_detail(FetchErrorKind::Connect, error))?;
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Ok(Self { stream, peer, origin: origin.into(), buffer, consumed: 0, has_response: false })
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// Whether any byte was received since the last request was written.
    pub(super) fn has_received_bytes(&self) -> bool {
        self.has_response
    }

    /// Writes what `render` puts into the buffer, in one write.
    pub(super) async fn write(&mut self, render: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.has_response = false;
        self.clear_buffer();
        render(&mut self.buffer);
        self.stream.write_all(&self.buffer).await?;
        self.clear_buffer();
        Ok(())
    }

    fn clear_buffer(&mut self) {
        self.buffer.clear();
        self.consumed = 0;
    }

    /// Bytes received and not yet consumed.
    pub(super) fn unread_bytes(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    pub(super) fn unread_bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.consumed..).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, length: usize) {
        self.consumed += length;
        if self.consumed >= self.buffer.len() {
            self.clear_buffer();
        }
    }

    /// Reads until at most `size` bytes are unread; 0 at the end of the stream, or without room.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        let room = size.saturating_sub(self.buffer.len());
        self.buffer.reserve_exact(room);
        let read = pin!(self.stream.read_buf(&mut (&mut self.buffer).limit(room))).poll(cx);
        self.has_response |= matches!(read, Poll::Ready(Ok(1..)));
        read
    }

    /// Reads directly into `into`; the buffer has to be empty.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        pin!(self.stream.read_buf(into)).poll(cx)
    }

    /// Whether the connection is open and the server has sent nothing without a request, as far as
    /// is known here.
    pub(super) fn is_reusable(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Releases the buffer if a large response made it grow.
    pub(super) fn shrink(&mut self) {
        self.clear_buffer();
        if self.buffer.capacity() > BUFFER_BYTES {
            self.buffer = Vec::new();
        }
    }
}
