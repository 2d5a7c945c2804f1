//! What playlists lead to, whole, in part and cut short.

use reqwest::Method;

use super::upstream::{SEGMENT_LENGTH, saying};
use super::{Bench, config};
use crate::support::{Edge, fetch, plain};

#[tokio::test]
async fn segments() {
    let bench = Bench::new().await;
    let media = bench.links(&bench.proxy("/master.m3u8")).await.remove(1);
    let segment = bench.links(&media).await.remove(2);
    let whole = bench.get(&segment).await;
    assert_eq!((whole.status, whole.body.unwrap().len()), (200, SEGMENT_LENGTH));
    assert_eq!(whole.headers["content-type"], "video/mp4");
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["x-content-type-options"], "nosniff");

    for (headers, status, range, length) in [
        (&[("range", "bytes=10-19")][..], 206, Some("bytes 10-19/100000"), 10),
        (&[("range", "bytes=-5")], 206, Some("bytes 99995-99999/100000"), 5),
        (&[("range", "bytes=99990-")], 206, Some("bytes 99990-99999/100000"), 10),
        (&[("range", "bytes=999999999-")], 416, Some("bytes */100000"), 0),
        (&[("range", "bytes=5-2")], 200, None, SEGMENT_LENGTH),
        (&[("range", "bytes=0-1,5-6")], 200, None, SEGMENT_LENGTH),
        (&[("range", "items=1-2")], 200, None, SEGMENT_LENGTH),
        (&[("range", "bytes=0-1"), ("if-range", "\"v1\"")], 206, Some("bytes 0-1/100000"), 2),
        (&[("range", "bytes=0-1"), ("if-range", "\"v0\"")], 200, None, SEGMENT_LENGTH),
        (&[("if-none-match", "\"v1\"")], 304, None, 0),
    ] {
        let answer = bench.send(Method::GET, &segment, headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("content-range"), range, "{headers:?}");
        assert_eq!(answer.body.unwrap().len(), length, "{headers:?}");
        assert_eq!(answer.headers["access-control-allow-origin"], "*", "{headers:?}");
    }
    let head = bench.send(Method::HEAD, &segment, &[]).await;
    assert_eq!((head.status, &head.headers["content-length"]), (200, &"100000".parse().unwrap()));
    // All of it from one fetch.
    assert_eq!(bench.seen.count("/cdn/7/seg-7.mp4"), 1);
}

#[tokio::test]
async fn a_herd_is_one_fetch() {
    let bench = Bench::new().await;
    let path = bench.relay("/cdn/7/init.mp4");
    let herd = (0..64).map(|_| bench.get(&path));
    for answer in futures::future::join_all(herd).await {
        assert_eq!(answer.body.unwrap().len(), SEGMENT_LENGTH);
    }
    assert_eq!(bench.seen.count("/cdn/7/init.mp4"), 1);
}

#[tokio::test]
async fn what_storage_does_not_take_is_passed_through() {
    let bench = Bench::new().await;
    let whole = bench.get(&bench.relay("/big.bin")).await;
    assert_eq!((whole.status, whole.body.unwrap().len()), (200, 3 << 20));
    let ranged =
        bench.send(Method::GET, &bench.relay("/big.bin"), &[("range", "bytes=10-19")]).await;
    assert_eq!((ranged.status, ranged.header("content-range")), (206, Some("bytes 10-19/3145728")));
    let chunked = bench.get(&bench.relay("/chunked.ts")).await;
    assert_eq!((chunked.status, chunked.body.unwrap().len()), (200, 10_000));
}

#[tokio::test]
async fn answers_are_constructed() {
    let bench = Bench::new().await;
    let answer = bench.get(&bench.relay("/evil.ts")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    assert_eq!(answer.headers["content-security-policy"], "sandbox; default-src 'none'");
    assert_eq!(answer.header("set-cookie"), None);
    let viewers = [("cookie", "private"), ("referer", "http://viewer.test/"), ("x-a", "b")];
    bench.send(Method::GET, &bench.relay("/cdn/7/seg-8.mp4"), &viewers).await;
    for (name, _) in viewers {
        assert_eq!(bench.seen.header("/cdn/7/seg-8.mp4", name), None, "{name} went upstream");
    }
}

#[tokio::test]
async fn bodies_end_as_they_should_or_are_aborted() {
    for (answer, expected) in [
        ("content-length: 100\r\n\r\nshort", None),
        ("transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n", None),
        ("content-length: 4\r\n\r\ntoo long", Some("too ")),
        (
            "transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\nx-trailer: 1\r\n\r\n",
            Some("whole"),
        ),
        ("connection: close\r\n\r\nuntil the end", Some("until the end")),
    ] {
        let upstream = saying(format!("HTTP/1.1 200 OK\r\n{answer}").leak()).await;
        let edge = Edge::start(&config(upstream)).await;
        let url = edge.url(&plain("/relay", &format!("http://{upstream}/1.ts")));
        // What breaks off at once may do so before its header has left.
        let body = match fetch(&url).await {
            Ok(response) => {
                assert_eq!(response.status(), 200, "{answer:?}");
                assert!(!response.headers().contains_key("x-trailer"));
                response.text().await.ok()
            }
            Err(_) => None,
        };
        assert_eq!(body.as_deref(), expected, "{answer:?}");
    }
}
