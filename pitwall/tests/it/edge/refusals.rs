//! Refusals by the edge and by its upstream, and their CORS fields.

use reqwest::Method;

use super::EdgeFixture;
use crate::support::plain_link;

#[tokio::test]
async fn browsers_of_any_origin_may_ask() {
    let fixture = EdgeFixture::new().await;
    for path in ["/live/a/index.m3u8", "/live/a/v/1.ts", "/proxy", "/relay/1.ts"] {
        let preflight_fields = [
            ("origin", "https://page.test"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "range"),
        ];
        let preflight = fixture.send(Method::OPTIONS, path, &preflight_fields).await;
        assert_eq!(preflight.status, 204, "{path}");
        // The field occurs once: browsers reject a response that has it twice.
        let origins: Vec<_> =
            preflight.headers.get_all("access-control-allow-origin").iter().collect();
        assert_eq!(origins, ["*"]);
        assert!(preflight.header("access-control-allow-headers").unwrap().contains("Range"));
        assert_eq!(preflight.header("access-control-allow-private-network"), Some("true"));
        assert!(preflight.header("access-control-allow-methods").unwrap().contains("HEAD"));
        // Error responses have CORS fields too, so that scripts of other origins can read them.
        let refused = fixture.get(path).await;
        assert_eq!(refused.headers["access-control-allow-origin"], "*", "{path}");
        let exposed = refused.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("Content-Range") && exposed.contains("Server-Timing"));
    }
}

#[tokio::test]
async fn upstream_failures_keep_their_meaning() {
    let fixture = EdgeFixture::new().await;
    for (path, status, problem) in [
        ("/html.m3u8", 502, "upstream-invalid"),
        ("/empty.m3u8", 502, "upstream-invalid"),
        ("/bomb.m3u8", 502, "upstream-invalid"),
        ("/huge.m3u8", 502, "upstream-invalid"),
        ("/status/403", 403, "upstream-status"),
        ("/status/404", 404, "upstream-status"),
        ("/status/410", 410, "upstream-status"),
        ("/status/451", 451, "upstream-status"),
        ("/status/500", 500, "upstream-status"),
        ("/status/503", 503, "upstream-status"),
        ("/status/204", 502, "upstream-invalid"),
        ("/loop.m3u8", 502, "upstream-invalid"),
        ("/inside.m3u8", 502, "upstream-invalid"),
    ] {
        let response = fixture.get(&fixture.proxy(path)).await;
        assert_eq!((response.status, response.problem().as_str()), (status, problem), "{path}");
        assert_eq!(response.headers["content-type"], "application/problem+json");
    }
    assert_eq!(fixture.request_log.count("/loop.m3u8"), 11);
    for (path, status, problem) in [
        ("/status/403", 403, "upstream-status"),
        ("/status/410", 410, "upstream-status"),
        ("/status/503", 503, "upstream-status"),
        ("/status/204", 502, "upstream-invalid"),
        ("/inside.m3u8", 502, "upstream-invalid"),
    ] {
        let response = fixture.get(&fixture.relay(path)).await;
        assert_eq!((response.status, response.problem().as_str()), (status, problem), "{path}");
    }
}

#[tokio::test]
async fn links_that_are_refused() {
    let fixture = EdgeFixture::new().await;
    let media = fixture.links(&fixture.proxy("/master.m3u8")).await.remove(1);
    let segment = fixture.links(&media).await.remove(2);
    let seal = segment.split_once("u=").unwrap().1.to_owned();
    let other = if seal.starts_with('A') { "B" } else { "A" };
    let tampered = segment.replace(&seal, &format!("{other}{}", seal.get(1..).unwrap()));
    let url = |url: &str| plain_link("/proxy", url);
    for (path, status, problem) in [
        ("/proxy".to_owned(), 401, "seal-missing"),
        (format!("/proxy?u={seal}"), 401, "seal-invalid"),
        (format!("/relay/9.m4s?u={seal}"), 401, "seal-invalid"),
        (tampered, 401, "seal-invalid"),
        (media.replace("/proxy", "/relay"), 401, "seal-invalid"),
        ("/relay?url=%%%".to_owned(), 400, "bad-url"),
        (format!("{}&u=x", url("http://a.test/")), 400, "bad-url"),
        (url("file:///etc/passwd"), 400, "bad-url"),
        (url("http://user@a.test/"), 400, "bad-url"),
        (url("http://a.test/#x"), 400, "bad-url"),
        (url("playlist.m3u8"), 400, "bad-url"),
        (url(""), 400, "bad-url"),
        (url("http://elsewhere.test/x.m3u8"), 403, "target-denied"),
        (url("http://169.254.169.254/"), 403, "target-denied"),
        (url("http://10.0.0.1/"), 403, "target-denied"),
        (url("http://2130706433/"), 403, "target-denied"),
        (url(&format!("http://{}/", fixture.edge.address)), 403, "target-denied"),
        ("/live/nothing/index.m3u8".to_owned(), 404, "not-found"),
        ("/live/nothing/v.m3u8".to_owned(), 404, "not-found"),
        ("/api/nothing".to_owned(), 404, "not-found"),
        (format!("/proxy?u={}", "a".repeat(20_000)), 414, "uri-too-long"),
    ] {
        let response = fixture.get(&path).await;
        assert_eq!((response.status, response.problem().as_str()), (status, problem), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let response = fixture.send(method, "/relay", &[]).await;
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
}

/// A playlist names no link that the edge itself would refuse as too long.
#[tokio::test]
async fn a_link_that_is_made_can_be_requested() {
    let fixture = EdgeFixture::new().await;
    for (text, count) in [("x", 1000), ("x", 8100)] {
        let path = fixture.proxy(&format!("/long/{text}/{count}"));
        let segment = fixture.links(&path).await.remove(0);
        // With what a player appends.
        let segment = format!("{segment}&CMCD={}", "x".repeat(1000));
        assert_eq!(fixture.get(&segment).await.status, 200, "{text} {count}: {}", segment.len());
    }
    // A letter of two bytes has six once it is encoded.
    let refused = fixture.get(&fixture.proxy("/long/%C3%A9/3000")).await;
    assert_eq!((refused.status, refused.problem().as_str()), (502, "upstream-invalid"));
    assert!(refused.text().contains("line 4: the URI is longer than 8192"), "{}", refused.text());
}
