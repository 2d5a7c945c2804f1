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
        .route("/away", get(|| async { Redirect::temporary("http://localhost:1/") }))
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
        ("/hops/3", Ok("http://page.example/")),
        ("/hops/4", Err(Kind::TooManyRedirects)),
        ("/metadata", Err(Kind::BadRedirect)),
    ] {
        let headers = crate::source_headers([("Referer", "http://page.example/")]).unwrap();
        let request = Request::get(url(address, path)).source_headers(headers);
        assert_eq!(text(&policy, request).await, expected.map(str::to_owned), "{path}");
    }
}

#[tokio::test]
async fn source_headers_stay_with_their_origin() {
    let address = upstream().await;
    let mut request = Request::get(url(address, "/away"))
        .source_headers(crate::source_headers([("Referer", "http://page.example/")]).unwrap());
    follow(&mut request, "http://elsewhere.example/".parse().unwrap(), StatusCode::FOUND);
    assert!(request.source_headers.is_empty());
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
