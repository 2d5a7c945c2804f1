//! A stream with a buffer, in which requests are written and heads are read.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{FetchError, Kind};

/// A head and a small playlist fit into it; an idle connection keeps no more.
pub(super) const BUFFER: usize = 16 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Host and port as requests spell them: its place in the pool.
    origin: Arc<str>,
    buffer: Vec<u8>,
    /// What was taken from the front of the buffer.
    taken: usize,
    answered: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, origin: &str) -> Result<Self, FetchError> {
        let peer = stream.peer_addr().map_err(|error| FetchError::with(Kind::Connect, error))?;
        let buffer = Vec::with_capacity(BUFFER);
        Ok(Self { stream, peer, origin: origin.into(), buffer, taken: 0, answered: false })
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// Has anything come since the last request was written?
    pub(super) fn has_answered(&self) -> bool {
        self.answered
    }

    /// Writes what `render` puts into the buffer, at once.
    pub(super) async fn write(&mut self, render: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.answered = false;
        self.clear();
        render(&mut self.buffer);
        self.stream.write_all(&self.buffer).await?;
        self.clear();
        Ok(())
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.taken = 0;
    }

    /// What has been received and not been taken.
    pub(super) fn unread(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn unread_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.taken..).unwrap_or_default()
    }

    pub(super) fn take(&mut self, length: usize) {
        self.taken += length;
        if self.taken >= self.buffer.len() {
            self.clear();
        }
    }

    /// Reads on until `size` bytes are unread. Zero is the end, or no room.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let room = size.saturating_sub(self.buffer.len());
        self.buffer.reserve_exact(room);
        let read = pin!(self.stream.read_buf(&mut (&mut self.buffer).limit(room))).poll(cx);
        self.answered |= matches!(read, Poll::Ready(Ok(1..)));
        read
    }

    /// Reads past the buffer, which has to be empty.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        pin!(self.stream.read_buf(into)).poll(cx)
    }

    /// Neither closed nor sending what nobody asked for, as far as is known here.
    pub(super) fn is_quiet(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Gives back what a large answer made the buffer grow to.
    pub(super) fn shrink(&mut self) {
        self.clear();
        if self.buffer.capacity() > BUFFER {
            self.buffer = Vec::new();
        }
    }
}
