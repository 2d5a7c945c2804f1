use axum::Router;
use axum::extract::Request as Asked;
use axum::response::Redirect;
use axum::routing::{get, post};
use pitwall_fetch::Timeouts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn upstream() -> SocketAddr {
    let echo = |request: Asked| async move {
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

fn policy(address: SocketAddr) -> Policy {
    Policy { allow_private: vec!["127.0.0.0/8".parse().unwrap()], ports: vec![address.port()] }
}

async fn open(policy: Policy) -> Outbound {
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    Outbound::open(Arc::new(fetcher), policy).await.unwrap()
}

/// Says this to the proxy, `AUTH` being its credentials, and returns what comes back.
async fn say(outbound: &Outbound, text: &str) -> String {
    let basic = STANDARD.encode(format!("{USER}:{}", outbound.secret));
    let text = text.replace("AUTH", &format!("Proxy-Authorization: Basic {basic}\r\n"));
    let mut stream = TcpStream::connect(outbound.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // One that refuses may close while it is still being talked to.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn plain_requests_and_tunnels() {
    let site = upstream().await;
    let outbound = open(policy(site)).await;
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
        // A redirect is the client's to follow, which is another connection.
        (
            format!(
                "GET http://{site}/metadata HTTP/1.1\r\nHost: x\r\nAUTHConnection: close\r\n\r\n"
            ),
            "307 Temporary Redirect".to_owned(),
        ),
    ] {
        let answer = say(&outbound, &text).await;
        assert!(answer.contains(&expected), "{text}\n{answer}");
    }
    assert_eq!(outbound.refused.get(), None);
}

#[tokio::test]
async fn what_is_refused() {
    let site = upstream().await;
    let port = site.port();
    let wide = open(policy(site)).await;
    let narrow = open(Policy { allow_private: Vec::new(), ..policy(site) }).await;
    for (outbound, line, status) in [
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
        let text = format!("{line} HTTP/1.1\r\nHost: x\r\nAUTHConnection: close\r\n\r\n");
        let answer = say(outbound, &text).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
    assert_eq!(narrow.refused.get(), Some(&Denial::Private([127, 0, 0, 1].into())), "the first");
    assert_eq!(wide.refused.get(), Some(&Denial::Port(22)));
    for credentials in ["", "Proxy-Authorization: Basic cGl0d2FsbDp4\r\n"] {
        let text = format!(
            "GET http://{site}/echo HTTP/1.1\r\nHost: x\r\n{credentials}Connection: close\r\n\r\n"
        );
        let answer = say(&wide, &text).await;
        assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
    }
}

#[tokio::test]
async fn all_of_it_ends_with_the_run() {
    let site = upstream().await;
    let outbound = open(policy(site)).await;
    let address = outbound.address;
    let basic = STANDARD.encode(format!("{USER}:{}", outbound.secret));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text =
        format!("CONNECT {site} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {basic}\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop(outbound);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
