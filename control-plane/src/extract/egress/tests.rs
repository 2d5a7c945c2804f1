use axum::Router;
use axum::extract::Request as UpstreamRequest;
use axum::response::Redirect;
use axum::routing::{get, post};
use pitwall_fetch::Timeouts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn upstream() -> SocketAddr {
    let echo = |request: UpstreamRequest| async move {
        let proxy = request.headers().contains_key("proxy-authorization");
        let host = request.headers().get("host").map(|it| it.to_str().unwrap().to_owned());
        format!("{} {} {proxy}", request.uri(), host.unwrap_or_default())
    };
    let router = Router::new()
        .route("/echo", get(echo))
        .route("/body", post(|body: String| async move { body }))
        .route("/metadata", get(|| async { Redirect::temporary("http://169.254.169.254/x") }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn policy(address: SocketAddr) -> AddressPolicy {
    AddressPolicy {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        ports: vec![address.port()],
    }
}

async fn open(policy: AddressPolicy) -> LoopbackProxy {
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    LoopbackProxy::start(Arc::new(fetcher), policy).await.unwrap()
}

/// Sends `text` to the proxy, with its credentials for `AUTH`, and returns all that it sends back.
async fn send_raw(egress: &LoopbackProxy, text: &str) -> String {
    let basic = STANDARD.encode(format!("{PROXY_USER}:{}", egress.secret));
    let text = text.replace("AUTH", &format!("Proxy-Authorization: Basic {basic}\r\n"));
    let mut stream = TcpStream::connect(egress.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    // A proxy that refuses the request may reset the connection.
    let _ = stream.read_to_end(&mut response).await;
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn plain_requests_and_tunnels() {
    let site = upstream().await;
    let egress = open(policy(site)).await;
    let port = site.port();
    for (text, expected) in [
        (
            format!(
                "GET http://{site}/echo?a=1 HTTP/1.1\r\nHost: evil\r\nAUTHConnection: close\r\n\r\n"
            ),
            format!("\r\n\r\n/echo?a=1 {site} false"),
        ),
        (
            format!(
                "POST http://{site}/body HTTP/1.1\r\nHost: x\r\nAUTHContent-Length: 4\r\nConnection: close\r\n\r\nbody"
            ),
            "\r\n\r\nbody".to_owned(),
        ),
        (
            format!(
                "CONNECT localhost:{port} HTTP/1.1\r\nHost: x\r\nAUTH\r\nGET /echo HTTP/1.1\r\nHost: in\r\nConnection: close\r\n\r\n"
            ),
            "\r\n\r\n/echo in false".to_owned(),
        ),
        // The client follows a redirect over another connection, which is vetted again.
        (
            format!(
                "GET http://{site}/metadata HTTP/1.1\r\nHost: x\r\nAUTHConnection: close\r\n\r\n"
            ),
            "307 Temporary Redirect".to_owned(),
        ),
    ] {
        let response = send_raw(&egress, &text).await;
        assert!(response.contains(&expected), "{text}\n{response}");
    }
    assert_eq!(egress.first_denial.get(), None);
}

#[tokio::test]
async fn denied_targets_bad_urls_and_missing_credentials_are_refused() {
    let site = upstream().await;
    let port = site.port();
    let wide = open(policy(site)).await;
    let narrow = open(AddressPolicy { allow_private: Vec::new(), ..policy(site) }).await;
    for (egress, request_line, status) in [
        (&narrow, format!("GET http://{site}/echo"), 403),
        (&narrow, format!("GET http://localhost:{port}/echo"), 403),
        (&narrow, format!("CONNECT {site}"), 403),
        (&narrow, format!("CONNECT [::ffff:127.0.0.1]:{port}"), 403),
        (&wide, "CONNECT 127.0.0.1:22".to_owned(), 403),
        (&wide, "GET http://169.254.169.254/latest/".to_owned(), 403),
        (&wide, "CONNECT 169.254.169.254:80".to_owned(), 403),
        (&wide, "GET /echo".to_owned(), 400),
        (&wide, "GET https://a.example/".to_owned(), 400),
        (&wide, "GET ftp://a.example/".to_owned(), 400),
    ] {
        let text = format!("{request_line} HTTP/1.1\r\nHost: x\r\nAUTHConnection: close\r\n\r\n");
        let response = send_raw(egress, &text).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{request_line}: {response}");
    }
    assert_eq!(
        narrow.first_denial.get(),
        Some(&PolicyDenial::PrivateAddress([127, 0, 0, 1].into())),
        "the first"
    );
    assert_eq!(wide.first_denial.get(), Some(&PolicyDenial::Port(22)));
    for credentials in ["", "Proxy-Authorization: Basic cGl0d2FsbDp4\r\n"] {
        let text = format!(
            "GET http://{site}/echo HTTP/1.1\r\nHost: x\r\n{credentials}Connection: close\r\n\r\n"
        );
        let response = send_raw(&wide, &text).await;
        assert!(response.starts_with("HTTP/1.1 407 "), "{response}");
    }
}

#[tokio::test]
async fn listener_and_tunnels_end_when_the_proxy_is_dropped() {
    let site = upstream().await;
    let egress = open(policy(site)).await;
    let address = egress.address;
    let basic = STANDARD.encode(format!("{PROXY_USER}:{}", egress.secret));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text =
        format!("CONNECT {site} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {basic}\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(egress);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
