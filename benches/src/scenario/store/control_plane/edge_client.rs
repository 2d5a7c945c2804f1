//! [`EdgeClient`]: requests to an edge over kept connections.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) struct EdgeClient {
    edge: SocketAddr,
    client: Client<HttpConnector, Empty<Bytes>>,
}

pub(super) struct EdgeResponse {
    pub(super) status: u16,
    pub(super) etag: Option<HeaderValue>,
    pub(super) body: Bytes,
}

impl EdgeClient {
    pub(super) fn new(edge: SocketAddr) -> Self {
        Self { edge, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Requests `path`, with `If-None-Match` where an `etag` is known.
    pub(super) async fn get(
        &self,
        path: &str,
        etag: Option<&HeaderValue>,
    ) -> anyhow::Result<EdgeResponse> {
        let mut request = Request::get(format!("http://{}{path}", self.edge));
        if let Some(etag) = etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let exchange = async {
            let response = self.client.request(request.body(Empty::new())?).await?;
            let (head, body) = response.into_parts();
            anyhow::Ok(EdgeResponse {
                status: head.status.as_u16(),
                etag: head.headers.get(header::ETAG).cloned(),
                body: body.collect().await?.to_bytes(),
            })
        };
        let response = tokio::time::timeout(REQUEST_TIMEOUT, exchange).await;
        response.context("no whole answer in time").flatten().with_context(|| path.to_owned())
    }
}
