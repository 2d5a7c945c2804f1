//! Segments: whole, in ranges, and truncated.

use std::io::ErrorKind;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::upstream::{SEGMENT_BYTES, serve_raw_response};
use super::{EdgeFixture, config};
use crate::support::{Edge, fetch, plain_link};

#[tokio::test]
async fn segments() {
    let fixture = EdgeFixture::new().await;
    let media = fixture.links(&fixture.proxy("/master.m3u8")).await.remove(1);
    let segment = fixture.links(&media).await.remove(2);
    let whole = fixture.get(&segment).await;
    assert_eq!((whole.status, whole.body.unwrap().len()), (200, SEGMENT_BYTES));
    assert_eq!(whole.headers["content-type"], "video/mp4");
    assert_eq!(whole.headers["cache-control"], "public, max-age=60");
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["x-content-type-options"], "nosniff");

    for (headers, status, range, length) in [
        (&[("range", "bytes=10-19")][..], 206, Some("bytes 10-19/100000"), 10),
        (&[("range", "bytes=-5")], 206, Some("bytes 99995-99999/100000"), 5),
        (&[("range", "bytes=99990-")], 206, Some("bytes 99990-99999/100000"), 10),
        (&[("range", "bytes=999999999-")], 416, Some("bytes */100000"), 0),
        (&[("range", "bytes=5-2")], 200, None, SEGMENT_BYTES),
        (&[("range", "bytes=0-1,5-6")], 200, None, SEGMENT_BYTES),
        (&[("range", "Bytes=10-19")], 206, Some("bytes 10-19/100000"), 10),
        (&[("range", "bytes=-0")], 416, Some("bytes */100000"), 0),
        (&[("range", "bytes=99999999999999999999-")], 416, Some("bytes */100000"), 0),
        (&[("range", "items=1-2")], 200, None, SEGMENT_BYTES),
        (&[("range", "bytes=0-1"), ("if-range", "\"v1\"")], 206, Some("bytes 0-1/100000"), 2),
        (&[("range", "bytes=0-1"), ("if-range", "\"v0\"")], 200, None, SEGMENT_BYTES),
        (&[("range", "bytes=0-1"), ("if-range", "W/\"v1\"")], 200, None, SEGMENT_BYTES),
        (&[("if-none-match", "\"v1\"")], 304, None, 0),
    ] {
        let response = fixture.send(Method::GET, &segment, headers).await;
        assert_eq!(response.status, status, "{headers:?}");
        assert_eq!(response.header("content-range"), range, "{headers:?}");
        assert_eq!(response.body.unwrap().len(), length, "{headers:?}");
        assert_eq!(response.headers["access-control-allow-origin"], "*", "{headers:?}");
    }
    // Only GET has ranges.
    for headers in [&[][..], &[("range", "bytes=10-19")]] {
        let head = fixture.send(Method::HEAD, &segment, headers).await;
        let length = &head.headers["content-length"];
        assert_eq!((head.status, length), (200, &"100000".parse().unwrap()), "{headers:?}");
    }
    // One upstream fetch served all of these requests.
    assert_eq!(fixture.request_log.count("/cdn/7/seg-7.mp4"), 1);
}

#[tokio::test]
async fn many_requests_for_one_segment_are_one_fetch() {
    let fixture = EdgeFixture::new().await;
    let path = fixture.relay("/cdn/7/init.mp4");
    let requests = (0..64).map(|_| fixture.get(&path));
    for response in futures::future::join_all(requests).await {
        assert_eq!(response.body.unwrap().len(), SEGMENT_BYTES);
    }
    assert_eq!(fixture.request_log.count("/cdn/7/init.mp4"), 1);
}

#[tokio::test]
async fn what_the_cache_does_not_store_is_passed_through() {
    let fixture = EdgeFixture::new().await;
    let whole = fixture.get(&fixture.relay("/big.bin")).await;
    assert_eq!((whole.status, whole.body.unwrap().len()), (200, 3 << 20));
    let ranged =
        fixture.send(Method::GET, &fixture.relay("/big.bin"), &[("range", "bytes=10-19")]).await;
    assert_eq!((ranged.status, ranged.header("content-range")), (206, Some("bytes 10-19/3145728")));
    let chunked = fixture.get(&fixture.relay("/chunked.ts")).await;
    assert_eq!((chunked.status, chunked.body.unwrap().len()), (200, 10_000));
}

#[tokio::test]
async fn responses_have_only_fields_of_the_edge() {
    let fixture = EdgeFixture::new().await;
    let response = fixture.get(&fixture.relay("/evil.ts")).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["content-type"], "application/octet-stream");
    assert_eq!(response.headers["content-security-policy"], "sandbox; default-src 'none'");
    assert_eq!(response.header("set-cookie"), None);
    let viewer_fields = [("cookie", "private"), ("referer", "http://viewer.test/"), ("x-a", "b")];
    fixture.send(Method::GET, &fixture.relay("/cdn/7/seg-8.mp4"), &viewer_fields).await;
    for (name, _) in viewer_fields {
        assert_eq!(
            fixture.request_log.header("/cdn/7/seg-8.mp4", name),
            None,
            "{name} went upstream"
        );
    }
}

#[tokio::test]
async fn bodies_end_as_they_should_or_are_aborted() {
    for (message, expected) in [
        ("content-length: 100\r\n\r\nshort", None),
        ("transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n", None),
        ("content-length: 4\r\n\r\ntoo long", Some("too ")),
        (
            "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nx-trailer: 1\r\n\r\n",
            Some("whole"),
        ),
        ("connection: close\r\n\r\nuntil the end", Some("until the end")),
    ] {
        let upstream = serve_raw_response(format!("HTTP/1.1 200 OK\r\n{message}").leak()).await;
        let edge = Edge::start(&config(upstream)).await;
        let url = edge.url(&plain_link("/relay", &format!("http://{upstream}/1.ts")));
        // A transfer that is truncated at once may be aborted before its header section is sent.
        let body = match fetch(&url).await {
            Ok(response) => {
                assert_eq!(response.status(), 200, "{message:?}");
                assert!(!response.headers().contains_key("x-trailer"));
                response.text().await.ok()
            }
            Err(_) => None,
        };
        assert_eq!(body.as_deref(), expected, "{message:?}");
    }
}

/// To a client of HTTP/1.0 a body without a length ends with the connection.
#[tokio::test]
async fn a_client_of_http_1_0_can_tell_a_body_that_breaks_off() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n";
    for (what, ends, max_object, expected) in [
        ("small enough to be waited for", true, "1MiB", Ok("content-length: 5")),
        ("too large to be stored", true, "4B", Ok("connection: close")),
        ("breaks off before the header", false, "1MiB", Ok("502")),
        ("breaks off behind it", false, "4B", Err(ErrorKind::ConnectionReset)),
    ] {
        let response = format!("{chunked}{}", if ends { "0\r\n\r\n" } else { "" });
        let upstream = serve_raw_response(response.leak()).await;
        let edge = Edge::start(&config(upstream).replace("1MiB", max_object)).await;
        let link = plain_link("/relay", &format!("http://{upstream}/1.ts"));
        let mut stream = tokio::net::TcpStream::connect(edge.address).await.unwrap();
        stream.write_all(format!("GET {link} HTTP/1.0\r\n\r\n").as_bytes()).await.unwrap();
        let mut response = Vec::new();
        let ended = stream.read_to_end(&mut response).await.map_err(|error| error.kind());
        let response = String::from_utf8(response).unwrap().to_lowercase();
        match expected {
            Ok(text) => {
                assert!(ended.is_ok() && response.contains(text), "{what}: {response}");
                assert!(!ends || response.ends_with("\r\n\r\nwhole"), "{what}: {response}");
            }
            Err(kind) => assert_eq!(ended.err(), Some(kind), "{what}: {response}"),
        }
    }
}
