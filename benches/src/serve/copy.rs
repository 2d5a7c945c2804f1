//! The raw copy loop: reads up to 256 KiB from one socket and writes them to the other. It does not
//! parse HTTP: each client connection has its own upstream connection.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::{SocketHandler, run_event_loop};

const READ_BUFFER_BYTES: usize = 256 * 1024;

pub(crate) fn run(listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    run_event_loop(
        listen,
        SocketPairs { tunnels: slab::Slab::new(), upstream, spare_buffers: Vec::new() },
    )
}

struct SocketPairs {
    tunnels: slab::Slab<SocketPair>,
    upstream: SocketAddr,
    /// Buffers not in use. Usually one buffer serves all tunnels, since a buffer is returned as
    /// soon as it is written out.
    spare_buffers: Vec<Vec<u8>>,
}

impl SocketHandler for SocketPairs {
    fn add_client(&mut self, client: TcpStream, registry: &Registry) -> std::io::Result<()> {
        let entry = self.tunnels.vacant_entry();
        let tunnel = SocketPair::open(client, self.upstream, registry, entry.key())?;
        entry.insert(tunnel);
        Ok(())
    }

    fn on_ready(&mut self, token: Token) {
        // Each tunnel has two tokens: the client's socket and the upstream's.
        let key = token.0 / 2;
        let Some(tunnel) = self.tunnels.get_mut(key) else { return };
        if tunnel.drive(&mut self.spare_buffers).is_err() {
            self.tunnels.remove(key);
        }
    }
}

struct SocketPair {
    client: TcpStream,
    upstream: TcpStream,
    request_pipe: Pipe,
    response_pipe: Pipe,
}

impl SocketPair {
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
        Ok(Self { client, upstream, request_pipe: Pipe::default(), response_pipe: Pipe::default() })
    }

    fn drive(&mut self, spare_buffers: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
        self.request_pipe.copy(&mut self.client, &mut self.upstream, spare_buffers)?;
        self.response_pipe.copy(&mut self.upstream, &mut self.client, spare_buffers)
    }
}

/// One direction of a tunnel, with the bytes that could not be written yet.
#[derive(Default)]
struct Pipe {
    unwritten: Option<UnwrittenBytes>,
}

struct UnwrittenBytes {
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Pipe {
    fn copy(
        &mut self,
        from: &mut TcpStream,
        to: &mut TcpStream,
        spare_buffers: &mut Vec<Vec<u8>>,
    ) -> std::io::Result<()> {
        loop {
            if let Some(left) = &mut self.unwritten {
                while let Some(rest @ [_, ..]) = left.buffer.get(left.from..left.to) {
                    match to.write(rest) {
                        Ok(count) => left.from += count,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
            }
            if let Some(left) = self.unwritten.take() {
                // A short read emptied the socket, so the next readiness event announces more.
                let is_socket_empty = left.to < READ_BUFFER_BYTES;
                spare_buffers.push(left.buffer);
                if is_socket_empty {
                    return Ok(());
                }
            }
            let mut buffer = spare_buffers.pop().unwrap_or_else(|| vec![0; READ_BUFFER_BYTES]);
            match from.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.unwritten = Some(UnwrittenBytes { buffer, from: 0, to: count }),
                Err(error) => {
                    spare_buffers.push(buffer);
                    return match error.kind() {
                        ErrorKind::WouldBlock => Ok(()),
                        _ => Err(error),
                    };
                }
            }
        }
    }
}
