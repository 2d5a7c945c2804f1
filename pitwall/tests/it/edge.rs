//! `/proxy` and `/relay` over HTTP, in front of a scripted upstream.
//!
//! - [`upstream`]: the upstream.
//! - [`playlists`], [`segments`], [`refusals`]: the edge's responses.

mod playlists;
mod refusals;
mod segments;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use reqwest::Method;

use self::upstream::{RequestLog, start_upstream};
use crate::support::{Edge, client, fetch, plain_link};

fn config(upstream: SocketAddr) -> String {
    format!(
        "[edge.cache]\nbytes = \"16MiB\"\nmax_object = \"1MiB\"\n\
         [schedule]\nproviders = []\n\
         [upstream]\nallow_hosts = [\"{upstream}\", \"10.0.0.1\"]\nallow_private = [\"127.0.0.0/8\"]\n"
    )
}

struct EdgeFixture {
    edge: Edge,
    upstream: SocketAddr,
    request_log: Arc<RequestLog>,
    client: reqwest::Client,
}

impl EdgeFixture {
    async fn new() -> Self {
        let (upstream, request_log) = start_upstream().await;
        let edge = Edge::start(&config(upstream)).await;
        Self { edge, upstream, request_log, client: client() }
    }

    fn proxy(&self, path: &str) -> String {
        plain_link("/proxy", &format!("http://{}{path}", self.upstream))
    }

    fn relay(&self, path: &str) -> String {
        plain_link("/relay", &format!("http://{}{path}", self.upstream))
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.request(method, self.edge.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.ok(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    /// The links of the playlist at `path`, in order.
    async fn links(&self, path: &str) -> Vec<String> {
        let text = self.get(path).await.text();
        text.lines()
            .filter_map(|line| match line.split_once("URI=\"") {
                Some((_, rest)) => rest.split_once('"').map(|(link, _)| link.to_owned()),
                None => (!line.starts_with('#') && !line.is_empty()).then(|| line.to_owned()),
            })
            .collect()
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    /// `None` when the transfer was aborted.
    body: Option<Bytes>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone().unwrap().to_vec()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn problem(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.text()).unwrap();
        json["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn metrics_are_on_the_admin_listener_and_sigterm_drains() {
    let fixture = EdgeFixture::new().await;
    fixture.get(&fixture.relay("/cdn/7/seg-7.mp4")).await;
    let segment = fixture.get(&fixture.relay("/cdn/7/seg-7.mp4")).await;
    let bytes = segment.body.unwrap().len();
    // It was fetched once, and sent twice.
    let fetched = format!(
        "pitwall_upstream_response_bytes_total{{kind=\"media\",source=\"link\"}} {bytes}\n"
    );
    let sent = format!("pitwall_http_response_bytes_total{{route=\"relay\"}} {}\n", 2 * bytes);
    let scrape = fetch(&format!("http://{}/metrics", fixture.edge.admin)).await.unwrap();
    assert_eq!(scrape.headers()["cache-control"], "no-store");
    let scrape = scrape.text().await.unwrap();
    for line in [
        "pitwall_cache_requests_total{result=\"miss\"} 1",
        "pitwall_cache_requests_total{result=\"hit\"} 1",
        "pitwall_http_requests_total{route=\"relay\",status=\"2xx\"} 2",
        "pitwall_upstream_requests_total{kind=\"media\",source=\"link\",status=\"2xx\"} 1",
        "pitwall_build_info{commit=\"",
        &fetched,
        &sent,
    ] {
        assert!(scrape.contains(line), "{line} is not in\n{scrape}");
    }
    // Metrics are served on the admin listener only; on the public one the path belongs to the
    // page.
    assert!(!fixture.get("/metrics").await.text().contains("pitwall_"));
    let mut edge = fixture.edge;
    edge.terminate();
    assert!(edge.wait_for_exit());
}
