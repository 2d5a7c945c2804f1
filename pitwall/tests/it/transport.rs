//! HTTP/1.1, HTTP/2 over TLS, and what is refused before any route.

use std::net::SocketAddr;

use http::Version;
use rcgen::generate_simple_self_signed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Edge, client};

const QUIET: &str = "[schedule]\nproviders = []\n";

#[tokio::test]
async fn the_shortest_request_is_answered() {
    let edge = Edge::start(QUIET).await;
    let answer = raw(edge.address, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn tls_offers_http_2() {
    let folder = tempfile::tempdir().unwrap();
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config =
        format!("{QUIET}[edge.tls]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display());
    let edge = Edge::start(&config).await;
    let _ = client();
    let trusting = |http1: bool| {
        let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        let builder = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        let builder = if http1 { builder.http1_only() } else { builder };
        builder.resolve("localhost", edge.address).build().unwrap()
    };
    for (http1, version) in [(false, Version::HTTP_2), (true, Version::HTTP_11)] {
        let url = format!("https://localhost:{}/api/status", edge.address.port());
        let answer = trusting(http1).get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let head = trusting(http1).head(url).send().await.unwrap();
        assert_eq!(head.status(), 200);
    }
}

/// Sends bytes as they are, and reads what comes back until the edge closes or is silent.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn what_is_refused_before_any_route() {
    let edge = Edge::start(QUIET).await;
    let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(40 * 1024));
    let get = |headers: &str| format!("GET /proxy HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    for (request, status) in [
        (get(""), 401),
        (get(&many), 431),
        (get(&large), 431),
        (get("content-length: 5\r\n") + "hello", 413),
        (get("content-length: +1\r\n") + "h", 400),
        (get("content-length: 1\r\ncontent-length: 2\r\n") + "h", 400),
        ("POST /relay HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_owned(), 405),
        ("TRACE /relay HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), 405),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n".to_owned(), 405),
    ] {
        let answer = raw(edge.address, request.as_bytes()).await;
        let got = answer.split(' ').nth(1).unwrap_or("nothing");
        let line = request.lines().next().unwrap();
        assert_eq!(got, status.to_string(), "{line} with {} bytes", request.len());
    }
}
