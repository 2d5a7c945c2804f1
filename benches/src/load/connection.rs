//! One keep-alive connection of the load generator.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::ResponseParser;
use super::load_state::LoadState;

pub(super) struct Connection {
    stream: TcpStream,
    token: Token,
    request_bytes: Vec<u8>,
    sent_bytes: usize,
    requested_at: Instant,
    /// The response being read; `None` between a response and the next request.
    response: Option<ResponseParser>,
    /// Responses received on this TCP connection.
    response_count: u64,
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
            request_bytes: Vec::new(),
            sent_bytes: 0,
            requested_at: Instant::now(),
            response: None,
            response_count: 0,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.response.is_none()
    }

    pub(super) fn start_request(&mut self, state: &mut LoadState<'_>) {
        state.path.clear();
        (state.write_path)(self.token.0, &mut state.path);
        self.request_bytes.clear();
        self.request_bytes.extend_from_slice(b"GET ");
        self.request_bytes.extend_from_slice(state.path.as_bytes());
        self.request_bytes.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        let _ = write!(self.request_bytes, "{}", state.address);
        self.request_bytes
            .extend_from_slice(b"\r\nUser-Agent: pitwall-benches\r\nAccept: */*\r\n\r\n");
        self.sent_bytes = 0;
        self.requested_at = Instant::now();
        self.response = Some(ResponseParser::default());
    }

    /// Writes requests and reads responses until the socket would block.
    pub(super) fn drive(
        &mut self,
        state: &mut LoadState<'_>,
        registry: &Registry,
    ) -> anyhow::Result<()> {
        loop {
            if self.response.is_none() {
                if !state.is_repeating {
                    return Ok(());
                }
                self.start_request(state);
            }
            if !self.write_request()? || !self.read_response(state, registry)? {
                return Ok(());
            }
        }
    }

    /// Writes the request; whether all of it is written.
    fn write_request(&mut self) -> anyhow::Result<bool> {
        while let Some(rest @ [_, ..]) = self.request_bytes.get(self.sent_bytes..) {
            match self.stream.write(rest) {
                Ok(count) => self.sent_bytes += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                // The following read finds out how the connection ended.
                Err(error) if is_disconnect(error.kind()) => return Ok(true),
                Err(error) => return Err(error).context("sending a request"),
            }
        }
        Ok(true)
    }

    /// Reads the response; whether it is complete. Otherwise the socket would block.
    fn read_response(
        &mut self,
        state: &mut LoadState<'_>,
        registry: &Registry,
    ) -> anyhow::Result<bool> {
        loop {
            let Some(response) = &mut self.response else { return Ok(true) };
            let discardable = usize::try_from(response.discardable_bytes()).unwrap_or(usize::MAX);
            let (buffer, flags) = match discardable {
                0 => (state.head_buffer.as_mut_slice(), RecvFlags::empty()),
                length => {
                    let length = length.min(state.discard_buffer.len());
                    (state.discard_buffer.split_at_mut(length).0, RecvFlags::TRUNC)
                }
            };
            let capacity = buffer.len();
            let body_bytes_before = response.body_bytes;
            let count = match recv(&self.stream, &mut *buffer, flags) {
                Ok((_, count)) => count,
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET | Errno::PIPE) => 0,
                Err(error) => return Err(error).context("reading an answer"),
            };
            if count == 0 {
                if !response.has_started() && self.response_count > 0 {
                    // The server closed an idle keep-alive connection: the request is sent again.
                    self.reconnect(state, registry)?;
                    self.sent_bytes = 0;
                    self.write_request()?;
                    return Ok(false);
                }
                response.on_connection_closed()?;
                response.closes_connection = true;
            } else {
                if !response.has_started() {
                    state
                        .result
                        .first_byte_delay
                        .saturating_record(elapsed_nanoseconds(self.requested_at));
                }
                if flags.is_empty() {
                    let (bytes, _) = buffer.split_at(count);
                    response.feed(bytes, &mut |_| {})?;
                } else {
                    response.count_discarded(count as u64);
                }
            }
            state.result.bytes += response.body_bytes - body_bytes_before;
            if response.is_complete() {
                return self.finish_response(state, registry).map(|()| true);
            }
            // A short read emptied the socket, so the next readiness event announces more.
            if count < capacity {
                return Ok(false);
            }
        }
    }

    fn finish_response(
        &mut self,
        state: &mut LoadState<'_>,
        registry: &Registry,
    ) -> anyhow::Result<()> {
        let Some(response) = self.response.take() else { return Ok(()) };
        if response.status != 200 {
            bail!("status {}", response.status);
        }
        if !state.expected_length.is_met_by(response.body_bytes) {
            bail!("{} bytes where {:?} were expected", response.body_bytes, state.expected_length);
        }
        state.result.responses += 1;
        state.result.last_byte_delay.saturating_record(elapsed_nanoseconds(self.requested_at));
        self.response_count += 1;
        if response.closes_connection {
            self.reconnect(state, registry)?;
        }
        Ok(())
    }

    fn reconnect(&mut self, state: &LoadState<'_>, registry: &Registry) -> anyhow::Result<()> {
        registry.deregister(&mut self.stream)?;
        self.stream = connect(state.address, registry, self.token)?;
        self.response_count = 0;
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

fn is_disconnect(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn elapsed_nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
