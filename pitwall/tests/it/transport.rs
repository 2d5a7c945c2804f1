//! HTTP/1.1, HTTP/2 over TLS, requests that are refused before routing, and limits per client.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use futures::StreamExt;
use http::Version;
use rcgen::generate_simple_self_signed;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::{Edge, client, eventually, fetch, plain_link};

const NO_SCHEDULE_CONFIG: &str = "[schedule]\nproviders = []\n";

#[tokio::test]
async fn the_shortest_request_is_answered() {
    let edge = Edge::start(NO_SCHEDULE_CONFIG).await;
    let response = send_raw(edge.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(
        response.starts_with("HTTP/1.0 200") || response.starts_with("HTTP/1.1 200"),
        "{response}"
    );
}

/// An edge with a self-signed certificate, in front of an upstream whose path names the length of
/// its content.
struct TlsEdge {
    edge: Edge,
    upstream: SocketAddr,
    certificate: String,
}

impl TlsEdge {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
        std::fs::write(&cert, certified.cert.pem()).unwrap();
        std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        let body = |Path((length, _)): Path<(usize, String)>| async move { vec![7_u8; length] };
        let router = Router::new().route("/{length}/{name}", get(body));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let config = format!(
            "{NO_SCHEDULE_CONFIG}[edge.tls]\ncert = {cert:?}\nkey = {key:?}\n\
             [upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n"
        );
        let edge = Edge::start(&config).await;
        let _ = client();
        Self { edge, upstream, certificate: certified.cert.pem() }
    }

    fn client(&self, http1: bool) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        let builder = if http1 { builder.http1_only() } else { builder };
        builder.resolve("localhost", self.edge.address).build().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.edge.address.port())
    }

    fn relay(&self, length: usize, name: &str) -> String {
        self.url(&plain_link("/relay", &format!("http://{}/{length}/{name}", self.upstream)))
    }
}

#[tokio::test]
async fn tls_offers_http_2() {
    let secured = TlsEdge::start().await;
    for (http1, version) in [(false, Version::HTTP_2), (true, Version::HTTP_11)] {
        let url = secured.url("/api/status");
        let response = secured.client(http1).get(&url).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        let head = secured.client(http1).head(url).send().await.unwrap();
        assert_eq!(head.status(), 200);

        // Concurrent segments, with HTTP/2 on one connection.
        let client = secured.client(http1);
        let segments = (0..20).map(|n| {
            let url = secured.relay(300_000, &format!("{n}.ts"));
            let (whole, partial) =
                (client.get(&url), client.get(&url).header("range", "bytes=5-9"));
            async move {
                let whole = whole.send().await.unwrap().bytes().await.unwrap().len();
                let partial = partial.send().await.unwrap();
                (whole, partial.status().as_u16(), partial.bytes().await.unwrap().len())
            }
        });
        for got in futures::future::join_all(segments).await {
            assert_eq!(got, (300_000, 206, 5));
        }
    }
}

#[tokio::test]
async fn a_stalled_stream_does_not_block_others_on_its_connection() {
    const LENGTH: usize = 8 << 20;
    let secured = TlsEdge::start().await;
    let client = secured.client(false);
    let stalled = client.get(secured.relay(LENGTH, "stalled.ts")).send().await.unwrap();
    assert_eq!(stalled.version(), Version::HTTP_2);
    let tiles = (0..3).map(|n| {
        let tile = client.get(secured.relay(LENGTH, &format!("{n}.ts")));
        async move { tile.send().await.unwrap().bytes().await.unwrap().len() }
    });
    assert_eq!(futures::future::join_all(tiles).await, [LENGTH; 3]);
    assert_eq!(stalled.bytes().await.unwrap().len(), LENGTH);
}

#[tokio::test]
async fn tls_sessions_are_resumed() {
    let secured = TlsEdge::start().await;
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(secured.certificate.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let config = Arc::new(config.with_no_client_auth());
    let address = secured.edge.address;
    let handshake = move || {
        let name = "localhost".try_into().unwrap();
        let mut tls = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut stream);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut response = [0; 12];
        stream.read_exact(&mut response).unwrap();
        assert_eq!(&response, b"HTTP/1.1 200");
        tls.handshake_kind().unwrap()
    };
    let kinds = tokio::task::spawn_blocking(move || [handshake(), handshake()]).await.unwrap();
    assert_eq!(kinds, [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed]);
}

/// Sends raw bytes; the result of the first read of the response, up to 4 KiB.
async fn send_raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = vec![0; 4096];
    let read = stream.read(&mut response).await.unwrap_or(0);
    String::from_utf8_lossy(&response[..read]).into_owned()
}

#[tokio::test]
async fn requests_refused_before_routing() {
    let edge = Edge::start(NO_SCHEDULE_CONFIG).await;
    let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(40 * 1024));
    let get = |headers: &str| format!("GET /proxy HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    for (request, status) in [
        (get(""), 401),
        (get(&many), 431),
        (get(&large), 431),
        ("GET /proxy HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET http://x/proxy HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET /proxy HTTP/1.0\r\n\r\n".to_owned(), 401),
        (get("content-length: 5\r\n") + "hello", 413),
        (get("content-length: +1\r\n") + "h", 400),
        (get("content-length: 1\r\ncontent-length: 2\r\n") + "h", 400),
        ("POST /relay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_owned(), 405),
        ("TRACE /relay HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 405),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n".to_owned(), 405),
    ] {
        let response = send_raw(edge.address, request.as_bytes()).await;
        let got = response.split(' ').nth(1).unwrap_or("nothing");
        let line = request.lines().next().unwrap();
        assert_eq!(got, status.to_string(), "{line} with {} bytes", request.len());
    }
}

/// A body of unknown length is chunked, or ends with a connection that says so.
#[tokio::test]
async fn bodies_of_unknown_length_are_framed() {
    let endless = || async {
        let first = futures::stream::iter([Ok::<_, std::io::Error>("x")]);
        axum::body::Body::from_stream(first.chain(futures::stream::pending()))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let router = Router::new().fallback(get(endless));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = format!(
        "{NO_SCHEDULE_CONFIG}[upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n"
    );
    let edge = Edge::start(&config).await;
    let relay = |name| plain_link("/relay", &format!("http://{upstream}/{name}"));
    for (path, version, connection) in [
        // It ends when the edge makes way, and the connection with it.
        ("/api/events", "1.1", "close"),
        ("/api/events", "1.0", "close"),
        (&relay("1.ts"), "1.1", "keep-alive"),
        (&relay("2.ts"), "1.0", "close"),
    ] {
        let request =
            format!("GET {path} HTTP/{version}\r\nhost: x\r\nconnection: keep-alive\r\n\r\n");
        let response = send_raw(edge.address, request.as_bytes()).await.to_lowercase();
        let (head, _) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{path}: {head}");
        let is_chunked = head.contains("transfer-encoding: chunked");
        assert_eq!(is_chunked, version == "1.1", "{path} {version}: {head}");
        assert!(head.contains(&format!("connection: {connection}")), "{path} {version}: {head}");
    }
}

#[tokio::test]
async fn transfers_in_flight_at_sigterm_are_completed() {
    let gate = Arc::new(Semaphore::new(0));
    let chunk_permits = gate.clone();
    let slow = move || {
        let chunk_permits = chunk_permits.clone();
        async move {
            axum::body::Body::from_stream(futures::stream::unfold(0, move |sent| {
                let chunk_permits = chunk_permits.clone();
                async move {
                    if sent == 10 {
                        return None;
                    }
                    chunk_permits.acquire().await.unwrap().forget();
                    Some((Ok::<_, std::io::Error>(vec![1_u8; 10_000]), sent + 1))
                }
            }))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let router = Router::new().fallback(get(slow));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = format!(
        "{NO_SCHEDULE_CONFIG}[upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n"
    );
    let mut edge = Edge::start(&config).await;
    let transfers = (0..20).map(|n| {
        let url = edge.url(&plain_link("/relay", &format!("http://{upstream}/{n}.ts")));
        async move { fetch(&url).await.unwrap() }
    });
    let running = futures::future::join_all(transfers).await;
    edge.terminate();
    // During the drain the edge reports itself as not ready, then accepts no more connections.
    let ready = format!("http://{}/readyz", edge.admin);
    eventually("unready", || async {
        fetch(&ready).await.ok().filter(|response| response.status() == 503).map(drop)
    })
    .await;
    let closed = edge.url("/healthz");
    eventually("closed", || async { fetch(&closed).await.err().map(drop) }).await;
    gate.add_permits(20 * 10);
    for response in running {
        assert_eq!(response.bytes().await.unwrap().len(), 100_000, "truncated");
    }
    assert!(edge.wait_for_exit());
}

/// Sends a request on a keep-alive connection; the header section of the response in lower case,
/// `None` when the connection was closed.
async fn request_on_open_connection(stream: &mut TcpStream, forwarded: &str) -> Option<String> {
    let request =
        format!("GET /calendar.ics HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {forwarded}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte).await, Ok(1)) {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}

#[tokio::test]
async fn connections_per_client_are_limited() {
    let limits = "[edge.limits]\nconnections_per_client = 3\n";
    let edge = Edge::start(&format!("{NO_SCHEDULE_CONFIG}{limits}")).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        assert!(request_on_open_connection(&mut stream, "").await.is_some());
        streams.push(stream);
    }
    let mut refused = TcpStream::connect(edge.address).await.unwrap();
    assert_eq!(request_on_open_connection(&mut refused, "").await, None, "one too many");
    for stream in &mut streams {
        assert!(request_on_open_connection(stream, "").await.is_some(), "the others go on");
    }
    streams.pop();
    eventually("its place is given back", || async {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        request_on_open_connection(&mut stream, "").await
    })
    .await;
    // The limit does not apply to a trusted proxy, which serves many clients.
    let config = format!("{NO_SCHEDULE_CONFIG}{limits}[edge]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let edge = Edge::start(&config).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        assert!(request_on_open_connection(&mut stream, "192.0.2.1").await.is_some());
        streams.push(stream);
    }
}

#[tokio::test]
async fn requests_per_client_are_limited() {
    // A rate so low that less than one request is regained while the test runs.
    let limits = "[edge.limits]\nrequests_per_client = 1\nheader = \"1s\"\n";
    let trusted = "[edge]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let edge = Edge::start(&format!("{NO_SCHEDULE_CONFIG}{limits}{trusted}")).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    // A client that forges the beginning of `X-Forwarded-For` still counts as one client.
    for client in ["192.0.2.1", "192.0.2.2", "1.2.3.N, 192.0.2.3"] {
        let mut answers = Vec::new();
        for n in 0..20 {
            let forwarded = client.replace('N', &n.to_string());
            answers.push(request_on_open_connection(&mut stream, &forwarded).await.unwrap());
        }
        let refused: Vec<_> = answers.iter().filter(|head| head.contains(" 429 ")).collect();
        assert!((1..=18).contains(&refused.len()), "{client}: {}", refused.len());
        assert!(refused.iter().all(|head| head.contains("retry-after: 1")), "{client}");
    }
    let began = std::time::Instant::now();
    let mut slow = TcpStream::connect(edge.address).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!((1..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// Reads until the header section of a response has come; what came before the connection ended.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// A body that drips, a response that goes on and the wait for the next request have limits of
/// their own.
#[tokio::test]
async fn the_header_deadline_bounds_the_header_alone() {
    const BEYOND_THE_DEADLINE: std::time::Duration = std::time::Duration::from_millis(1500);
    let config = format!("{NO_SCHEDULE_CONFIG}[edge.limits]\nheader = \"1s\"\n");
    let edge = Edge::start(&config).await;
    let connect = || TcpStream::connect(edge.address);
    let post = b"POST /api/cmcd HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n\
                 content-length: 7\r\n\r\ncid";
    let body_drips = async {
        let mut stream = connect().await.unwrap();
        stream.write_all(post).await.unwrap();
        for byte in b"=\"x\"" {
            tokio::time::sleep(BEYOND_THE_DEADLINE / 4).await;
            stream.write_all(&[*byte]).await.unwrap();
        }
        read_head(&mut stream).await
    };
    let is_idle = async {
        let mut stream = connect().await.unwrap();
        request_on_open_connection(&mut stream, "192.0.2.1").await.unwrap();
        tokio::time::sleep(BEYOND_THE_DEADLINE).await;
        request_on_open_connection(&mut stream, "192.0.2.1").await.unwrap_or_default()
    };
    let response_goes_on = async {
        let mut stream = connect().await.unwrap();
        stream.write_all(b"GET /api/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let head = read_head(&mut stream).await;
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(BEYOND_THE_DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_err(), "the events have ended: {}", String::from_utf8_lossy(&rest));
        head
    };
    let header_drips = async {
        let mut stream = connect().await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        tokio::time::sleep(BEYOND_THE_DEADLINE).await;
        let _ = stream.write_all(b"\r\n").await;
        read_head(&mut stream).await
    };
    let (posted, idle, events, dripped) =
        tokio::join!(body_drips, is_idle, response_goes_on, header_drips);
    // The body was read: it names a stream that does not exist.
    assert!(posted.starts_with("HTTP/1.1 404"), "a body may take longer: {posted:?}");
    assert!(idle.starts_with("http/1.1 "), "an idle connection stays: {idle:?}");
    assert!(events.starts_with("HTTP/1.1 200"), "{events}");
    assert!(!dripped.contains(" 200 "), "a header that drips is cut off: {dripped}");
}

/// One client at all its places leaves those of others alone; an IPv6 client is a /64.
#[tokio::test]
async fn event_streams_are_limited_per_client() {
    let limits = "[edge.limits]\nevent_streams = 6\nevent_streams_per_client = 2\n";
    let trusted = "[edge]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let edge = Edge::start(&format!("{NO_SCHEDULE_CONFIG}{limits}{trusted}")).await;
    let mut streams = Vec::new();
    for (client, expected) in [
        ("192.0.2.1", " 200 "),
        ("192.0.2.1", " 200 "),
        ("192.0.2.1", " 429 "),
        ("192.0.2.2", " 200 "),
        ("2001:db8::1", " 200 "),
        ("2001:db8::2", " 200 "),
        ("2001:db8::3", " 429 "),
        ("2001:db8:0:1::1", " 200 "),
        ("192.0.2.3", " 503 "),
    ] {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        let request =
            format!("GET /api/events HTTP/1.1\r\nhost: x\r\nx-forwarded-for: {client}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.contains(expected), "{client}: {head}");
        streams.push(stream);
    }
    drop(streams);
    eventually("places are given back", || async {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        let request = "GET /api/events HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.1\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        read_head(&mut stream).await.contains(" 200 ").then_some(())
    })
    .await;
}
