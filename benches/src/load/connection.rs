//! One keep-alive connection of the load.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::Response;
use super::turn::Turn;

pub(super) struct Connection {
    stream: TcpStream,
    token: Token,
    out: Vec<u8>,
    sent: usize,
    asked: Instant,
    /// `None` between an answer and the next request.
    response: Option<Response>,
    /// Answers that this connection has brought.
    answered: u64,
}

impl Connection {
    pub(super) fn open(
        address: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            stream: connect(address, registry, token)?,
            token,
            out: Vec::new(),
            sent: 0,
            asked: Instant::now(),
            response: None,
            answered: 0,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.response.is_none()
    }

    pub(super) fn ask(&mut self, turn: &mut Turn<'_>) {
        turn.path.clear();
        (turn.request)(self.token.0, &mut turn.path);
        self.out.clear();
        self.out.extend_from_slice(b"GET ");
        self.out.extend_from_slice(turn.path.as_bytes());
        self.out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        let _ = write!(self.out, "{}", turn.address);
        self.out.extend_from_slice(b"\r\nUser-Agent: pitwall-benches\r\nAccept: */*\r\n\r\n");
        self.sent = 0;
        self.asked = Instant::now();
        self.response = Some(Response::default());
    }

    /// Does all that can be done without waiting.
    pub(super) fn drive(&mut self, turn: &mut Turn<'_>, registry: &Registry) -> anyhow::Result<()> {
        loop {
            if self.response.is_none() {
                if !turn.asking {
                    return Ok(());
                }
                self.ask(turn);
            }
            if !self.write()? || !self.read(turn, registry)? {
                return Ok(());
            }
        }
    }

    /// Whether the request is out.
    fn write(&mut self) -> anyhow::Result<bool> {
        while let Some(rest @ [_, ..]) = self.out.get(self.sent..) {
            match self.stream.write(rest) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                // The read says how the connection ended.
                Err(error) if is_gone(error.kind()) => return Ok(true),
                Err(error) => return Err(error).context("sending a request"),
            }
        }
        Ok(true)
    }

    /// Whether the answer is complete; otherwise more of it has to be waited for.
    fn read(&mut self, turn: &mut Turn<'_>, registry: &Registry) -> anyhow::Result<bool> {
        loop {
            let Some(response) = &mut self.response else { return Ok(true) };
            let discardable = usize::try_from(response.discardable()).unwrap_or(usize::MAX);
            let (buffer, flags) = match discardable {
                0 => (turn.head.as_mut_slice(), RecvFlags::empty()),
                most => {
                    let most = most.min(turn.sink.len());
                    (turn.sink.split_at_mut(most).0, RecvFlags::TRUNC)
                }
            };
            let room = buffer.len();
            let before = response.body;
            let count = match recv(&self.stream, &mut *buffer, flags) {
                Ok((_, count)) => count,
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET | Errno::PIPE) => 0,
                Err(error) => return Err(error).context("reading an answer"),
            };
            if count == 0 {
                if !response.has_begun() && self.answered > 0 {
                    // A kept connection that the server no longer wanted: asked again.
                    self.reconnect(turn, registry)?;
                    self.sent = 0;
                    self.write()?;
                    return Ok(false);
                }
                response.close()?;
                response.closes = true;
            } else {
                if !response.has_begun() {
                    turn.tally.first_byte.saturating_record(nanoseconds(self.asked));
                }
                if flags.is_empty() {
                    let (bytes, _) = buffer.split_at(count);
                    response.feed(bytes, &mut |_| {})?;
                } else {
                    response.discard(count as u64);
                }
            }
            turn.tally.bytes += response.body - before;
            if response.is_done() {
                return self.answered(turn, registry).map(|()| true);
            }
            // A short read emptied the socket: the next event says that there is more.
            if count < room {
                return Ok(false);
            }
        }
    }

    fn answered(&mut self, turn: &mut Turn<'_>, registry: &Registry) -> anyhow::Result<()> {
        let Some(response) = self.response.take() else { return Ok(()) };
        if response.status != 200 {
            bail!("status {}", response.status);
        }
        if !turn.expect.accepts(response.body) {
            bail!("{} bytes where {:?} were expected", response.body, turn.expect);
        }
        turn.tally.responses += 1;
        turn.tally.whole.saturating_record(nanoseconds(self.asked));
        self.answered += 1;
        if response.closes {
            self.reconnect(turn, registry)?;
        }
        Ok(())
    }

    fn reconnect(&mut self, turn: &Turn<'_>, registry: &Registry) -> anyhow::Result<()> {
        registry.deregister(&mut self.stream)?;
        self.stream = connect(turn.address, registry, self.token)?;
        self.answered = 0;
        Ok(())
    }
}

fn connect(address: SocketAddr, registry: &Registry, token: Token) -> anyhow::Result<TcpStream> {
    let stream = std::net::TcpStream::connect(address).context("connecting to the contender")?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let mut stream = TcpStream::from_std(stream);
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
