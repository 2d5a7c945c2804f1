//! Tests against servers that send scripted bytes.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use http::header::{self, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

use crate::{
    AddressPolicy, FetchError, FetchErrorKind, Fetcher, OwnListeners, Request, Response, Timeouts,
};

/// Responses of one connection, request by request. A request beyond the script is read and the
/// connection closed without a response, as a server does that closes an idle connection.
#[derive(Clone, Default)]
struct ConnectionScript {
    answers: Vec<Vec<u8>>,
    then_close: bool,
}

fn script_of<const N: usize>(answers: [&str; N]) -> ConnectionScript {
    let answers = answers.iter().map(|answer| answer.as_bytes().to_vec()).collect();
    ConnectionScript { answers, then_close: false }
}

fn script_then_close(answer: impl Into<Vec<u8>>) -> ConnectionScript {
    ConnectionScript { answers: vec![answer.into()], then_close: true }
}

struct ScriptedServer {
    address: SocketAddr,
    /// Request lines, with the number of their connection.
    log: mpsc::UnboundedReceiver<(usize, String)>,
}

const CLOSED: &str = "closed";

impl ScriptedServer {
    async fn start(scripts: Vec<ConnectionScript>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, log) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for (number, script) in scripts.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(run_script(stream, script, number, sender.clone()));
            }
        });
        Self { address, log }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    fn policy(&self) -> AddressPolicy {
        let allow_private = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        AddressPolicy { allow_private, ports: vec![self.address.port()] }
    }

    /// Numbers of the connections that received requests.
    fn connections(&mut self) -> Vec<usize> {
        let mut numbers = Vec::new();
        while let Ok((number, line)) = self.log.try_recv() {
            if line != CLOSED {
                numbers.push(number);
            }
        }
        numbers
    }
}

async fn run_script(
    mut stream: TcpStream,
    script: ConnectionScript,
    number: usize,
    log: mpsc::UnboundedSender<(usize, String)>,
) {
    stream.set_nodelay(true).unwrap();
    let mut answers = script.answers.into_iter();
    while let Some(head) = read_head(&mut stream).await {
        let _ = log.send((number, head.lines().next().unwrap().to_owned()));
        let Some(answer) = answers.next() else { return };
        // A client that has closed the connection needs no more bytes.
        let _ = stream.write_all(&answer).await;
        if script.then_close && answers.len() == 0 {
            return;
        }
    }
    let _ = log.send((number, CLOSED.into()));
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

fn fetcher() -> Fetcher {
    Fetcher::new(Timeouts::default(), vec![])
}

async fn read(response: Result<Response, FetchError>) -> Result<Vec<u8>, FetchError> {
    Ok(response?.bytes(1 << 20).await?.to_vec())
}

async fn get(fetcher: &Fetcher, server: &ScriptedServer) -> Result<String, FetchError> {
    let body = read(fetcher.send(&server.policy(), Request::get(server.url("/"))).await).await?;
    Ok(String::from_utf8(body).unwrap())
}

const HI: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// Checks which connections two successive requests use.
#[tokio::test]
async fn connections_are_reused_after_complete_responses() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000));
    for (first, is_reused) in [
        (HI, true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", true),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", true),
        (&format!("{CHUNKED}2\r\nhi\r\n0\r\n\r\n"), true),
        (&format!("{CHUNKED}0\r\nx: y\r\n\r\n"), true),
        (&large, true),
        ("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", false),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!", false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n!", false),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 1\r\n\r\n!", false),
        (&format!("{CHUNKED}0\r\n\r\n!"), false),
        (&format!("{CHUNKED}2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"), false),
        (&format!("{large}!"), false),
    ] {
        let mut server = ScriptedServer::start(vec![script_of([first, HI]), script_of([HI])]).await;
        let fetcher = fetcher();
        get(&fetcher, &server).await.unwrap();
        assert_eq!(get(&fetcher, &server).await.unwrap(), "hi");
        let expected = if is_reused { [0, 0] } else { [0, 1] };
        let response_start: String = first.chars().take(120).collect();
        assert_eq!(server.connections(), expected, "{response_start:?}");
    }
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let coded = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\n";
    let mut server = ScriptedServer::start(vec![script_of([length, CHUNKED, coded])]).await;
    let fetcher = fetcher();
    for expected in [Some(5), None, None] {
        let request = Request { method: http::Method::HEAD, ..Request::get(server.url("/")) };
        let response = fetcher.send(&server.policy(), request).await.unwrap();
        assert_eq!(response.content_length(), expected);
        assert!(response.bytes(10).await.unwrap().is_empty());
    }
    assert_eq!(server.connections(), [0, 0, 0]);
}

#[tokio::test]
async fn a_request_is_repeated_once_on_a_stale_connection() {
    let post = |url: Url| {
        let content_type = HeaderValue::from_static("a/b");
        Request::post(url, crate::RequestBody { content_type, bytes: "x".into() })
    };
    // The server closes the connection between two requests, or on the second request.
    for first in [script_then_close(HI), script_of([HI])] {
        let mut server = ScriptedServer::start(vec![first, script_of([HI, HI])]).await;
        let fetcher = fetcher();
        for _ in 0..3 {
            assert_eq!(get(&fetcher, &server).await.unwrap(), "hi");
        }
        let connections = server.connections();
        assert_eq!((connections[0], &connections[connections.len() - 2..]), (0, [1, 1].as_slice()));
    }
    // A request is repeated once only, not after a failure on a new connection.
    let mut server =
        ScriptedServer::start(vec![script_of([HI]), script_of([]), script_of([HI])]).await;
    let fetcher = fetcher();
    get(&fetcher, &server).await.unwrap();
    assert_eq!(get(&fetcher, &server).await.unwrap_err().kind, FetchErrorKind::Body);
    assert_eq!(server.connections(), [0, 0, 1]);
    // A partial response counts as a response, so the request is not repeated.
    let mut server = ScriptedServer::start(vec![
        ConnectionScript { answers: vec![HI.into(), b"HTTP/1.1 2".to_vec()], then_close: true },
        script_of([HI]),
    ])
    .await;
    get(&fetcher, &server).await.unwrap();
    assert_eq!(get(&fetcher, &server).await.unwrap_err().kind, FetchErrorKind::Body);
    assert_eq!(server.connections(), [0, 0]);
    // A request that is not idempotent is never sent on an idle connection.
    let mut server = ScriptedServer::start(vec![script_of([HI, HI]), script_of([HI])]).await;
    get(&fetcher, &server).await.unwrap();
    read(fetcher.send(&server.policy(), post(server.url("/"))).await).await.unwrap();
    assert_eq!(server.connections(), [0, 1]);
}

#[tokio::test]
async fn a_policy_uses_no_connection_of_another() {
    let mut server = ScriptedServer::start(vec![script_of([HI, HI]), script_of([HI])]).await;
    let fetcher = fetcher();
    let wide = AddressPolicy { ports: vec![server.address.port(), 81], ..server.policy() };
    for policy in [&server.policy(), &wide, &server.policy()] {
        read(fetcher.send(policy, Request::get(server.url("/"))).await).await.unwrap();
    }
    let narrow = AddressPolicy { ports: vec![server.address.port()], ..AddressPolicy::default() };
    let result = fetcher.send(&narrow, Request::get(server.url("/"))).await;
    assert!(result.is_err_and(|error| error.is_denied()));
    assert_eq!(server.connections(), [0, 1, 0]);
}

#[tokio::test]
async fn bodies_are_read_by_their_framing() {
    let framed = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
    for (answer, expected) in [
        (HI.to_owned(), Ok("hi")),
        (format!("HTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 100\r\n\r\n{HI}"), Ok("hi")),
        (framed("", "until the end"), Ok("until the end")),
        (framed("", ""), Ok("")),
        ("HTTP/1.0 200 OK\r\n\r\nold".into(), Ok("old")),
        ("HTTP/1.1 200\ncontent-length: 2\n\nhi".into(), Ok("hi")),
        (framed("content-length: 5\r\n", "hello, world"), Ok("hello")),
        (format!("{CHUNKED}2;x=\"y\"\r\nhi\r\n1 \r\n!\r\n0;z\r\na: b\r\n\r\n"), Ok("hi!")),
        (framed("content-length: 5\r\n", "four"), Err("4 of 5 bytes")),
        (framed("content-length: 5\r\n", ""), Err("0 of 5 bytes")),
        (format!("{CHUNKED}5\r\nfour"), Err("closed within a chunked body")),
        (format!("{CHUNKED}4\r\nfour"), Err("closed within a chunked body")),
        (CHUNKED.to_owned(), Err("closed within a chunked body")),
        // The last chunk is missing, or is all that is there of the end.
        (format!("{CHUNKED}4\r\nfour\r\n"), Ok("four")),
        (format!("{CHUNKED}4\r\nfour\r\n0\r\n"), Ok("four")),
        (format!("{CHUNKED}100000\r\nfour"), Err("closed within a chunked body")),
        (format!("{CHUNKED}4\r\nfive!\r\n"), Err("a chunk that is not one")),
        (
            "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n".into(),
            Err("an upgrade that was not asked for"),
        ),
        ("HTTP/1.1 200 OK\r\ncontent-".into(), Err("closed before the end of the head")),
        (String::new(), Err("closed before the end of the head")),
        ("garbage\r\n\r\n".into(), Err("invalid HTTP version")),
        (framed("content-length: 1\r\ncontent-length: 2\r\n", "hi"), Err("two Content-Lengths")),
        (
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n", "y".repeat(70_000)),
            Err("a head of more than 64 KiB"),
        ),
        ("HTTP/1.1 100 Continue\r\nx: y\r\n\r\n".repeat(3000), Err("a head of more than 64 KiB")),
    ] {
        let server = ScriptedServer::start(vec![script_then_close(answer.clone())]).await;
        let got = get(&fetcher(), &server).await;
        let expected = match expected {
            Ok(body) => Ok(body.to_owned()),
            Err(detail) => Err(FetchError::with_detail(FetchErrorKind::Body, detail).to_string()),
        };
        let start: String = answer.chars().take(120).collect();
        assert_eq!(got.map_err(|error| error.to_string()), expected, "{start:?}");
    }
}

#[tokio::test]
async fn a_failed_body_stays_failed() {
    for answer in [format!("{CHUNKED}2\r\nhi\r\nx"), format!("{CHUNKED}2\r\nhi\r\n")] {
        let server = ScriptedServer::start(vec![script_then_close(answer)]).await;
        let sent = fetcher().send(&server.policy(), Request::get(server.url("/"))).await;
        let mut response = sent.unwrap();
        while response.chunk().await.is_ok() {}
        assert_eq!(response.chunk().await.unwrap_err().kind, FetchErrorKind::Body);
    }
}

/// Where the server has announced that it closes the connection, that may be the end of the body.
#[tokio::test]
async fn an_announced_close_ends_a_body_between_its_chunks() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    for (body, is_complete) in [("2\r\nhi\r\n", true), ("2\r\nhi", false), ("", false)] {
        let server = ScriptedServer::start(vec![script_then_close(format!("{head}{body}"))]).await;
        let sent = fetcher().send(&server.policy(), Request::get(server.url("/"))).await;
        let mut response = sent.unwrap();
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => assert_eq!(chunk, "hi"),
                end => break end,
            }
        };
        assert_eq!(end.is_ok(), is_complete, "{body:?}");
    }
}

/// A response is read correctly however it is split into packets: head, chunks and trailers.
#[tokio::test]
async fn responses_may_be_split_anywhere() {
    let body = "2;x=y\r\nhi\r\nB\r\n, and hello\r\n0\r\nx: y\r\n\r\n";
    let response = format!("HTTP/1.1 103 Hints\r\n\r\n{CHUNKED}{body}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = response.len();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        for split in 1..count {
            read_head(&mut stream).await.unwrap();
            let (first, second) = response.as_bytes().split_at(split);
            stream.write_all(first).await.unwrap();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            stream.write_all(second).await.unwrap();
        }
    };
    let request = async {
        let fetcher = fetcher();
        let policy = AddressPolicy {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            ports: vec![address.port()],
        };
        for split in 1..count {
            let url = Url::parse(&format!("http://{address}/")).unwrap();
            let body = read(fetcher.send(&policy, Request::get(url)).await).await.unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), "hi, and hello", "split at {split}");
        }
    };
    tokio::join!(serve, request);
}

#[tokio::test]
async fn redirects_keep_their_connection() {
    let page = "x".repeat(3000);
    let redirect_to = |path: &str| {
        format!("HTTP/1.1 302 Found\r\nlocation: {path}\r\ncontent-length: 3000\r\n\r\n{page}")
    };
    let mut server =
        ScriptedServer::start(vec![script_of([&redirect_to("/a"), &redirect_to("b?c"), HI])]).await;
    let response = fetcher().send(&server.policy(), Request::get(server.url("/"))).await.unwrap();
    assert_eq!(response.url().as_str(), server.url("/b?c").as_str());
    assert_eq!(response.bytes(10).await.unwrap(), "hi");
    let lines: Vec<_> = std::iter::from_fn(|| server.log.try_recv().ok()).collect();
    let request_line = |target: &str| (0, format!("GET {target} HTTP/1.1"));
    assert_eq!(lines, [request_line("/"), request_line("/a"), request_line("/b?c")]);
}

fn gzip(text: &str) -> Vec<u8> {
    gzip_bytes(text.as_bytes())
}

fn gzip_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn content_codings_work_with_every_framing() {
    let text = "one two ".repeat(50_000);
    let coded = gzip(&text);
    let head = |fields: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {fields}\r\n\r\n").into_bytes()
    };
    let length = |n: usize| format!("gzip\r\ncontent-length: {n}");
    let chunks: Vec<u8> = coded
        .chunks(100)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .collect();
    let chunked = head("gzip\r\ntransfer-encoding: chunked");
    let truncated = &coded[..coded.len() - 20];
    let (half, rest) = text.split_at(300_000);
    let members = [gzip(half), gzip(rest)].concat();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(text.as_bytes()).unwrap();
    let raw = raw.finish().unwrap();
    let raw_in_gzip = gzip_bytes(&raw);
    let some_chunks = &chunks[..106 * (chunks.len() / 212)];
    let unknown = "x-own\r\ncontent-length: 3";
    for (answer, expected, is_reused) in [
        ([head(&length(coded.len())), coded.clone()].concat(), Ok(text.as_str()), true),
        ([chunked.clone(), chunks.clone(), b"0\r\n\r\n".to_vec()].concat(), Ok(&text), true),
        ([head("gzip"), coded.clone()].concat(), Ok(&text), false),
        (head("gzip\r\ncontent-length: 0"), Ok(""), true),
        ([chunked.clone(), b"0\r\n\r\n".to_vec()].concat(), Ok(""), true),
        ([head(unknown), b"as-".to_vec()].concat(), Ok("as-"), true),
        ([head("gzip\r\ncontent-length: 3"), b"not".to_vec()].concat(), Err(()), false),
        ([head(&length(truncated.len())), truncated.to_vec()].concat(), Err(()), true),
        ([head(&length(coded.len())), truncated.to_vec()].concat(), Err(()), false),
        ([chunked.clone(), chunks.clone()].concat(), Ok(&text), false),
        ([chunked.clone(), some_chunks.to_vec()].concat(), Err(()), false),
        (
            [head(&length(coded.len() + 5)), coded.clone(), b"extra".to_vec()].concat(),
            Ok(&text),
            true,
        ),
        ([head(&length(members.len())), members].concat(), Ok(&text), true),
        (
            [head(&format!("Deflate\r\ncontent-length: {}", raw.len())), raw].concat(),
            Ok(&text),
            true,
        ),
        (
            [
                head(&format!("deflate, x-gzip\r\ncontent-length: {}", raw_in_gzip.len())),
                raw_in_gzip,
            ]
            .concat(),
            Ok(&text),
            true,
        ),
    ] {
        let close = !is_reused;
        let first =
            ConnectionScript { answers: vec![answer.clone(), HI.into()], then_close: false };
        let first = if close { script_then_close(answer.clone()) } else { first };
        let mut server = ScriptedServer::start(vec![first, script_of([HI])]).await;
        let fetcher = fetcher();
        let got = get(&fetcher, &server).await;
        let name = answer.iter().take(120).copied().collect::<Vec<_>>().escape_ascii().to_string();
        assert_eq!(
            got.map_err(|error| assert_eq!(error.kind, FetchErrorKind::Body)),
            expected.map(str::to_owned),
            "{name}"
        );
        assert_eq!(get(&fetcher, &server).await.unwrap(), "hi", "{name}");
        if expected.is_ok() {
            assert_eq!(server.connections() == [0, 0], is_reused, "{name}");
        }
    }
}

#[tokio::test]
async fn a_decoded_body_has_no_length() {
    let coded = gzip("text");
    let fields = format!("content-encoding: gzip\r\ncontent-length: {}", coded.len());
    let answer = [format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes(), &coded].concat();
    let server = ScriptedServer::start(vec![script_then_close(answer)]).await;
    let sent = fetcher().send(&server.policy(), Request::get(server.url("/"))).await;
    let response = sent.unwrap();
    assert_eq!(response.content_length(), None);
    let removed = [header::CONTENT_LENGTH, header::CONTENT_ENCODING];
    assert!(removed.iter().all(|name| !response.headers().contains_key(name)));
}

/// A name is checked by its resolved addresses before any connection is made.
#[tokio::test]
async fn names_with_private_addresses_are_denied() {
    let mut server =
        ScriptedServer::start(vec![script_of([HI]), script_of([HI]), script_of([HI])]).await;
    let port = server.address.port();
    let public_policy = AddressPolicy { ports: vec![port], ..AddressPolicy::default() };
    // The resolver accepts forms of an address that a URL cannot contain.
    for name in ["localhost", "0x7f000001", "127.1"] {
        let result =
            crate::resolver::resolve_vetted(&public_policy, &OwnListeners::default(), name, port)
                .await;
        assert!(result.is_err_and(|error| error.is_denied()), "{name}");
    }
    let url = Url::parse(&format!("http://localhost:{port}/")).unwrap();
    let connected = crate::http_client::connector::connect(
        &public_policy,
        &OwnListeners::default(),
        &url,
        Duration::from_secs(3),
    )
    .await;
    assert!(connected.is_err_and(|error| error.is_denied()));
    let by_name = fetcher().send(&server.policy(), Request::get(url.clone())).await;
    assert_eq!(read(by_name).await.unwrap(), b"hi");
    assert_eq!(server.connections(), [0]);
    let fetcher = Fetcher::new(Timeouts::default(), vec![server.address]);
    let result = fetcher.send(&server.policy(), Request::get(url)).await;
    assert!(result.is_err_and(|error| error.is_denied()));
    assert!(server.connections().is_empty());
}

#[tokio::test]
async fn an_unread_response_closes_its_connection() {
    for head in ["content-length: 5000000", "transfer-encoding: chunked", "x: y"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello");
        let mut server = ScriptedServer::start(vec![script_of([&answer])]).await;
        let sent = fetcher().send(&server.policy(), Request::get(server.url("/"))).await;
        drop(sent.unwrap());
        assert_eq!(server.log.recv().await.unwrap().1, "GET / HTTP/1.1");
        assert_eq!(server.log.recv().await.unwrap(), (0, CLOSED.to_owned()), "{head}");
    }
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let slow = Timeouts {
        first_byte: Duration::from_millis(50),
        idle: Duration::from_millis(50),
        ..Timeouts::default()
    };
    for (answer, bytes) in
        [("", 0), ("HTTP/1.1 200 OK\r\n", 0), ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", 2)]
    {
        let server = ScriptedServer::start(vec![script_of([answer])]).await;
        let fetcher = Fetcher::new(slow, vec![]);
        let sent = fetcher.send(&server.policy(), Request::get(server.url("/"))).await;
        let mut received = 0;
        let error = match sent {
            Err(error) => error,
            Ok(mut response) => loop {
                match response.chunk().await {
                    Ok(chunk) => received += chunk.unwrap().len(),
                    Err(error) => break error,
                }
            },
        };
        assert_eq!((error.kind, received), (FetchErrorKind::Timeout, bytes), "{answer:?}");
    }
}

/// A server that sends one large body per connection at full speed, on its own thread.
fn flood(head: String, body: Vec<u8>, count: usize) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for _ in 0..count {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    address
}

const BLOCK: usize = 256 * 1024;

async fn open_response(address: SocketAddr) -> Response {
    let allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    let policy = AddressPolicy { allow_private, ports: vec![address.port()] };
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    fetcher().send(&policy, Request::get(url)).await.unwrap()
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

/// Chunks hold exactly the bytes of the body: one chunk ends where the next begins.
#[tokio::test]
async fn chunks_hold_exactly_their_bytes() {
    const LENGTH: usize = 4 * 1024 * 1024 + 12_345;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let mut response = open_response(flood(head, sample(LENGTH), 1)).await;
    let mut chunks = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert!(chunks.concat() == sample(LENGTH));
    // Chunks of one block are adjacent in memory.
    let mut blocks: Vec<usize> = Vec::new();
    let mut end = std::ptr::null();
    for chunk in &chunks {
        match blocks.last_mut() {
            Some(block) if end == chunk.as_ptr() => *block += chunk.len(),
            _ => blocks.push(chunk.len()),
        }
        end = chunk.as_ptr_range().end;
    }
    let (last, full) = blocks.split_last().unwrap();
    assert!(full.iter().all(|block| (BLOCK - 16 * 1024..=BLOCK).contains(block)), "{blocks:?}");
    assert!(*last <= BLOCK);
    // The memory of the last block has its own size, not a full block's.
    assert!(full.len() <= LENGTH / (BLOCK - 16 * 1024), "{blocks:?}");
}

/// If every chunk is dropped before the next is read, the same memory is used throughout.
#[tokio::test]
async fn memory_of_dropped_chunks_is_reused() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let mut response = open_response(flood(head, sample(LENGTH), 1)).await;
    let (mut addresses, mut received) = (BTreeSet::new(), 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        assert!(chunk.iter().zip(received..).all(|(byte, n)| usize::from(*byte) == n % 251));
        received += chunk.len();
        addresses.insert(chunk.as_ptr() as usize);
        addresses.insert(chunk.as_ptr_range().end as usize);
    }
    assert_eq!(received, LENGTH);
    assert!(addresses.last().unwrap() - addresses.first().unwrap() <= BLOCK);
}

#[tokio::test]
async fn reads_of_a_fast_server_are_large() {
    const LENGTH: usize = 32 * 1024 * 1024;
    let size = format!("content-length: {LENGTH}\r\n\r\n");
    let chunk = format!("transfer-encoding: chunked\r\n\r\n{LENGTH:x}\r\n");
    for fields in [size, chunk] {
        let address = flood(format!("HTTP/1.1 200 OK\r\n{fields}"), sample(LENGTH), 20);
        let largest = Mutex::new(0);
        for _ in 0..20 {
            let mut response = open_response(address).await;
            let mut received = 0;
            while received < LENGTH {
                let length = response.chunk().await.unwrap().unwrap().len();
                received += length;
                let mut largest = largest.lock().unwrap();
                *largest = length.max(*largest);
            }
            if *largest.lock().unwrap() == BLOCK {
                break;
            }
        }
        assert_eq!(*largest.lock().unwrap(), BLOCK);
    }
}

/// Small chunks and bodies without a length are read through the buffer, and chunks hold exactly
/// their bytes.
#[tokio::test]
async fn large_bodies_without_a_length_are_read() {
    let body = sample(3_000_000);
    let chunks = |size: usize| -> Vec<u8> {
        let chunk =
            |chunk: &[u8]| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        [body.chunks(size).flat_map(chunk).collect(), b"0\r\n\r\n".to_vec()].concat()
    };
    for (fields, sent) in [
        ("", body.clone()),
        ("transfer-encoding: chunked\r\n", chunks(10)),
        ("transfer-encoding: chunked\r\n", chunks(8192)),
        ("transfer-encoding: chunked\r\n", chunks(100_000)),
        ("transfer-encoding: chunked\r\n", chunks(700_000)),
    ] {
        let mut response =
            open_response(flood(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), sent, 1)).await;
        let mut received = Vec::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            received.extend_from_slice(&chunk);
        }
        assert!(received == body, "{fields}");
    }
}

#[test]
fn a_response_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Response>();
}
