//! One request whose answer is looked at.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::Response;

/// Where a stream's timeouts are set.
trait AsSocket {
    fn socket(&self) -> &TcpStream;
}

impl AsSocket for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl AsSocket for StreamOwned<ClientConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Asks once, on a connection of its own.
pub(crate) fn fetch(
    address: SocketAddr,
    path: &str,
    patience: Duration,
) -> anyhow::Result<Fetched> {
    ask(connect(address)?, address, path, patience)
}

/// The same over TLS, of a server of this name.
pub(crate) fn fetch_over_tls(
    address: SocketAddr,
    (name, client): (&'static str, Arc<ClientConfig>),
    path: &str,
    patience: Duration,
) -> anyhow::Result<Fetched> {
    let session = ClientConnection::new(client, name.try_into()?)?;
    ask(StreamOwned::new(session, connect(address)?), address, path, patience)
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(
    mut stream: impl Read + Write + AsSocket,
    address: SocketAddr,
    path: &str,
    patience: Duration,
) -> anyhow::Result<Fetched> {
    let deadline = Instant::now() + patience;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: pitwall-benches\r\nAccept: */*\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (mut response, mut body) = (Response::default(), Vec::new());
    let mut buffer = vec![0; 256 * 1024];
    while !response.is_done() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no whole answer in {} s", patience.as_secs());
        }
        stream.socket().set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => response.close()?,
            Ok(count) => {
                let (bytes, _) = buffer.split_at(count);
                response.feed(bytes, &mut |part| body.extend_from_slice(part))?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("reading the answer"),
        }
    }
    Ok(Fetched { status: response.status, body })
}
