//! A viewer's connection, as Pingora reads from it and writes to it.
//!
//! - Write coalescing: Pingora writes a response's header and then its body, and its buffer sends
//!   the header on its own before a large write, which costs a packet and a wake-up of the client
//!   per response. Here a small write waits for the next one and is sent with it.
//! - Memory: thousands of connections are idle between two segments. An idle connection holds only
//!   this module's state; Pingora's state for a request is made when the request arrives.
//! - Deadlines: a request's header arrives within its deadline, however slowly it is dripped, and
//!   so does what precedes it: the first byte, the TLS handshake and the HTTP/2 preface. The deadline
//!   ends with the header: a body, a response and the wait for the next request have their own.
//! - Permits: [`ClientLimiter`] limits the connections, and each takes its permit before the TLS
//!   handshake, so that a client which never completes one holds no more open files than others. A
//!   connection without a permit is closed before the next is accepted.
//! - Frames: a client of HTTP/2 that sends more frames than [`FrameBudget`] allows is disconnected. A
//!   trusted proxy, whose connection carries many clients, has no such limit.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::edge_settings::CurrentSettings;
use crate::http::client_address::ClientAddresses;
use crate::http::limits::{ClientLimiter, ClientNetwork};
use frame_budget::FrameBudget;

mod frame_budget;

/// The largest write that is held back: more than the header of any response of the edge.
const BUFFERED_WRITE_MAX_BYTES: usize = 2048;

/// How much is read at once: a request's header hardly ever exceeds it.
const READ_BUFFER_BYTES: usize = 2048;

/// Length of the client's connection preface (RFC 9113, section 3.4).
const HTTP2_PREFACE_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// How long a connection may wait for its next request.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Limits, secures and times a listener's connections before the HTTP application gets them.
pub struct ConnectionHandler<A> {
    app: Arc<A>,
    limiter: Arc<ClientLimiter>,
    settings: CurrentSettings,
    /// `None` for a plaintext listener.
    tls: Option<Acceptor>,
}

impl<A> ConnectionHandler<A> {
    pub fn new(
        app: A,
        limiter: Arc<ClientLimiter>,
        settings: CurrentSettings,
        tls: Option<Acceptor>,
    ) -> Self {
        Self { app: Arc::new(app), limiter, settings, tls }
    }

    /// The client at the other end; `None` for a trusted proxy, which has no limit per client.
    fn client_of(client_addresses: &ClientAddresses, stream: &Stream) -> Option<ClientNetwork> {
        let socket = stream.get_socket_digest();
        let peer = socket.as_ref().and_then(|socket| socket.peer_addr()?.as_inet());
        let peer =
            peer.map(SocketAddr::ip).filter(|peer| !client_addresses.is_trusted_proxy(*peer));
        peer.map(ClientNetwork::from)
    }

    /// Completes the TLS handshake within the header timeout, if this listener has TLS; `None` when
    /// that fails. Pingora's own handshake precedes the permit and may take a minute.
    async fn accept_tls(&self, timeout: Duration, stream: Stream) -> Option<Stream> {
        let Some(tls) = &self.tls else { return Some(stream) };
        let socket: Box<Socket> = stream.into_any().downcast().ok()?;
        let handshake = tls.tls_handshake(*socket);
        match tokio::time::timeout(timeout, handshake).await {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake did not end in time");
                None
            }
        }
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for ConnectionHandler<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let settings = self.settings.get();
        let client = Self::client_of(&settings.client_addresses, &stream);
        // `None` when a limit of connections is reached.
        let _permit = self.limiter.acquire_connection(&settings.limits, client)?;
        let header_timeout = settings.limits.header;
        // A connection may last for hours, and settings that were replaced take memory.
        drop(settings);
        let stream = self.accept_tls(header_timeout, stream).await?;
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            let budget = client.map(|_| FrameBudget::new(HTTP2_PREFACE_BYTES));
            let mut connection = Box::new(Connection::new_http2(stream, budget));
            let preface = connection.wait_for_preface();
            let arrived = tokio::time::timeout(header_timeout, preface).await;
            if !matches!(arrived, Ok(Ok(true))) {
                return None;
            }
            return self.app.process_new(connection, shutdown).await;
        }
        let mut connection = Box::new(Connection::new(stream, header_timeout));
        // The first request must begin within the header timeout; only after it does the connection
        // get the keep-alive timeout of a player between two segments.
        let mut idle_timeout = header_timeout;
        loop {
            let arrived = tokio::time::timeout(idle_timeout, connection.wait_for_request()).await;
            idle_timeout = KEEPALIVE_TIMEOUT;
            if !matches!(arrived, Ok(Ok(true))) {
                return None;
            }
            let mut session = ServerSession::new_http1(connection);
            // Without a timeout of Pingora's, as the header has its deadline here.
            session.set_keepalive(Some(0));
            // Otherwise Pingora drops requests that have arrived behind this one (RFC 9112, 9.3.2).
            session.set_pipelining_enabled(true);
            let (stream, _) = self.app.process_new_http(session, shutdown).await?.consume();
            connection = stream.into_any().downcast().ok()?;
        }
    }

    /// Does nothing, as the listener is closed while viewers are served: Pingora would drop each
    /// connection on which a request has arrived in part.
    async fn cleanup(&self) {}
}

/// Gives a connection back what was read of its next request; `None` for a stream that is no [`Connection`].
pub(super) fn unread(stream: Stream, next_request: Option<BytesMut>) -> Option<Stream> {
    let Some(bytes) = next_request else { return Some(stream) };
    let mut connection: Box<Connection<Stream>> = stream.into_any().downcast().ok()?;
    connection.read_buffer.splice(..0, bytes);
    Some(connection)
}

/// A connection that coalesces small writes and enforces the deadline of a request's header.
#[derive(Debug)]
struct Connection<S> {
    inner: S,
    /// Up to this many bytes written are held back until the next write or flush; 0: none are.
    buffered_write_max: usize,
    /// How long a request's header may take from its first byte on.
    header_timeout: Duration,
    /// Bytes that were read while waiting for a request and that Pingora has not read yet.
    read_buffer: Vec<u8>,
    /// When the header that has begun must be complete; `None` once it is, or once its response is
    /// being written.
    header_deadline: Option<Instant>,
    /// How much of the header Pingora has read.
    header_position: HeaderPosition,
    /// The timer of `header_deadline`, made only when a header does not arrive in one read, which
    /// is rare.
    deadline_timer: Option<Pin<Box<Sleep>>>,
    /// Bytes that Pingora has written and that are held back.
    write_buffer: Vec<u8>,
    /// `None` for HTTP/1, and for a trusted proxy.
    frame_budget: Option<FrameBudget>,
}

/// A position in the header of a request, which ends with an empty line.
#[derive(Clone, Copy, Debug)]
enum HeaderPosition {
    /// Empty lines may precede the request line (RFC 9112, 2.2).
    BeforeRequestLine,
    InLine,
    LineStart,
}

impl HeaderPosition {
    /// Advances by the next bytes; true once the header has ended.
    fn advance(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let read = match self {
                Self::BeforeRequestLine => {
                    let is_line = |byte: &u8| !matches!(byte, b'\r' | b'\n');
                    let Some(at) = bytes.iter().position(is_line) else { return false };
                    *self = Self::InLine;
                    at
                }
                Self::InLine => {
                    let Some(at) = memchr::memchr(b'\n', bytes) else { return false };
                    *self = Self::LineStart;
                    at + 1
                }
                Self::LineStart => match bytes.first() {
                    None => return false,
                    Some(b'\n') => return true,
                    Some(b'\r') => 1,
                    Some(_) => {
                        *self = Self::InLine;
                        0
                    }
                },
            };
            bytes = bytes.get(read..).unwrap_or_default();
        }
    }
}

impl<S> Connection<S> {
    fn new(inner: S, header_timeout: Duration) -> Self {
        Self {
            inner,
            buffered_write_max: BUFFERED_WRITE_MAX_BYTES,
            header_timeout,
            read_buffer: Vec::new(),
            header_deadline: None,
            header_position: HeaderPosition::BeforeRequestLine,
            deadline_timer: None,
            write_buffer: Vec::new(),
            frame_budget: None,
        }
    }

    /// A connection that speaks HTTP/2, whose implementation buffers frames itself and whose
    /// requests share the connection: no write is held back and no header deadline is set.
    fn new_http2(inner: S, frame_budget: Option<FrameBudget>) -> Self {
        Self { buffered_write_max: 0, frame_budget, ..Self::new(inner, KEEPALIVE_TIMEOUT) }
    }

    /// Counts what a write has sent; gives the result of the write.
    fn count_written(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(bytes)), Some(budget)) = (&written, &mut self.frame_budget) {
            budget.credit_written_bytes(*bytes);
        }
        written
    }

    /// Moves bytes from the read buffer to `buffer`; false when there are none.
    fn copy_from_read_buffer(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.read_buffer.is_empty() {
            return false;
        }
        let taken = self.read_buffer.len().min(buffer.remaining());
        buffer.put_slice(self.read_buffer.get(..taken).unwrap_or_default());
        self.read_buffer.drain(..taken);
        if self.read_buffer.is_empty() {
            self.read_buffer = Vec::new();
        }
        true
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Waits for the first bytes of a request; false when the client has disconnected.
    async fn wait_for_request(&mut self) -> io::Result<bool> {
        if self.read_buffer.is_empty() {
            self.read_into_buffer().await?;
        }
        self.header_deadline = Some(Instant::now() + self.header_timeout);
        self.header_position = HeaderPosition::BeforeRequestLine;
        self.deadline_timer = None;
        Ok(!self.read_buffer.is_empty())
    }

    /// Waits for as many bytes as the HTTP/2 preface has, without checking them; false when the
    /// client has disconnected.
    async fn wait_for_preface(&mut self) -> io::Result<bool> {
        while self.read_buffer.len() < HTTP2_PREFACE_BYTES {
            let before = self.read_buffer.len();
            self.read_into_buffer().await?;
            if self.read_buffer.len() == before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn read_into_buffer(&mut self) -> io::Result<()> {
        let Self { inner, read_buffer, .. } = self;
        poll_fn(|context| {
            // On the stack of each poll: a connection that waits holds no buffer.
            let mut buffer = [MaybeUninit::uninit(); READ_BUFFER_BYTES];
            let mut read = ReadBuf::uninit(&mut buffer);
            ready!(Pin::new(&mut *inner).poll_read(context, &mut read))?;
            read_buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Ends the header's deadline where `bytes`, which Pingora reads now, hold the header's end.
    fn end_deadline_with_header(&mut self, bytes: &[u8]) {
        if self.header_deadline.is_some() && self.header_position.advance(bytes) {
            (self.header_deadline, self.deadline_timer) = (None, None);
        }
    }

    /// Ready with a timeout error once the header's deadline has passed.
    fn poll_header_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(deadline) = self.header_deadline else { return Poll::Pending };
        let timer = self.deadline_timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Sends the write buffer together with `more`; gives how many bytes of `more` were sent.
    fn poll_write_buffered(
        &mut self,
        cx: &mut Context<'_>,
        more: &[u8],
    ) -> Poll<io::Result<usize>> {
        while !self.write_buffer.is_empty() {
            let both = [IoSlice::new(&self.write_buffer), IoSlice::new(more)];
            let sent = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &both))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(sent_of_more) = sent.checked_sub(self.write_buffer.len()) {
                // The buffer's memory is freed, so that an idle connection holds none.
                self.write_buffer = Vec::new();
                if sent_of_more > 0 {
                    return Poll::Ready(Ok(sent_of_more));
                }
            } else {
                self.write_buffer.drain(..sent);
            }
        }
        if more.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, more);
        self.count_written(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        (self.header_deadline, self.deadline_timer) = (None, None);
        if self.write_buffer.len() + bytes.len() <= self.buffered_write_max {
            self.write_buffer.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_write_buffered(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.buffered_write_max == 0 {
            let written = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
            return self.count_written(written);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.buffered_write_max == 0 && self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_buffered(cx, &[]))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_buffered(cx, &[]))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        if !self.copy_from_read_buffer(buffer) {
            match Pin::new(&mut self.inner).poll_read(cx, buffer) {
                Poll::Pending => return self.poll_header_deadline(cx).map(Err),
                Poll::Ready(read) => read?,
            }
        }
        let bytes = buffer.filled().get(filled..).unwrap_or_default();
        self.end_deadline_with_header(bytes);
        if self.frame_budget.as_mut().is_some_and(|budget| !budget.count_frames(bytes)) {
            tracing::debug!("a client of HTTP/2 sent too many frames");
            return Poll::Ready(Err(io::Error::other("more frames than a client may send")));
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for Connection<Stream> {
    async fn shutdown(&mut self) {
        // Flushing fails when the peer has disconnected, and then nothing is lost.
        let _ = tokio::io::AsyncWriteExt::flush(self).await;
        self.inner.shutdown().await;
    }
}

impl UniqueID for Connection<Stream> {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Connection<Stream> {
    fn get_ssl_digest(&self) -> Option<Arc<pingora::protocols::tls::SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Connection<Stream> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Connection<Stream> {
    fn get_proxy_digest(&self) -> Option<Arc<pingora::protocols::raw_connect::ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for Connection<Stream> {
    fn get_socket_digest(&self) -> Option<Arc<pingora::protocols::SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl Peek for Connection<Stream> {}

#[cfg(test)]
mod tests;
