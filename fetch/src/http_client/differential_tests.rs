//! This client beside hyper's: what hyper reads, this client reads as the same status, fields and body. What only one of
//! the two reads has its reason in [`RESPONSES`], or for generated responses in [`STRICTER`] and [`lenience()`].

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use self::generated::generated_response;
use self::responses::ReadBy::{Both, Neither, OnlyHyper, OnlyOurs};
use self::responses::{COMPLETE, RESPONSES};
use super::HttpClient;
use crate::{AddressPolicy, FetchErrorKind, Request};

mod generated;
mod responses;

/// What a client makes of the bytes that a server sends before it closes the connection.
#[derive(Debug, PartialEq)]
enum Reading {
    Response {
        status: u16,
        /// Sorted by name; fields of one name in their order.
        fields: Vec<(String, String)>,
        body: String,
    },
    /// No response, or one whose body is known to be cut or malformed: why.
    Rejected(String),
}

impl Reading {
    fn of(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let mut fields: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect();
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self::Response { status, fields, body: text(body) }
    }

    fn body(&self) -> Option<&str> {
        match self {
            Self::Response { body, .. } => Some(body),
            Self::Rejected(_) => None,
        }
    }
}

/// How hyper reads what the standard calls malformed.
#[derive(Clone, Copy)]
enum HyperMode {
    Default,
    /// As leniently as it can be told to be.
    Lenient,
}

/// A server that answers every request with the same bytes and closes.
async fn start_server(response: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let response = response.clone();
            tokio::spawn(async move {
                read_request(&mut stream).await;
                // A client that has seen enough closes before it has read all.
                let _ = stream.write_all(&response).await;
                let _ = stream.shutdown().await;
                let _ = stream.read(&mut [0]).await;
            });
        }
    });
    address
}

async fn read_request(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

fn client_of(address: SocketAddr) -> HttpClient {
    let allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    let policy = AddressPolicy { allow_private, ports: vec![address.port()] };
    HttpClient::new(policy, Arc::default(), Duration::from_secs(5))
}

fn request_to(address: SocketAddr, method: Method) -> Request<'static> {
    Request { method, ..Request::get(Url::parse(&format!("http://{address}/")).unwrap()) }
}

async fn read_with_ours(address: SocketAddr, method: Method) -> Reading {
    let sent = client_of(address).send(&request_to(address, method), None).await;
    let mut response = match sent {
        Ok(response) => response,
        Err(error) => return Reading::Rejected(error.to_string()),
    };
    let mut body = Vec::new();
    loop {
        match poll_fn(|cx| response.body.poll_chunk(cx)).await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Reading::of(response.status.as_u16(), &response.headers, &body),
            Err(error) => return Reading::Rejected(error.to_string()),
        }
    }
}

async fn read_with_hyper(address: SocketAddr, method: Method, mode: HyperMode) -> Reading {
    let is_lenient = matches!(mode, HyperMode::Lenient);
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http1::Builder::new()
        .allow_spaces_after_header_name_in_responses(is_lenient)
        .allow_obsolete_multiline_headers_in_responses(is_lenient)
        .ignore_invalid_headers_in_responses(is_lenient)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder().method(method).uri("/").header("host", "x");
    let sent = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await;
    let response = match sent {
        Ok(response) => response,
        Err(error) => return Reading::Rejected(format!("{error:?}")),
    };
    let (head, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Reading::of(head.status.as_u16(), &head.headers, &body.to_bytes()),
        Err(error) => Reading::Rejected(format!("{error:?}")),
    }
}

/// What this client and hyper make of the same bytes.
async fn read_with_both(response: &[u8], method: &Method, mode: HyperMode) -> (Reading, Reading) {
    let address = start_server(response.to_vec()).await;
    let both = async {
        tokio::join!(
            read_with_ours(address, method.clone()),
            read_with_hyper(address, method.clone(), mode)
        )
    };
    tokio::time::timeout(Duration::from_secs(20), both).await.unwrap()
}

fn raw(text: &str) -> Vec<u8> {
    let text = text.replace("HTTP/", "HTTP\u{1}").replace('|', "\r\n");
    text.replace('/', "\n").replace('\\', "\r").replace('\u{1}', "/").into_bytes()
}

#[tokio::test]
async fn responses_are_read_as_by_hyper() {
    for (name, text, read_by) in RESPONSES {
        let (ours, hypers) = read_with_both(&raw(text), &Method::GET, HyperMode::Default).await;
        let (expected, difference) = match read_by {
            Both(body) => ((Some(*body), Some(*body)), None),
            Neither => ((None, None), None),
            OnlyOurs(body, reason) => ((Some(*body), None), Some(reason)),
            OnlyHyper(reason) => ((None, hypers.body()), Some(reason)),
        };
        assert_eq!((ours.body(), hypers.body()), expected, "{name}: {ours:?}, {hypers:?}");
        match difference {
            Some(reason) => {
                assert_ne!(ours.body().is_some(), hypers.body().is_some(), "{name}: {reason}")
            }
            None if ours.body().is_some() => assert_eq!(ours, hypers, "{name}"),
            None => {}
        }
    }
}

/// Responses to HEAD have no body, whatever their fields say.
#[tokio::test]
async fn responses_to_head_are_read_as_by_hyper() {
    for fields in ["", "content-length: 5|", "transfer-encoding: chunked|"] {
        let response = raw(&format!("HTTP/1.1 200 OK|{fields}|"));
        let (ours, hypers) = read_with_both(&response, &Method::HEAD, HyperMode::Default).await;
        assert_eq!(ours, hypers, "{fields}");
        assert_eq!(ours.body(), Some(""), "{fields}");
    }
}

/// What this client rejects and hyper reads, by the text of the error: the rows of [`OnlyHyper`], and lengths that hyper
/// does not read, in a 204 and beside chunks.
const STRICTER: &[&str] = &[
    "both Transfer-Encoding and Content-Length",
    "a transfer encoding that is not understood",
    "an upgrade that was not asked for",
    "not a Content-Length",
    "two Content-Lengths",
];

/// Why this client reads a response that hyper rejects, even at its most lenient.
async fn lenience(response: &[u8], ours: &Reading, error: &str) -> Option<&'static str> {
    let text = String::from_utf8_lossy(response).to_ascii_lowercase();
    if text.lines().any(|line| line.starts_with("http/1.") && line.contains("  ")) {
        return Some("spaces before the status");
    }
    let trailer_errors =
        ["HeaderName", "HeaderValue", "NewLine", "Partial header", "trailers count"];
    if error.contains("Body") && trailer_errors.iter().any(|cause| error.contains(cause)) {
        return Some("trailers are skipped unread");
    }
    // What is missing at the end says nothing of the body: with it hyper reads the same.
    for (end, reason) in [
        ("\n", COMPLETE),
        ("\r\n", COMPLETE),
        ("\r\n\r\n", COMPLETE),
        (": x\r\n\r\n", COMPLETE),
        ("0\r\n\r\n", "a close in place of the last chunk"),
    ] {
        let whole = [response, end.as_bytes()].concat();
        let address = start_server(whole).await;
        let mut hypers = read_with_hyper(address, Method::GET, HyperMode::Lenient).await;
        normalise(&mut hypers);
        if *ours == hypers {
            return Some(reason);
        }
    }
    None
}

/// hyper keeps the white space of a folded line, and lengths that are repeated in one field, as they came.
fn normalise(reading: &mut Reading) {
    if let Reading::Response { fields, .. } = reading {
        for (name, value) in fields.iter_mut() {
            *value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            if name == "content-length"
                && let Some((first, _)) = value.split_once(',')
            {
                *value = first.trim().to_owned();
            }
        }
        fields.dedup_by(|a, b| a.0 == "content-length" && a == b);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_responses_are_read_as_by_hyper(response in generated_response()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        if let Err(difference) = runtime.block_on(compare(&response)) {
            prop_assert!(false, "{difference}: {}", response.escape_ascii());
        }
    }
}

async fn compare(response: &[u8]) -> Result<(), String> {
    let (mut ours, mut hypers) = read_with_both(response, &Method::GET, HyperMode::Lenient).await;
    normalise(&mut ours);
    normalise(&mut hypers);
    let is_same = match (&ours, &hypers) {
        (Reading::Response { .. }, Reading::Response { .. }) => ours == hypers,
        (Reading::Rejected(_), Reading::Rejected(_)) => true,
        (Reading::Response { .. }, Reading::Rejected(error)) => {
            lenience(response, &ours, error).await.is_some()
        }
        (Reading::Rejected(error), Reading::Response { .. }) => {
            STRICTER.iter().any(|detail| error.contains(detail))
        }
    };
    if is_same { Ok(()) } else { Err(format!("{ours:?} and hyper {hypers:?}")) }
}

/// How much a client takes of a response that never ends, in bytes that the server could send.
async fn taken_of_endless(
    start: &'static [u8],
    repeated: &'static [u8],
) -> (FetchErrorKind, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        read_request(&mut stream).await;
        stream.write_all(start).await?;
        let block = repeated.repeat(16 * 1024 / repeated.len());
        loop {
            stream.write_all(&block).await?;
            count.fetch_add(block.len(), Ordering::Relaxed);
        }
        #[expect(unreachable_code, reason = "names the type of the error")]
        io::Result::Ok(())
    });
    let client = client_of(address);
    let answer = async {
        let mut response = client.send(&request_to(address, Method::GET), None).await?;
        while poll_fn(|cx| response.body.poll_chunk(cx)).await?.is_some() {}
        Ok::<(), crate::FetchError>(())
    };
    let error = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap_err();
    // The connection is closed with the error, so that the server's next write fails.
    server.await.unwrap().unwrap_err();
    (error.kind, sent.load(Ordering::Relaxed))
}

/// What the kernels of both sides may hold of what a server has sent.
const SOCKET_BUFFERS_BYTES: usize = 8 << 20;

#[tokio::test]
async fn responses_without_an_end_are_left() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const LAST: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    const EXTENSION: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;";
    for (name, start, repeated) in [
        ("a status line", &b"HTTP/1.1 200 "[..], &b"x"[..]),
        ("a field", b"HTTP/1.1 200 OK\r\nx: ", b"x"),
        ("fields", b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        ("folded lines", b"HTTP/1.1 200 OK\r\nx: y\r\n", b" y\r\n"),
        ("empty lines", b"", b"\r\n"),
        ("interim responses", b"", b"HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"),
        ("a chunk extension", EXTENSION, b"x"),
        ("digits of a size", CHUNKED, b"0"),
        (
            "chunks that are all extension",
            CHUNKED,
            b"1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\ny\r\n",
        ),
        ("a trailer", LAST, b"x"),
        ("trailers", LAST, b"x: y\r\n"),
    ] {
        let (kind, taken) = taken_of_endless(start, repeated).await;
        assert_eq!(kind, FetchErrorKind::Body, "{name}");
        assert!(taken <= SOCKET_BUFFERS_BYTES, "{name}: {taken} bytes");
    }
}
