//! A viewer's connection: what Pingora reads from and writes to.
//!
//! - Pingora writes an answer's header and then its body, and its buffer sends the header on its
//!   own before a large write: a packet and a wake-up of the client for every answer. Here a small
//!   write waits for the one that follows and leaves with it.
//! - Between two segments a connection is idle, and thousands are. While it waits it is this and
//!   nothing more: what Pingora needs for a request is made when one comes.
//! - A request's header comes within [`HEADER`], however it is dripped.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// More than the header of any answer of ours.
const SMALL: usize = 2048;

/// How long a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(60);

/// How long the header of a request may take from its first byte on.
const HEADER: Duration = Duration::from_secs(10);

/// Gives an application its connections.
pub struct Connections<A>(Arc<A>);

impl<A> Connections<A> {
    pub fn to(app: A) -> Self {
        Self(Arc::new(app))
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Connections<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            // HTTP/2 gathers its frames itself.
            return self.0.process_new(stream, shutdown).await;
        }
        let mut connection = Box::new(Connection::new(stream));
        let mut settings = None;
        loop {
            let came = tokio::time::timeout(IDLE, connection.wait()).await;
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
            let (stream, kept) = self.0.process_new_http(session, shutdown).await?.consume();
            settings = kept;
            connection = stream.into_any().downcast().ok()?;
        }
    }

    async fn cleanup(&self) {
        self.0.http_cleanup().await;
    }
}

#[derive(Debug)]
struct Connection<S> {
    inner: S,
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
    fn new(inner: S) -> Self {
        Self { inner, ahead: Vec::new(), due: None, alarm: None, held: Vec::new() }
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
        self.due = Some(Instant::now() + HEADER);
        self.alarm = None;
        Ok(!self.ahead.is_empty())
    }

    async fn read_ahead(&mut self) -> io::Result<()> {
        let Self { inner, ahead, .. } = self;
        // A byte is all that is waited for, so that waiting takes no buffer; the rest of the
        // request is read along with it by whoever has one.
        let mut first = [0];
        let read = inner.read(&mut first).await?;
        ahead.extend_from_slice(first.get(..read).unwrap_or_default());
        Ok(())
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
        if self.held.len() + bytes.len() <= SMALL {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_send(cx, bytes)
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
            // What has come with it: a request is rarely longer than one read.
            if buffer.remaining() > 0
                && let Poll::Ready(Err(error)) = Pin::new(&mut self.inner).poll_read(cx, buffer)
            {
                return Poll::Ready(Err(error));
            }
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
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Takes a few bytes at a time, and remembers each write.
    #[derive(Debug, Default)]
    struct Sink {
        most: usize,
        writes: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Sink {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = all[..all.len().min(self.most)].to_vec();
            let length = taken.len();
            self.writes.push(taken);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_header_leaves_with_its_body() {
        let large = vec![b'b'; 3 * SMALL];
        for (what, most, writes, sent) in [
            ("a header and a body", usize::MAX, vec![&b"head"[..], &large], 1),
            ("a header alone, flushed", usize::MAX, vec![&b"head"[..]], 1),
            ("small pieces", usize::MAX, vec![&b"head"[..], b"body", b"more"], 1),
            ("a body in two pieces", usize::MAX, vec![&b"head"[..], &large, &large], 2),
            ("a peer that takes little", 1000, vec![&b"head"[..], &large], 7),
            ("one that takes less than the header", 3, vec![&b"header"[..], b"body"], 4),
            ("nothing", usize::MAX, vec![], 0),
        ] {
            let mut connection = Connection::new(Sink { most, ..Sink::default() });
            for bytes in &writes {
                connection.write_all(bytes).await.unwrap();
            }
            connection.flush().await.unwrap();
            assert_eq!(connection.inner.writes.concat(), writes.concat(), "{what}");
            assert_eq!(connection.inner.writes.len(), sent, "{what}");
        }
    }

    #[tokio::test]
    async fn a_request_is_read_whole_though_its_first_byte_was_waited_for() {
        for (text, room) in [("GET / HTTP/1.1", 64), ("GET / HTTP/1.1", 3), ("x", 1)] {
            let (mut client, server) = tokio::io::duplex(1024);
            client.write_all(text.as_bytes()).await.unwrap();
            let mut connection = Connection::new(server);
            assert!(connection.wait().await.unwrap());
            drop(client);
            let mut read = Vec::new();
            loop {
                let mut buffer = vec![0; room];
                match connection.read(&mut buffer).await.unwrap() {
                    0 => break,
                    length => read.extend_from_slice(&buffer[..length]),
                }
            }
            assert_eq!(read, text.as_bytes(), "{room} at a time");
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_not_a_request() {
        let (client, server) = tokio::io::duplex(64);
        drop(client);
        assert!(!Connection::new(server).wait().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_drips_ends_at_its_deadline() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(server);
        client.write_all(b"G").await.unwrap();
        assert!(connection.wait().await.unwrap());
        let started = Instant::now();
        let drip = async {
            loop {
                tokio::time::sleep(Duration::from_secs(3)).await;
                client.write_all(b"x").await.unwrap();
            }
        };
        let reads = async {
            let mut buffer = [0; 8];
            loop {
                if let Err(error) = connection.read(&mut buffer).await {
                    return error.kind();
                }
            }
        };
        tokio::select! {
            ended = reads => assert_eq!(ended, io::ErrorKind::TimedOut),
            () = drip => {}
        }
        assert_eq!(started.elapsed(), HEADER);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_is_not_due() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut connection = Connection::new(server);
        client.write_all(b"G").await.unwrap();
        assert!(connection.wait().await.unwrap());
        connection.write_all(b"answer").await.unwrap();
        connection.flush().await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(connection.read(&mut buffer).await.unwrap(), 1);
        let more = tokio::time::timeout(10 * HEADER, connection.read(&mut buffer)).await;
        assert!(more.is_err(), "it waits for what comes next");
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_gone() {
        let mut connection = Connection::new(Sink::default());
        connection.write_all(b"head").await.unwrap();
        assert_eq!(connection.flush().await.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
