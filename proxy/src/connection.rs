//! A viewer's connection: what Pingora reads from and writes to.
//!
//! - Pingora writes an answer's header and then its body, and its buffer sends the header on its
//!   own before a large write: a packet and a wake-up of the client for every answer. Here a small
//!   write waits for the one that follows and leaves with it.
//! - Between two segments a connection is idle, and thousands are. While it waits it is this and
//!   nothing more: what Pingora needs for a request is made when one comes.
//! - A request's header comes within its deadline, however it is dripped, and so does what comes
//!   before it: the first byte, the handshake of TLS and the preface of HTTP/2.
//! - There are no more of them than [`Limits`] have places for, and each has its place before the
//!   handshake: whoever never ends one takes no more open files than anybody else. Who finds none
//!   is closed before the next is accepted.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::listeners::ConnectionFilter;
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

use crate::client::Clients;
use crate::limits::{Client, Limits, Place};

/// More than the header of any answer of ours.
const SMALL: usize = 2048;

/// What a request's header hardly ever exceeds: read at once, and more when it does.
const REQUEST: usize = 2048;

/// Of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// How long a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(60);

/// Lets each connection find its place before the next is accepted. Pingora gives each to a task and
/// accepts on: of a burst it would hold more than there are open files, and then accept nothing for
/// a second.
#[derive(Debug)]
pub struct OneByOne;

#[async_trait]
impl ConnectionFilter for OneByOne {
    async fn should_accept(&self, _: Option<&SocketAddr>) -> bool {
        tokio::task::yield_now().await;
        true
    }
}

/// Gives an application its connections.
pub struct Connections<A> {
    app: Arc<A>,
    limits: Arc<Limits>,
    clients: Arc<Clients>,
    /// Without it the listener is plaintext.
    tls: Option<Acceptor>,
}

impl<A> Connections<A> {
    pub fn to(app: A, limits: Arc<Limits>, clients: Arc<Clients>, tls: Option<Acceptor>) -> Self {
        Self { app: Arc::new(app), limits, clients, tls }
    }

    /// `None` when there is no room for one more.
    fn place(&self, stream: &Stream) -> Option<Place> {
        let socket = stream.get_socket_digest();
        let peer = socket.as_ref().and_then(|socket| socket.peer_addr()?.as_inet());
        let peer = peer.map(SocketAddr::ip).filter(|peer| !self.clients.trusts(*peer));
        self.limits.connect(peer.map(Client::from))
    }

    /// Through the handshake, if this listener has TLS. Pingora would do it before anybody could
    /// say that there is no place, and gives it a minute.
    async fn secured(&self, stream: Stream) -> Option<Stream> {
        let Some(tls) = &self.tls else { return Some(stream) };
        let socket: Box<Socket> = stream.into_any().downcast().ok()?;
        let handshake = tls.tls_handshake(*socket);
        match tokio::time::timeout(self.limits.header(), handshake).await {
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
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Connections<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        // Who finds none is not waited for.
        let _place = self.place(&stream)?;
        let stream = self.secured(stream).await?;
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            let mut connection = Box::new(Connection::of_http2(stream));
            let preface = connection.wait_for_preface();
            let came = tokio::time::timeout(self.limits.header(), preface).await;
            if !matches!(came, Ok(Ok(true))) {
                return None;
            }
            return self.app.process_new(connection, shutdown).await;
        }
        let mut connection = Box::new(Connection::new(stream, self.limits.header()));
        let mut settings = None;
        // A connection that has asked for nothing yet has no claim to the patience of a player
        // between two segments.
        let mut patience = self.limits.header();
        loop {
            let came = tokio::time::timeout(patience, connection.wait()).await;
            patience = IDLE;
            if !matches!(came, Ok(Ok(true))) {
                return None;
            }
            let mut session = ServerSession::new_http1(connection);
            if *shutdown.borrow() {
                session.set_keepalive(None);
            } else {
                session.set_keepalive(Some(IDLE.as_secs()));
            }
            if let Some(settings) = settings.take() {
                pingora::apps::HttpPersistentSettings::apply_to_session(settings, &mut session);
            }
            let (stream, kept) = self.app.process_new_http(session, shutdown).await?.consume();
            settings = kept;
            connection = stream.into_any().downcast().ok()?;
        }
    }

    async fn cleanup(&self) {
        self.app.http_cleanup().await;
    }
}

#[derive(Debug)]
struct Connection<S> {
    inner: S,
    /// A write that is not longer waits for the one that follows. 0: none does.
    small: usize,
    /// How long the header of a request may take from its first byte on.
    header: Duration,
    /// Read while waiting for a request, and not yet taken.
    ahead: Vec<u8>,
    /// Until when the header that has begun must be complete. Nothing is due once it is answered.
    due: Option<Instant>,
    /// Made when a header does not come at once, which nearly all do.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Written by whoever uses the connection, and not yet sent.
    held: Vec<u8>,
}

impl<S> Connection<S> {
    fn new(inner: S, header: Duration) -> Self {
        let (ahead, held) = Default::default();
        Self { inner, small: SMALL, header, ahead, due: None, alarm: None, held }
    }

    /// HTTP/2 gathers its frames itself, and its requests have no header of their own to wait for.
    fn of_http2(inner: S) -> Self {
        Self { small: 0, ..Self::new(inner, IDLE) }
    }

    /// Takes what was read ahead.
    fn take_ahead(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.ahead.is_empty() {
            return false;
        }
        let taken = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.get(..taken).unwrap_or_default());
        self.ahead.drain(..taken);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        true
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Until the first bytes of a request are here; false when the client has left.
    async fn wait(&mut self) -> io::Result<bool> {
        if self.ahead.is_empty() {
            self.read_ahead().await?;
        }
        self.due = Some(Instant::now() + self.header);
        self.alarm = None;
        Ok(!self.ahead.is_empty())
    }

    /// Until the preface of HTTP/2 is here, whatever it says; false when the client has left.
    async fn wait_for_preface(&mut self) -> io::Result<bool> {
        while self.ahead.len() < PREFACE {
            let before = self.ahead.len();
            self.read_ahead().await?;
            if self.ahead.len() == before {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn read_ahead(&mut self) -> io::Result<()> {
        let Self { inner, ahead, .. } = self;
        poll_fn(|context| {
            // On the stack, and only while there is something to read: waiting takes no buffer.
            let mut room = [MaybeUninit::uninit(); REQUEST];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut *inner).poll_read(context, &mut read))?;
            ahead.extend_from_slice(read.filled());
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(due) = self.due else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        alarm.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    /// Sends what is held, together with `more`; says how much of that was taken.
    fn poll_send(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            let both = [IoSlice::new(&self.held), IoSlice::new(more)];
            let sent = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &both))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(taken) = sent.checked_sub(self.held.len()) {
                // An idle connection holds no memory for the next header.
                self.held = Vec::new();
                if taken > 0 {
                    return Poll::Ready(Ok(taken));
                }
            } else {
                self.held.drain(..sent);
            }
        }
        if more.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pin::new(&mut self.inner).poll_write(cx, more)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        (self.due, self.alarm) = (None, None);
        if self.held.len() + bytes.len() <= self.small {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.small == 0 {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.small == 0 && self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx, &[]))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.take_ahead(buffer) {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            Poll::Pending => self.poll_due(cx).map(Err),
            read => read,
        }
    }
}

#[async_trait]
impl Shutdown for Connection<Stream> {
    async fn shutdown(&mut self) {
        // A peer that is gone does not miss it.
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
