//! The edge over real HTTP, in front of an upstream that the test writes.
//!
//! - [`upstream`]: what that answers.
//! - [`playlists`], [`segments`], [`refusals`]: what the edge makes of it.

mod playlists;
mod refusals;
mod segments;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use reqwest::Method;

use self::upstream::{Seen, upstream};
use crate::support::{Edge, client, fetch, plain};

fn config(upstream: SocketAddr) -> String {
    format!(
        "[edge.cache]\nbytes = \"16MiB\"\nmax_object = \"1MiB\"\n\
         [schedule]\nproviders = []\n\
         [upstream]\nallow_hosts = [\"{upstream}\", \"10.0.0.1\"]\nallow_private = [\"127.0.0.0/8\"]\n"
    )
}

struct Bench {
    edge: Edge,
    upstream: SocketAddr,
    seen: Arc<Seen>,
    client: reqwest::Client,
}

impl Bench {
    async fn new() -> Self {
        let (upstream, seen) = upstream().await;
        let edge = Edge::start(&config(upstream)).await;
        Self { edge, upstream, seen, client: client() }
    }

    fn proxy(&self, path: &str) -> String {
        plain("/proxy", &format!("http://{}{path}", self.upstream))
    }

    fn relay(&self, path: &str) -> String {
        plain("/relay", &format!("http://{}{path}", self.upstream))
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

    /// The links that a playlist holds, in its order.
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
async fn admin_tells_and_sigterm_drains() {
    let bench = Bench::new().await;
    bench.get(&bench.relay("/cdn/7/seg-7.mp4")).await;
    bench.get(&bench.relay("/cdn/7/seg-7.mp4")).await;
    let scrape = fetch(&format!("http://{}/metrics", bench.edge.admin)).await.unwrap();
    let scrape = scrape.text().await.unwrap();
    for line in [
        "pitwall_storage_requests_total{outcome=\"miss\"} 1",
        "pitwall_storage_requests_total{outcome=\"hit\"} 1",
        "pitwall_requests_total{route=\"relay\",status=\"2xx\"} 2",
    ] {
        assert!(scrape.contains(line), "{line} is not in\n{scrape}");
    }
    // The admin's answers are not for viewers: there the path is the page's.
    assert!(!bench.get("/metrics").await.text().contains("pitwall_"));
    let mut edge = bench.edge;
    edge.terminate();
    assert!(edge.ended());
}
