//! Servers of our own: the least that HTTP takes, one thread, bodies from memory.
//!
//! - [`ceiling`]: files from memory, which is all that a proxy without any work could do.
//! - [`origin`]: playlists that move, and a count of who asked for what.
//! - [`copy`]: a loop that moves bytes between two sockets, which is all that a relay must do.

pub(crate) mod ceiling;
pub(crate) mod copy;
pub(crate) mod origin;

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;

use anyhow::Context;
use bytes::{Buf, Bytes};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

/// What is sent for a path.
pub(crate) struct Answer {
    pub(crate) head: Bytes,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn new(status: &str, content_type: &str, body: Bytes) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self { head: head.into(), body }
    }

    /// A body whose first piece is made anew each time and whose second is large and is not.
    fn pieces(content_type: &str, first: &str, second: Bytes) -> Self {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{first}",
            first.len() + second.len()
        );
        Self { head: head.into(), body: second }
    }
}

/// Answers every request with what `answer` has for its path, until the process is ended.
pub(crate) fn serve(listen: SocketAddr, answer: impl FnMut(&str) -> Answer) -> anyhow::Result<()> {
    turn(listen, Answering { connections: slab::Slab::new(), answer })
}

/// What a server does with its sockets.
trait Sockets {
    fn add(&mut self, stream: TcpStream, registry: &Registry) -> std::io::Result<()>;
    fn ready(&mut self, token: Token);
}

/// Waits for sockets until the process is ended.
fn turn(listen: SocketAddr, mut sockets: impl Sockets) -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, |stream| sockets.add(stream, poll.registry()))?;
            } else {
                sockets.ready(event.token());
            }
        }
    }
}

const LISTENER: Token = Token(usize::MAX - 1);

struct Answering<F> {
    connections: slab::Slab<Connection>,
    answer: F,
}

impl<F: FnMut(&str) -> Answer> Sockets for Answering<F> {
    fn add(&mut self, mut stream: TcpStream, registry: &Registry) -> std::io::Result<()> {
        let entry = self.connections.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(entry.key()), both)?;
        entry.insert(Connection::new(stream));
        Ok(())
    }

    fn ready(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token.0) else { return };
        if connection.drive(&mut self.answer).is_err() {
            self.connections.remove(token.0);
        }
    }
}

fn accept(
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

    /// Does all that can be done without waiting; an error means that it is over.
    fn drive(&mut self, answer: &mut impl FnMut(&str) -> Answer) -> std::io::Result<()> {
        loop {
            while self.head.has_remaining() || self.body.has_remaining() {
                let both = [IoSlice::new(&self.head), IoSlice::new(&self.body)];
                match self.stream.write_vectored(&both) {
                    Ok(count) => {
                        let of_head = count.min(self.head.len());
                        self.head.advance(of_head);
                        self.body.advance(count - of_head);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            match self.take_request()? {
                Some(path) => Answer { head: self.head, body: self.body } = answer(&path),
                None => return Ok(()),
            }
        }
    }

    fn take_request(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some(end) = find_end(&self.request) {
                let path = path_of(&self.request).ok_or(ErrorKind::InvalidData)?;
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

fn find_end(request: &[u8]) -> Option<usize> {
    request.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn path_of(request: &[u8]) -> Option<String> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let path = line.split(|byte| *byte == b' ').nth(1)?;
    String::from_utf8(path.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_apart() {
        let request = b"GET /live.m3u8?n=1 HTTP/1.1\r\nHost: x\r\n\r\nGET";
        assert_eq!(path_of(request).as_deref(), Some("/live.m3u8?n=1"));
        assert_eq!(find_end(request), Some(request.len() - 3));
        assert_eq!(find_end(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(path_of(b"GET"), None);
    }
}
