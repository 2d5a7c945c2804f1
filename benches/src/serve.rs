//! The program's own servers: minimal HTTP on one thread, with bodies from memory.
//!
//! - [`ceiling`]: serves files from memory: the upper bound for a proxy, which has more to do.
//! - [`origin`]: generates playlists and segments, and counts requests per path.
//! - [`copy`]: copies bytes between two sockets, the least that a relay must do.

pub(crate) mod ceiling;
pub(crate) mod copy;
pub(crate) mod origin;

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;

use anyhow::Context;
use bytes::{Buf, Bytes};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

/// The response to a path: its header section and its content.
pub(crate) struct RawResponse {
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
}

impl RawResponse {
    pub(crate) fn new(status: &str, content_type: &str, body: Bytes) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self { head: head.into(), body }
    }

    /// A response whose content is `first`, made for this response, and `second`, which is large
    /// and shared, so that it is not copied.
    fn from_pieces(content_type: &str, first: &str, second: Bytes) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{first}",
            first.len() + second.len()
        );
        Self { head: head.into(), body: second }
    }
}

/// Answers every request with `respond` of its path, until the process is ended.
pub(crate) fn serve(
    listen: SocketAddr,
    respond: impl FnMut(&str) -> RawResponse,
) -> anyhow::Result<()> {
    run_event_loop(listen, HttpConnections { connections: slab::Slab::new(), respond })
}

/// Handles the sockets of a server's event loop.
trait SocketHandler {
    fn add_client(&mut self, stream: TcpStream, registry: &Registry) -> std::io::Result<()>;
    fn on_ready(&mut self, token: Token);
}

/// Accepts connections and dispatches socket events until the process is ended.
fn run_event_loop(listen: SocketAddr, mut sockets: impl SocketHandler) -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    poll.registry().register(&mut listener, LISTENER_TOKEN, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER_TOKEN {
                accept_all(&listener, |stream| sockets.add_client(stream, poll.registry()))?;
            } else {
                sockets.on_ready(event.token());
            }
        }
    }
}

const LISTENER_TOKEN: Token = Token(usize::MAX - 1);

struct HttpConnections<F> {
    connections: slab::Slab<Connection>,
    respond: F,
}

impl<F: FnMut(&str) -> RawResponse> SocketHandler for HttpConnections<F> {
    fn add_client(&mut self, mut stream: TcpStream, registry: &Registry) -> std::io::Result<()> {
        let entry = self.connections.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(entry.key()), both)?;
        entry.insert(Connection::new(stream));
        Ok(())
    }

    fn on_ready(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token.0) else { return };
        if connection.drive(&mut self.respond).is_err() {
            self.connections.remove(token.0);
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    mut add: impl FnMut(TcpStream) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                add(stream)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accepting"),
        }
    }
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    head: Bytes,
    body: Bytes,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, request: Vec::new(), head: Bytes::new(), body: Bytes::new() }
    }

    /// Reads requests and writes responses until the socket would block; an error means that the
    /// connection has ended.
    fn drive(&mut self, respond: &mut impl FnMut(&str) -> RawResponse) -> std::io::Result<()> {
        loop {
            while self.head.has_remaining() || self.body.has_remaining() {
                let both = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
                match self.stream.write_vectored(&both) {
                    Ok(count) => {
                        let head_bytes = count.min(self.head.len());
                        self.head.advance(head_bytes);
                        self.body.advance(count - head_bytes);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            match self.take_request_path()? {
                Some(path) => RawResponse { head: self.head, body: self.body } = respond(&path),
                None => return Ok(()),
            }
        }
    }

    fn take_request_path(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some(end) = find_head_end(&self.request) {
                let path = parse_path(&self.request).ok_or(ErrorKind::InvalidData)?;
                self.request.drain(..end);
                return Ok(Some(path));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    let (bytes, _) = buffer.split_at(count);
                    self.request.extend_from_slice(bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn find_head_end(request: &[u8]) -> Option<usize> {
    request.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn parse_path(request: &[u8]) -> Option<String> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let path = line.split(|byte| *byte == b' ').nth(1)?;
    String::from_utf8(path.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_parsed() {
        let request = b"GET /live.m3u8?n=1 HTTP/1.1\r\nHost: x\r\n\r\nGET";
        assert_eq!(parse_path(request).as_deref(), Some("/live.m3u8?n=1"));
        assert_eq!(find_head_end(request), Some(request.len() - 3));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(parse_path(b"GET"), None);
    }
}
