use std::io::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap as AxumHeaders;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get};

use super::*;

/// "one two one two one two", as the tools of each coding write it.
const CODED: [(&str, &str); 4] = [
    ("gzip", "1f8b0800000000000203cbcf4b552829cf57c847a501399e164f17000000"),
    ("br", "a1b000c06fa4743596cab732ba0471bb0b7dc201290f"),
    ("zstd", "28b52ffd2417750000406f6e652074776f200100eb0a17fdc420dc"),
    ("deflate", "789ccbcf4b552829cf57c847a50165240875"),
];

async fn upstream() -> SocketAddr {
    let hops = |Path(left): Path<u32>, headers: AxumHeaders| async move {
        if left > 0 {
            return Redirect::temporary(&format!("/hops/{}", left - 1)).into_response();
        }
        let referer = headers.get("referer").map(|value| value.to_str().unwrap().to_owned());
        referer.unwrap_or_else(|| "no referer".into()).into_response()
    };
    let router = Router::new()
        .route("/hops/{left}", get(hops))
        .route("/metadata", get(|| async { Redirect::temporary("http://169.254.169.254/latest") }))
        .route(
            "/gzip",
            get(|| async {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&[b'a'; 100_000]).unwrap();
                ([("content-encoding", "gzip")], encoder.finish().unwrap())
            }),
        )
        .route(
            "/coded/{coding}",
            get(|Path(coding): Path<String>| async move {
                let (_, hex) = CODED.into_iter().find(|(name, _)| *name == coding).unwrap();
                let digits: Vec<u8> =
                    hex.bytes().map(|d| (d as char).to_digit(16).unwrap() as u8).collect();
                let body: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
                ([("content-encoding", coding)], body)
            }),
        )
        .route("/method", any(|method: axum::http::Method| async move { method.to_string() }))
        .route("/see-other", any(|| async { Redirect::to("/method") }))
        .route(
            "/cookie",
            get(|| async {
                ([("set-cookie", "sid=7; Path=/")], Redirect::temporary("/cookie-check"))
            }),
        )
        .route(
            "/cookie-check",
            get(|headers: AxumHeaders| async move {
                headers
                    .get("cookie")
                    .map_or("none".to_owned(), |value| value.to_str().unwrap().to_owned())
            }),
        )
        .route("/never", get(|| async { std::future::pending::<()>().await }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn lan(address: SocketAddr) -> Policy {
    Policy { allow_private: vec!["127.0.0.0/8".parse().unwrap()], ports: vec![address.port(), 1] }
}

fn fetcher() -> Fetcher {
    Fetcher::new(Timeouts { first_byte: Duration::from_millis(300), ..Timeouts::default() }, vec![])
}

fn url(address: SocketAddr, path: &str) -> Url {
    Url::parse(&format!("http://{address}{path}")).unwrap()
}

async fn text(policy: &Policy, request: Request<'_>) -> Result<String, Kind> {
    let response = fetcher().send(policy, request).await.map_err(|error| error.kind)?;
    let body = response.bytes(200_000).await.map_err(|error| error.kind)?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn redirects() {
    let address = upstream().await;
    let policy = lan(address);
    for (path, expected) in [
        ("/hops/0", Ok("http://page.example/")),
        ("/hops/10", Ok("http://page.example/")),
        ("/hops/11", Err(Kind::TooManyRedirects)),
        ("/metadata", Err(Kind::BadRedirect)),
    ] {
        let headers = crate::source_headers([("Referer", "http://page.example/")]).unwrap();
        let request = Request::get(url(address, path)).source_headers(headers);
        assert_eq!(text(&policy, request).await, expected.map(str::to_owned), "{path}");
    }
}

/// Leads to another origin, which answers with what it was sent.
async fn led_away() -> (SocketAddr, SocketAddr) {
    let echo = |method: axum::http::Method, headers: AxumHeaders, body: Bytes| async move {
        let field = |name| headers.get(name).map_or("-", |value| value.to_str().unwrap());
        let fields = ["authorization", "cookie", "referer", "user-agent"].map(field).join(" ");
        format!("{method} {fields} {}", String::from_utf8_lossy(&body))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    let router = Router::new().route("/echo", any(echo));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let away = move |Path(status): Path<u16>| async move {
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        (status, [("location", format!("http://{there}/echo"))])
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    let router = Router::new().route("/away/{status}", any(away));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (here, there)
}

#[tokio::test]
async fn credentials_and_bodies_stay_with_their_origin() {
    let (here, there) = led_away().await;
    let policy = Policy { ports: vec![here.port(), there.port()], ..lan(here) };
    let fields = [
        ("Authorization", "Bearer x"),
        ("Cookie", "sid=7"),
        ("Referer", "http://page.example/"),
        ("User-Agent", "tv"),
    ];
    for (method, status, expected) in [
        (Method::GET, 302, Ok("GET - - http://page.example/ tv ")),
        (Method::GET, 307, Ok("GET - - http://page.example/ tv ")),
        (Method::POST, 303, Ok("GET - - http://page.example/ tv ")),
        (Method::POST, 307, Err(Kind::BadRedirect)),
    ] {
        let url = url(here, &format!("/away/{status}"));
        let content_type = HeaderValue::from_static("text/plain");
        let request = match method {
            Method::GET => Request::get(url),
            _ => Request::post(url, Body { content_type, bytes: Bytes::from_static(b"secret") }),
        };
        let request = request.source_headers(crate::source_headers(fields).unwrap());
        let got = text(&policy, request).await;
        assert_eq!(got, expected.map(str::to_owned), "{method} {status}");
    }
}

#[tokio::test]
async fn a_private_address_is_reached_through_a_redirect_if_its_host_is_named_too() {
    let (here, there) = led_away().await;
    let policy = Policy { ports: vec![here.port(), there.port()], ..lan(here) };
    for (named, expected) in [
        (vec![here, there], Ok(())),
        (vec![here], Err(Kind::BadRedirect)),
        (vec![there], Err(Kind::Denied)),
    ] {
        let is_named = move |url: &Url| named.iter().any(|one| Some(one.port()) == url.port());
        let mut request = Request::get(url(here, "/away/302"));
        request.private_hosts = Some(Arc::new(is_named));
        assert_eq!(text(&policy, request).await.map(|_| ()), expected);
    }
}

#[tokio::test]
async fn the_final_url_is_the_base() {
    let address = upstream().await;
    let request = Request::get(url(address, "/hops/2"));
    let response = fetcher().send(&lan(address), request).await.unwrap();
    assert_eq!(response.url().path(), "/hops/0");
}

#[tokio::test]
async fn a_post_that_is_told_to_see_other_becomes_a_get() {
    let address = upstream().await;
    let body = Body {
        content_type: HeaderValue::from_static("text/plain"),
        bytes: Bytes::from_static(b"x"),
    };
    let request = Request::post(url(address, "/see-other"), body);
    assert_eq!(text(&lan(address), request).await.unwrap(), "GET");
}

#[tokio::test]
async fn cookies_are_kept_between_hops() {
    let address = upstream().await;
    let jar = Jar::default();
    let request = Request::get(url(address, "/cookie")).cookies(&jar);
    assert_eq!(text(&lan(address), request).await.unwrap(), "sid=7");
}

#[tokio::test]
async fn every_coding_is_undone() {
    let address = upstream().await;
    for (coding, _) in CODED {
        let request = Request::get(url(address, &format!("/coded/{coding}")));
        assert_eq!(
            text(&lan(address), request).await.unwrap(),
            "one two one two one two",
            "{coding}"
        );
    }
}

#[tokio::test]
async fn bodies_are_decoded_and_capped_by_their_decoded_length() {
    let address = upstream().await;
    let policy = lan(address);
    let get = || Request::get(url(address, "/gzip"));
    assert_eq!(text(&policy, get()).await.unwrap().len(), 100_000);
    let response = fetcher().send(&policy, get()).await.unwrap();
    assert_eq!(response.bytes(99_999).await.unwrap_err().kind, Kind::TooLarge);
}

#[tokio::test]
async fn what_cannot_be_reached() {
    let address = upstream().await;
    let closed = SocketAddr::from(([127, 0, 0, 1], 1));
    for (policy, target, expected) in [
        (lan(address), url(closed, "/"), Kind::Connect),
        (lan(address), url(address, "/never"), Kind::Timeout),
        (Policy::default(), url(address, "/hops/0"), Kind::Denied),
        (
            Policy { ports: vec![address.port()], ..Policy::default() },
            Url::parse(&format!("http://localhost:{}/hops/0", address.port())).unwrap(),
            Kind::Denied,
        ),
        (lan(address), Url::parse("http://no-such-name.invalid/").unwrap(), Kind::Resolve),
    ] {
        assert_eq!(
            text(&policy, Request::get(target.clone())).await.unwrap_err(),
            expected,
            "{target}"
        );
    }
}

#[tokio::test]
async fn our_own_listeners_are_not_upstreams() {
    let address = upstream().await;
    let fetcher = Fetcher::new(Timeouts::default(), vec![address]);
    let refused = fetcher.send(&lan(address), Request::get(url(address, "/hops/0"))).await;
    assert!(refused.is_err_and(|error| error.is_denied()));
}
