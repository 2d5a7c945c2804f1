//! HTTP/1.1, HTTP/2 over TLS, and what is refused before any route.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::Version;
use rcgen::generate_simple_self_signed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::{Edge, client, eventually, fetch, plain};

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
    let router = Router::new().fallback(get(|| async { vec![7_u8; 300_000] }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = format!(
        "{QUIET}[edge.tls]\ncert = {cert:?}\nkey = {key:?}\n\
         [upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n"
    );
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

        // Many segments at once, over one connection where the protocol can.
        let client = trusting(http1);
        let segments = (0..20).map(|n| {
            let path = plain("/relay", &format!("http://{upstream}/{n}.ts"));
            let url = format!("https://localhost:{}{path}", edge.address.port());
            let (whole, part) = (client.get(&url), client.get(&url).header("range", "bytes=5-9"));
            async move {
                let whole = whole.send().await.unwrap().bytes().await.unwrap().len();
                let part = part.send().await.unwrap();
                (whole, part.status().as_u16(), part.bytes().await.unwrap().len())
            }
        });
        for got in futures::future::join_all(segments).await {
            assert_eq!(got, (300_000, 206, 5));
        }
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

#[tokio::test]
async fn what_runs_at_sigterm_is_finished() {
    let gate = Arc::new(Semaphore::new(0));
    let pieces = gate.clone();
    let slow = move || {
        let pieces = pieces.clone();
        async move {
            axum::body::Body::from_stream(futures::stream::unfold(0, move |sent| {
                let pieces = pieces.clone();
                async move {
                    if sent == 10 {
                        return None;
                    }
                    pieces.acquire().await.unwrap().forget();
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
        "{QUIET}[upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n"
    );
    let mut edge = Edge::start(&config).await;
    let transfers = (0..20).map(|n| {
        let url = edge.url(&plain("/relay", &format!("http://{upstream}/{n}.ts")));
        async move { fetch(&url).await.unwrap() }
    });
    let running = futures::future::join_all(transfers).await;
    edge.terminate();
    // It says that it is going, and then takes nobody any more.
    let ready = format!("http://{}/readyz", edge.admin);
    eventually("unready", || async {
        fetch(&ready).await.ok().filter(|answer| answer.status() == 503).map(drop)
    })
    .await;
    let closed = edge.url("/healthz");
    eventually("closed", || async { fetch(&closed).await.err().map(drop) }).await;
    gate.add_permits(20 * 10);
    for answer in running {
        assert_eq!(answer.bytes().await.unwrap().len(), 100_000, "truncated");
    }
    assert!(edge.ended());
}
