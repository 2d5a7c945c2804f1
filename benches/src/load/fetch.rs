//! One request whose response body is kept.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::ResponseParser;

/// Access to the socket of a stream, on which timeouts are set.
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
pub(crate) struct FetchedResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Sends one request on a new connection.
///
/// # Errors
/// When there is no complete response within `timeout`.
pub(crate) fn fetch(
    address: SocketAddr,
    path: &str,
    timeout: Duration,
) -> anyhow::Result<FetchedResponse> {
    send_request(connect(address)?, address, path, timeout)
}

/// Sends one request over TLS to the server of that DNS name.
///
/// # Errors
/// As [`fetch`], and when the server's certificate is not trusted.
pub(crate) fn fetch_over_tls(
    address: SocketAddr,
    (name, client): (&'static str, Arc<ClientConfig>),
    path: &str,
    timeout: Duration,
) -> anyhow::Result<FetchedResponse> {
    let session = ClientConnection::new(client, name.try_into()?)?;
    send_request(StreamOwned::new(session, connect(address)?), address, path, timeout)
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn send_request(
    mut stream: impl Read + Write + AsSocket,
    address: SocketAddr,
    path: &str,
    timeout: Duration,
) -> anyhow::Result<FetchedResponse> {
    let deadline = Instant::now() + timeout;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: pitwall-benches\r\nAccept: */*\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (mut response, mut body) = (ResponseParser::default(), Vec::new());
    let mut buffer = vec![0; 256 * 1024];
    while !response.is_complete() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no whole answer in {} s", timeout.as_secs());
        }
        stream.socket().set_read_timeout(Some(left))?;
        match stream.read(&mut buffer) {
            Ok(0) => response.on_connection_closed()?,
            Ok(count) => {
                let (bytes, _) = buffer.split_at(count);
                response.feed(bytes, &mut |chunk| body.extend_from_slice(chunk))?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).context("reading the answer"),
        }
    }
    Ok(FetchedResponse { status: response.status, body })
}
