//! The raw copy loop: reads of 256 KiB from one socket, written to the other. It does not even
//! look for HTTP in them: each client's connection has an upstream connection of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::{Sockets, turn};

const READ: usize = 256 * 1024;

pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    turn(listen, Tunnels { open: slab::Slab::new(), upstream, spare: Vec::new() })
}

struct Tunnels {
    open: slab::Slab<Tunnel>,
    upstream: SocketAddr,
    /// As a rule one buffer serves all: it is given back as soon as it is written out.
    spare: Vec<Vec<u8>>,
}

impl Sockets for Tunnels {
    fn add(&mut self, client: TcpStream, registry: &Registry) -> std::io::Result<()> {
        let entry = self.open.vacant_entry();
        let tunnel = Tunnel::open(client, self.upstream, registry, entry.key())?;
        entry.insert(tunnel);
        Ok(())
    }

    fn ready(&mut self, token: Token) {
        // Two tokens each: the client's side and the upstream's.
        let key = token.0 / 2;
        let Some(tunnel) = self.open.get_mut(key) else { return };
        if tunnel.drive(&mut self.spare).is_err() {
            self.open.remove(key);
        }
    }
}

struct Tunnel {
    client: TcpStream,
    upstream: TcpStream,
    requests: Pipe,
    answers: Pipe,
}

impl Tunnel {
    fn open(
        mut client: TcpStream,
        upstream: SocketAddr,
        registry: &Registry,
        key: usize,
    ) -> std::io::Result<Self> {
        let stream = std::net::TcpStream::connect(upstream)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let mut upstream = TcpStream::from_std(stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut client, Token(key * 2), both)?;
        registry.register(&mut upstream, Token(key * 2 + 1), both)?;
        Ok(Self { client, upstream, requests: Pipe::default(), answers: Pipe::default() })
    }

    fn drive(&mut self, spare: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
        self.requests.copy(&mut self.client, &mut self.upstream, spare)?;
        self.answers.copy(&mut self.upstream, &mut self.client, spare)
    }
}

/// One direction, with what could not be written yet.
#[derive(Default)]
struct Pipe {
    left: Option<Left>,
}

struct Left {
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Pipe {
    fn copy(
        &mut self,
        from: &mut TcpStream,
        to: &mut TcpStream,
        spare: &mut Vec<Vec<u8>>,
    ) -> std::io::Result<()> {
        loop {
            if let Some(left) = &mut self.left {
                while let Some(rest @ [_, ..]) = left.buffer.get(left.from..left.to) {
                    match to.write(rest) {
                        Ok(count) => left.from += count,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
            }
            if let Some(left) = self.left.take() {
                // A short read emptied the socket: the next event says that there is more.
                let emptied = left.to < READ;
                spare.push(left.buffer);
                if emptied {
                    return Ok(());
                }
            }
            let mut buffer = spare.pop().unwrap_or_else(|| vec![0; READ]);
            match from.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(to) => self.left = Some(Left { buffer, from: 0, to }),
                Err(error) => {
                    spare.push(buffer);
                    return match error.kind() {
                        ErrorKind::WouldBlock => Ok(()),
                        _ => Err(error),
                    };
                }
            }
        }
    }
}
