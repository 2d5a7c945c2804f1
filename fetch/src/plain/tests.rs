//! Against servers that say what a script says, byte for byte.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

use crate::{FetchError, Fetcher, Kind, Policy, Request, Response, Timeouts};

/// What one connection answers, request by request. A request too many is read, and the
/// connection closed without a word, as a server does that had enough of it.
#[derive(Clone, Default)]
struct Script {
    answers: Vec<Vec<u8>>,
    then_close: bool,
}

fn answers<const N: usize>(answers: [&str; N]) -> Script {
    let answers = answers.iter().map(|answer| answer.as_bytes().to_vec()).collect();
    Script { answers, then_close: false }
}

fn then_close(answer: impl Into<Vec<u8>>) -> Script {
    Script { answers: vec![answer.into()], then_close: true }
}

struct Server {
    address: SocketAddr,
    /// Every request's line, with the number of its connection.
    log: mpsc::UnboundedReceiver<(usize, String)>,
}

const CLOSED: &str = "closed";

impl Server {
    async fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, log) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for (number, script) in scripts.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(play(stream, script, number, sender.clone()));
            }
        });
        Self { address, log }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    fn lan(&self) -> Policy {
        let allow_private = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        Policy { allow_private, ports: vec![self.address.port()] }
    }

    /// On which connections did requests come?
    fn connections(&mut self) -> Vec<usize> {
        let mut seen = Vec::new();
        while let Ok((number, line)) = self.log.try_recv() {
            if line != CLOSED {
                seen.push(number);
            }
        }
        seen
    }
}

async fn play(
    mut stream: TcpStream,
    script: Script,
    number: usize,
    log: mpsc::UnboundedSender<(usize, String)>,
) {
    stream.set_nodelay(true).unwrap();
    let mut answers = script.answers.into_iter();
    while let Some(head) = read_head(&mut stream).await {
        let _ = log.send((number, head.lines().next().unwrap().to_owned()));
        let Some(answer) = answers.next() else { return };
        // Whoever hung up already has what it wanted.
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

async fn get(fetcher: &Fetcher, server: &Server) -> Result<String, FetchError> {
    let body = read(fetcher.send(&server.lan(), Request::get(server.url("/"))).await).await?;
    Ok(String::from_utf8(body).unwrap())
}

const HI: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// Two requests, one after the other: which connections do they travel on?
#[tokio::test]
async fn connections_that_are_used_again() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000));
    for (first, again) in [
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
        let mut server = Server::start(vec![answers([first, HI]), answers([HI])]).await;
        let fetcher = fetcher();
        get(&fetcher, &server).await.unwrap();
        assert_eq!(get(&fetcher, &server).await.unwrap(), "hi");
        let expected = if again { [0, 0] } else { [0, 1] };
        let start: String = first.chars().take(120).collect();
        assert_eq!(server.connections(), expected, "{start:?}");
    }
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let coded = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\n";
    let mut server = Server::start(vec![answers([length, CHUNKED, coded])]).await;
    let fetcher = fetcher();
    for expected in [Some(5), None, None] {
        let request = Request { method: http::Method::HEAD, ..Request::get(server.url("/")) };
        let response = fetcher.send(&server.lan(), request).await.unwrap();
        assert_eq!(response.content_length(), expected);
        assert!(response.bytes(10).await.unwrap().is_empty());
    }
    assert_eq!(server.connections(), [0, 0, 0]);
}

#[tokio::test]
async fn a_connection_that_went_stale() {
    let post = |url: Url| {
        let content_type = HeaderValue::from_static("a/b");
        Request::post(url, crate::fetcher::Body { content_type, bytes: "x".into() })
    };
    // Closed between two requests, and at the very request.
    for first in [then_close(HI), answers([HI])] {
        let mut server = Server::start(vec![first, answers([HI, HI])]).await;
        let fetcher = fetcher();
        for _ in 0..3 {
            assert_eq!(get(&fetcher, &server).await.unwrap(), "hi");
        }
        let seen = server.connections();
        assert_eq!((seen[0], &seen[seen.len() - 2..]), (0, [1, 1].as_slice()));
    }
    // Once is enough, and a fresh connection is not given a second chance.
    let mut server = Server::start(vec![answers([HI]), answers([]), answers([HI])]).await;
    let fetcher = fetcher();
    get(&fetcher, &server).await.unwrap();
    assert_eq!(get(&fetcher, &server).await.unwrap_err().kind, Kind::Body);
    assert_eq!(server.connections(), [0, 0, 1]);
    // Half an answer is one.
    let mut server = Server::start(vec![
        Script { answers: vec![HI.into(), b"HTTP/1.1 2".to_vec()], then_close: true },
        answers([HI]),
    ])
    .await;
    get(&fetcher, &server).await.unwrap();
    assert_eq!(get(&fetcher, &server).await.unwrap_err().kind, Kind::Body);
    assert_eq!(server.connections(), [0, 0]);
    // What may have been done already is not risked on an old connection.
    let mut server = Server::start(vec![answers([HI, HI]), answers([HI])]).await;
    get(&fetcher, &server).await.unwrap();
    read(fetcher.send(&server.lan(), post(server.url("/"))).await).await.unwrap();
    assert_eq!(server.connections(), [0, 1]);
}

#[tokio::test]
async fn a_policy_uses_no_connection_of_another() {
    let mut server = Server::start(vec![answers([HI, HI]), answers([HI])]).await;
    let fetcher = fetcher();
    let wide = Policy { ports: vec![server.address.port(), 81], ..server.lan() };
    for policy in [&server.lan(), &wide, &server.lan()] {
        read(fetcher.send(policy, Request::get(server.url("/"))).await).await.unwrap();
    }
    let narrow = Policy { ports: vec![server.address.port()], ..Policy::default() };
    let refused = fetcher.send(&narrow, Request::get(server.url("/"))).await;
    assert!(refused.is_err_and(|error| error.is_denied()));
    assert_eq!(server.connections(), [0, 1, 0]);
}

#[tokio::test]
async fn bodies_and_their_ends() {
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
        (format!("{CHUNKED}4\r\nfour\r\n"), Err("closed within a chunked body")),
        (format!("{CHUNKED}4\r\nfour\r\n0\r\n"), Err("closed within a chunked body")),
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
        let server = Server::start(vec![then_close(answer.clone())]).await;
        let got = get(&fetcher(), &server).await;
        let expected = match expected {
            Ok(body) => Ok(body.to_owned()),
            Err(detail) => Err(FetchError::with(Kind::Body, detail).to_string()),
        };
        let start: String = answer.chars().take(120).collect();
        assert_eq!(got.map_err(|error| error.to_string()), expected, "{start:?}");
    }
}

#[tokio::test]
async fn what_was_broken_stays_broken() {
    for answer in [format!("{CHUNKED}2\r\nhi\r\nx"), format!("{CHUNKED}2\r\nhi\r\n")] {
        let server = Server::start(vec![then_close(answer)]).await;
        let sent = fetcher().send(&server.lan(), Request::get(server.url("/"))).await;
        let mut response = sent.unwrap();
        while response.chunk().await.is_ok() {}
        assert_eq!(response.chunk().await.unwrap_err().kind, Kind::Body);
    }
}

/// However an answer is cut into packets: the head, chunks, and their trailers.
#[tokio::test]
async fn answers_in_two_pieces() {
    let body = "2;x=y\r\nhi\r\nB\r\n, and hello\r\n0\r\nx: y\r\n\r\n";
    let whole = format!("HTTP/1.1 103 Hints\r\n\r\n{CHUNKED}{body}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = whole.len();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        for split in 1..count {
            read_head(&mut stream).await.unwrap();
            let (one, two) = whole.as_bytes().split_at(split);
            stream.write_all(one).await.unwrap();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            stream.write_all(two).await.unwrap();
        }
    };
    let ask = async {
        let fetcher = fetcher();
        let policy = Policy {
            allow_private: vec!["127.0.0.0/8".parse().unwrap()],
            ports: vec![address.port()],
        };
        for split in 1..count {
            let url = Url::parse(&format!("http://{address}/")).unwrap();
            let body = read(fetcher.send(&policy, Request::get(url)).await).await.unwrap();
            assert_eq!(String::from_utf8(body).unwrap(), "hi, and hello", "split at {split}");
        }
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn redirects_keep_their_connection() {
    let page = "x".repeat(3000);
    let to = |path: &str| {
        format!("HTTP/1.1 302 Found\r\nlocation: {path}\r\ncontent-length: 3000\r\n\r\n{page}")
    };
    let mut server = Server::start(vec![answers([&to("/a"), &to("b?c"), HI])]).await;
    let response = fetcher().send(&server.lan(), Request::get(server.url("/"))).await.unwrap();
    assert_eq!(response.url().as_str(), server.url("/b?c").as_str());
    assert_eq!(response.bytes(10).await.unwrap(), "hi");
    let lines: Vec<_> = std::iter::from_fn(|| server.log.try_recv().ok()).collect();
    let line = |target: &str| (0, format!("GET {target} HTTP/1.1"));
    assert_eq!(lines, [line("/"), line("/a"), line("/b?c")]);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn codings_and_framings() {
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
    let short = &coded[..coded.len() - 20];
    let unknown = "x-own\r\ncontent-length: 3";
    for (answer, expected, again) in [
        ([head(&length(coded.len())), coded.clone()].concat(), Ok(text.as_str()), true),
        ([chunked.clone(), chunks.clone(), b"0\r\n\r\n".to_vec()].concat(), Ok(&text), true),
        ([head("gzip"), coded.clone()].concat(), Ok(&text), false),
        (head("gzip\r\ncontent-length: 0"), Ok(""), true),
        ([chunked.clone(), b"0\r\n\r\n".to_vec()].concat(), Ok(""), true),
        ([head(unknown), b"as-".to_vec()].concat(), Ok("as-"), true),
        ([head("gzip\r\ncontent-length: 3"), b"not".to_vec()].concat(), Err(()), false),
        ([head(&length(short.len())), short.to_vec()].concat(), Err(()), true),
        ([head(&length(coded.len())), short.to_vec()].concat(), Err(()), false),
        ([chunked, chunks].concat(), Err(()), false),
        (
            [head(&length(coded.len() + 5)), coded.clone(), b"extra".to_vec()].concat(),
            Err(()),
            true,
        ),
    ] {
        let close = answer.starts_with(&head("gzip")) || expected.is_err() && !again;
        let first = Script { answers: vec![answer.clone(), HI.into()], then_close: false };
        let first = if close { then_close(answer.clone()) } else { first };
        let mut server = Server::start(vec![first, answers([HI])]).await;
        let fetcher = fetcher();
        let got = get(&fetcher, &server).await;
        let name = answer.iter().take(120).copied().collect::<Vec<_>>().escape_ascii().to_string();
        assert_eq!(
            got.map_err(|error| assert_eq!(error.kind, Kind::Body)),
            expected.map(str::to_owned),
            "{name}"
        );
        assert_eq!(get(&fetcher, &server).await.unwrap(), "hi", "{name}");
        if expected.is_ok() {
            assert_eq!(server.connections() == [0, 0], again, "{name}");
        }
    }
}

#[tokio::test]
async fn a_decoded_body_has_no_length() {
    let coded = gzip("text");
    let fields = format!("content-encoding: gzip\r\ncontent-length: {}", coded.len());
    let answer = [format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes(), &coded].concat();
    let server = Server::start(vec![then_close(answer)]).await;
    let sent = fetcher().send(&server.lan(), Request::get(server.url("/"))).await;
    let response = sent.unwrap();
    assert_eq!(response.content_length(), None);
    let gone = [header::CONTENT_LENGTH, header::CONTENT_ENCODING];
    assert!(gone.iter().all(|name| !response.headers().contains_key(name)));
}

/// Names are judged by what they resolve to, before anything is dialled.
#[tokio::test]
async fn names_of_private_addresses() {
    let mut server = Server::start(vec![answers([HI]), answers([HI]), answers([HI])]).await;
    let port = server.address.port();
    let open = Policy { ports: vec![port], ..Policy::default() };
    // The resolver knows ways to write an address that a URL cannot spell.
    for name in ["localhost", "0x7f000001", "127.1"] {
        let vetted = crate::resolve::vetted(&open, name, port).await;
        assert!(vetted.is_err_and(|error| error.is_denied()), "{name}");
    }
    let url = Url::parse(&format!("http://localhost:{port}/")).unwrap();
    let connected = super::connect::connect(&open, &url, Duration::from_secs(3)).await;
    assert!(connected.is_err_and(|error| error.is_denied()));
    let by_name = fetcher().send(&server.lan(), Request::get(url.clone())).await;
    assert_eq!(read(by_name).await.unwrap(), b"hi");
    assert_eq!(server.connections(), [0]);
    let fetcher = Fetcher::new(Timeouts::default(), vec![server.address]);
    let ourselves = fetcher.send(&server.lan(), Request::get(url)).await;
    assert!(ourselves.is_err_and(|error| error.is_denied()));
    assert!(server.connections().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_not_read_closes_its_connection() {
    for head in ["content-length: 5000000", "transfer-encoding: chunked", "x: y"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello");
        let mut server = Server::start(vec![answers([&answer])]).await;
        let sent = fetcher().send(&server.lan(), Request::get(server.url("/"))).await;
        drop(sent.unwrap());
        assert_eq!(server.log.recv().await.unwrap().1, "GET / HTTP/1.1");
        assert_eq!(server.log.recv().await.unwrap(), (0, CLOSED.to_owned()), "{head}");
    }
}

#[tokio::test]
async fn silence_has_its_limits() {
    let slow = Timeouts {
        first_byte: Duration::from_millis(50),
        idle: Duration::from_millis(50),
        ..Timeouts::default()
    };
    for (answer, bytes) in
        [("", 0), ("HTTP/1.1 200 OK\r\n", 0), ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", 2)]
    {
        let server = Server::start(vec![answers([answer])]).await;
        let fetcher = Fetcher::new(slow, vec![]);
        let sent = fetcher.send(&server.lan(), Request::get(server.url("/"))).await;
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
        assert_eq!((error.kind, received), (Kind::Timeout, bytes), "{answer:?}");
    }
}

/// A server of one large body per connection, on a thread of its own, as fast as it goes.
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

async fn open(address: SocketAddr) -> Response {
    let allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    let policy = Policy { allow_private, ports: vec![address.port()] };
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    fetcher().send(&policy, Request::get(url)).await.unwrap()
}

fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

/// What is held of a body is its bytes: one block ends where the next begins.
#[tokio::test]
async fn memory_that_is_held() {
    const LENGTH: usize = 4 * 1024 * 1024 + 12_345;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let mut response = open(flood(head, sample(LENGTH), 1)).await;
    let mut chunks = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert!(chunks.concat() == sample(LENGTH));
    // Chunks of one block lie side by side.
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
    // A tail's memory is its own size, not a block's.
    assert!(full.len() <= LENGTH / (BLOCK - 16 * 1024), "{blocks:?}");
}

/// Who passes chunks on and lets go of them reads into the same memory all the time.
#[tokio::test]
async fn memory_that_is_used_again() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let mut response = open(flood(head, sample(LENGTH), 1)).await;
    let (mut used, mut received) = (BTreeSet::new(), 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        assert!(chunk.iter().zip(received..).all(|(byte, n)| usize::from(*byte) == n % 251));
        received += chunk.len();
        used.insert(chunk.as_ptr() as usize);
        used.insert(chunk.as_ptr_range().end as usize);
    }
    assert_eq!(received, LENGTH);
    assert!(used.last().unwrap() - used.first().unwrap() <= BLOCK);
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
            let mut response = open(address).await;
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

/// Small chunks and bodies without a length go through the buffer, and are held exactly.
#[tokio::test]
async fn large_bodies_without_a_length() {
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
        let mut response = open(flood(format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), sent, 1)).await;
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
