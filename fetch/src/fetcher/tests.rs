use std::io::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap as AxumHeaders;
use axum::response::{IntoResponse, Redirect};
use axum::routing::{any, get};
use bytes::Bytes;
use http::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::cookies::CookieJar;
use crate::request::RequestBody;

/// "one two one two one two", compressed with the tool of each coding.
const CODED: [(&str, &str); 4] = [
    ("gzip", "1f8b0800000000000203cbcf4b552829cf57c847a501399e164f17000000"),
    ("br", "a1b000c06fa4743596cab732ba0471bb0b7dc201290f"),
    ("zstd", "28b52ffd2417750000406f6e652074776f200100eb0a17fdc420dc"),
    ("deflate", "789ccbcf4b552829cf57c847a50165240875"),
];

async fn upstream() -> SocketAddr {
    let hops = |Path(remaining): Path<u32>, headers: AxumHeaders| async move {
        if remaining > 0 {
            return Redirect::temporary(&format!("/hops/{}", remaining - 1)).into_response();
        }
        let referer = headers.get("referer").map(|value| value.to_str().unwrap().to_owned());
        referer.unwrap_or_else(|| "no referer".into()).into_response()
    };
    let router = Router::new()
        .route("/hops/{remaining}", get(hops))
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

fn policy_for(address: SocketAddr) -> AddressPolicy {
    AddressPolicy {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        ports: vec![address.port()],
    }
}

fn fetcher() -> Fetcher {
    Fetcher::new(Timeouts { first_byte: Duration::from_millis(300), ..Timeouts::default() }, vec![])
}

fn url(address: SocketAddr, path: &str) -> Url {
    Url::parse(&format!("http://{address}{path}")).unwrap()
}

async fn fetch_text(
    policy: &AddressPolicy,
    request: Request<'_>,
) -> Result<String, FetchErrorKind> {
    let response = fetcher().send(policy, request).await.map_err(|error| error.kind)?;
    let body = response.bytes(200_000).await.map_err(|error| error.kind)?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    let address = upstream().await;
    let policy = policy_for(address);
    for (path, expected) in [
        ("/hops/0", Ok("http://page.example/")),
        ("/hops/10", Ok("http://page.example/")),
        ("/hops/11", Err(FetchErrorKind::TooManyRedirects)),
        ("/metadata", Err(FetchErrorKind::BadRedirect)),
    ] {
        let headers = crate::parse_source_headers([("Referer", "http://page.example/")]).unwrap();
        let request = Request::get(url(address, path)).with_source_headers(headers);
        assert_eq!(fetch_text(&policy, request).await, expected.map(str::to_owned), "{path}");
    }
}

#[test]
fn a_location_is_resolved_and_keeps_its_query_as_written() {
    let base = Url::parse("http://a.example/live/m.m3u8?old='1'").unwrap();
    for (location, expected) in [
        (&b"/b.m3u8?q='x'&r=%27"[..], "http://a.example/b.m3u8?q='x'&r=%27"),
        (b"b.m3u8?q='x'#top", "http://a.example/live/b.m3u8?q='x'"),
        (b"https://b.example/?q='x'", "https://b.example/?q='x'"),
        (b"b.m3u8#q='x'", "http://a.example/live/b.m3u8"),
        (b"/\xe9.m3u8?q=\xe9", "http://a.example/%E9.m3u8?q=%E9"),
    ] {
        let target = resolve_location(location, &base).unwrap();
        assert_eq!(crate::as_written(&target), expected);
    }
}

/// A server that redirects from `/away` to another origin and from `/stay` to itself; both respond
/// with what they received. Returns both addresses.
async fn redirect_to_other_origin() -> (SocketAddr, SocketAddr) {
    let echo = |method: axum::http::Method, headers: AxumHeaders, body: Bytes| async move {
        let field = |name| headers.get(name).map_or("-", |value| value.to_str().unwrap());
        let fields = ["authorization", "cookie", "referer", "user-agent"].map(field).join(" ");
        format!("{method} {fields} {}", String::from_utf8_lossy(&body))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let router = Router::new().route("/echo", any(echo));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let redirect = |location: String| {
        move |Path(status): Path<u16>| async move {
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            (status, [("location", location)])
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/away/{status}", any(redirect(format!("http://{target}/echo"))))
        .route("/stay/{status}", any(redirect("/echo".to_owned())))
        .route("/echo", any(echo));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (origin, target)
}

#[tokio::test]
async fn credentials_and_bodies_stay_with_their_origin() {
    let (origin, target) = redirect_to_other_origin().await;
    let policy = AddressPolicy { ports: vec![origin.port(), target.port()], ..policy_for(origin) };
    let fields = [
        ("Authorization", "Bearer x"),
        ("Cookie", "sid=7"),
        ("Referer", "http://page.example/"),
        ("User-Agent", "tv"),
    ];
    for (method, path, expected) in [
        (Method::GET, "/away/302", Ok("GET - - http://page.example/ tv ")),
        (Method::GET, "/away/307", Ok("GET - - http://page.example/ tv ")),
        (Method::POST, "/away/303", Ok("GET - - http://page.example/ tv ")),
        (Method::POST, "/away/307", Err(FetchErrorKind::BadRedirect)),
        // Their own origin gets them, so that the rows above are not about fields that nobody gets.
        (Method::GET, "/echo", Ok("GET Bearer x sid=7 http://page.example/ tv ")),
        (Method::GET, "/stay/302", Ok("GET Bearer x sid=7 http://page.example/ tv ")),
        (Method::POST, "/stay/307", Ok("POST Bearer x sid=7 http://page.example/ tv secret")),
    ] {
        let url = url(origin, path);
        let content_type = HeaderValue::from_static("text/plain");
        let request = match method {
            Method::GET => Request::get(url),
            _ => Request::post(
                url,
                RequestBody { content_type, bytes: Bytes::from_static(b"secret") },
            ),
        };
        let request = request.with_source_headers(crate::parse_source_headers(fields).unwrap());
        let got = fetch_text(&policy, request).await;
        assert_eq!(got, expected.map(str::to_owned), "{method} {path}");
    }
}

#[tokio::test]
async fn a_private_address_is_reached_through_a_redirect_if_its_host_is_named_too() {
    let (origin, target) = redirect_to_other_origin().await;
    let policy = AddressPolicy { ports: vec![origin.port(), target.port()], ..policy_for(origin) };
    for (named_hosts, expected) in [
        (vec![origin, target], Ok(())),
        (vec![origin], Err(FetchErrorKind::BadRedirect)),
        (vec![target], Err(FetchErrorKind::Denied)),
    ] {
        let is_named =
            move |url: &Url| named_hosts.iter().any(|host| Some(host.port()) == url.port());
        let mut request = Request::get(url(origin, "/away/302"));
        request.private_host_filter = Some(Arc::new(is_named));
        assert_eq!(fetch_text(&policy, request).await.map(|_| ()), expected);
    }
}

#[tokio::test]
async fn the_final_url_is_the_base() {
    let address = upstream().await;
    let request = Request::get(url(address, "/hops/2"));
    let response = fetcher().send(&policy_for(address), request).await.unwrap();
    assert_eq!(response.url().path(), "/hops/0");
}

#[tokio::test]
async fn a_post_becomes_a_get_after_see_other() {
    let address = upstream().await;
    let body = RequestBody {
        content_type: HeaderValue::from_static("text/plain"),
        bytes: Bytes::from_static(b"x"),
    };
    let request = Request::post(url(address, "/see-other"), body);
    assert_eq!(fetch_text(&policy_for(address), request).await.unwrap(), "GET");
}

#[tokio::test]
async fn cookies_are_kept_between_hops() {
    let address = upstream().await;
    for (configured, expected) in [(None, "sid=7"), (Some("a=1; sid=6"), "a=1; sid=7")] {
        let jar = CookieJar::default();
        let headers = configured.map(|value| ("Cookie", value));
        let request = Request::get(url(address, "/cookie"))
            .with_source_headers(crate::parse_source_headers(headers).unwrap())
            .with_cookie_jar(&jar);
        assert_eq!(fetch_text(&policy_for(address), request).await.unwrap(), expected);
    }
    let without_jar = Request::get(url(address, "/cookie"));
    assert_eq!(fetch_text(&policy_for(address), without_jar).await.unwrap(), "sid=7");
}

#[test]
fn locations_are_read_as_browsers_do() {
    let base = Url::parse("http://a.example/live/m.m3u8?x").unwrap();
    for (location, expected) in [
        (&b"/plain#t=10"[..], Some("http://a.example/plain")),
        (b"?a=b c", Some("http://a.example/live/m.m3u8?a=b%20c")),
        ("\\é".as_bytes(), Some("http://a.example/%C3%A9")),
        (b"caf\xe9?n=\xfc", Some("http://a.example/live/caf%E9?n=%FC")),
        (b"http://", None),
    ] {
        let target = resolve_location(location, &base);
        assert_eq!(target.as_ref().map(Url::as_str), expected, "{}", location.escape_ascii());
    }
}

/// The text that the client for `https:` reads, which needs no TLS to read responses.
async fn fetch_text_by_https_client(url: Url) -> Result<String, FetchErrorKind> {
    let policy = AddressPolicy {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        ..AddressPolicy::default()
    };
    let (own_listeners, port) = (Arc::new(OwnListeners::default()), url.port().unwrap());
    let timeout = Duration::from_secs(3);
    let client = https_client::HttpsClient::new(policy, own_listeners, port, timeout).unwrap();
    let request = Request::get(url.clone());
    let response = client.send(&request, None).await;
    let response = response.map_err(|error| error.kind)?;
    let body = UpstreamBody::Https(response.body);
    let response = UpstreamResponse::new(response.status, response.headers, body);
    let response = Response::new(response, false, url, Duration::from_secs(3));
    let body = response.bytes(200_000).await.map_err(|error| error.kind)?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_content_coding_is_decoded() {
    let address = upstream().await;
    for (coding, _) in CODED {
        let url = url(address, &format!("/coded/{coding}"));
        let text = fetch_text(&policy_for(address), Request::get(url.clone())).await;
        assert_eq!(text.unwrap(), "one two one two one two", "{coding}");
        let text = fetch_text_by_https_client(url).await;
        assert_eq!(text.unwrap(), "one two one two one two", "{coding}");
    }
}

/// Both clients read what a careless server sends.
#[tokio::test]
async fn both_clients_are_lenient() {
    let coded = "78 9c cb cf 4b 55 28 29 cf 57 c8 47 a5 01 65 24 08 75";
    let coded: Vec<u8> =
        coded.split(' ').map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let raw_deflate = &coded[2..coded.len() - 4];
    for (fields, body, expected) in [
        ("Content-Length : 2", &b"hi"[..], Ok("hi")),
        ("no colon\r\nContent-Length: 2", b"hi", Ok("hi")),
        ("X: a\r\n b\r\nContent-Length: 2", b"hi", Ok("hi")),
        ("Transfer-Encoding: chunked", b"2\r\nhi\r\n", Ok("hi")),
        ("Transfer-Encoding: chunked", b"3\r\nhi", Err(FetchErrorKind::Body)),
        ("Content-Encoding: DEFLATE", raw_deflate, Ok("one two one two one two")),
        ("Content-Encoding: none", b"hi", Ok("hi")),
        (&format!("{}Content-Length: 2", "Set-Cookie: a=b\r\n".repeat(300)), b"hi", Ok("hi")),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let response = [format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes(), body].concat();
        tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                stream.write_all(&response).await.unwrap();
            }
        });
        let url = url(address, "/");
        let expected = expected.map(str::to_owned);
        let text = fetch_text(&policy_for(address), Request::get(url.clone())).await;
        assert_eq!(text, expected, "{fields}");
        assert_eq!(fetch_text_by_https_client(url).await, expected, "{fields} by https");
    }
}

#[tokio::test]
async fn bodies_are_decoded_and_capped_by_their_decoded_length() {
    let address = upstream().await;
    let policy = policy_for(address);
    let get = || Request::get(url(address, "/gzip"));
    assert_eq!(fetch_text(&policy, get()).await.unwrap().len(), 100_000);
    let response = fetcher().send(&policy, get()).await.unwrap();
    assert_eq!(response.bytes(99_999).await.unwrap_err().kind, FetchErrorKind::TooLarge);
}

#[tokio::test]
async fn unreachable_targets_fail_with_their_kind() {
    let address = upstream().await;
    // Nobody else gets a port to which a socket is bound, and without a listener it refuses.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let closed = socket.local_addr().unwrap();
    for (policy, target, expected) in [
        (policy_for(closed), url(closed, "/"), FetchErrorKind::Connect),
        (policy_for(address), url(address, "/never"), FetchErrorKind::Timeout),
        (AddressPolicy::default(), url(address, "/hops/0"), FetchErrorKind::Denied),
        (
            AddressPolicy { ports: vec![address.port()], ..AddressPolicy::default() },
            Url::parse(&format!("http://localhost:{}/hops/0", address.port())).unwrap(),
            FetchErrorKind::Denied,
        ),
        (
            policy_for(address),
            Url::parse(&format!("http://no-such-name.invalid:{}/", address.port())).unwrap(),
            FetchErrorKind::Resolve,
        ),
    ] {
        assert_eq!(
            fetch_text(&policy, Request::get(target.clone())).await.unwrap_err(),
            expected,
            "{target}"
        );
    }
}

#[tokio::test]
async fn our_own_listeners_are_not_upstreams() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = address.port();
    for (own, target) in [
        (address, format!("http://{address}/")),
        (address, format!("https://{address}/")),
        (address, format!("http://localhost:{port}/")),
        (address, format!("https://localhost:{port}/")),
        (([0, 0, 0, 0], port).into(), format!("http://{address}/")),
        (([0, 0, 0, 0], port).into(), format!("https://localhost:{port}/")),
        (format!("[::]:{port}").parse().unwrap(), format!("http://{address}/")),
    ] {
        let policy = AddressPolicy {
            allow_private: ["127.0.0.0/8", "::1/128"].map(|range| range.parse().unwrap()).into(),
            ports: vec![port],
        };
        let fetcher = Fetcher::new(Timeouts::default(), vec![own]);
        let target = Url::parse(&target).unwrap();
        let result = fetcher.send(&policy, Request::get(target.clone())).await;
        assert!(result.is_err_and(|error| error.is_denied()), "{own}: {target}");
        let result = fetcher.dial(&policy, &target).await;
        assert!(result.is_err_and(|error| error.is_denied()), "{own}: {target}");
        let result = fetcher.check_target(&policy, &target).await;
        assert!(result.is_err_and(|error| error.is_denied()), "{own}: {target}");
    }
    let accepting = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(accepting.is_err(), "denied before it was connected to");
}
