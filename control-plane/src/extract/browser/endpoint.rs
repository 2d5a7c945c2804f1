//! Resolves the DevTools endpoint of a browser that the operator runs.

use pitwall_fetch::{AddressPolicy, Fetcher, Request};
use serde::Deserialize;
use url::Url;

use crate::extract::StepFailure;

/// The member of `/json/version` that matters here.
#[derive(Deserialize)]
struct VersionResponse {
    #[serde(rename = "webSocketDebuggerUrl")]
    socket: Url,
}

const LOOPBACK_RANGES: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// A browser's `/json/version` is far smaller.
const VERSION_MAX_BYTES: usize = 64 << 10;

/// Returns a configured `ws:` URL unchanged: it is the endpoint itself, which changes with each
/// start of the browser. From an `http:` URL, reads the endpoint at `/json/version`.
pub(super) async fn resolve_endpoint(
    fetcher: &Fetcher,
    configured: &Url,
) -> Result<Url, StepFailure> {
    if configured.scheme() != "http" {
        return Ok(configured.clone());
    }
    let unreachable =
        |error| StepFailure::transient("the browser does not answer").with_detail(error);
    let mut version = configured.clone();
    version.set_path("/json/version");
    // The browser runs on this machine, so that its address is a loopback one.
    let policy = AddressPolicy {
        allow_private: LOOPBACK_RANGES.into_iter().filter_map(|range| range.parse().ok()).collect(),
        ports: configured.port().into_iter().collect(),
    };
    let response = fetcher.send(&policy, Request::get(version)).await.map_err(unreachable)?;
    let status = response.status().as_u16();
    let body = response.bytes(VERSION_MAX_BYTES).await.map_err(unreachable)?;
    let parsed: Result<VersionResponse, _> = serde_json::from_slice(&body);
    let Ok(VersionResponse { socket }) = parsed else {
        let why = "what answers at `endpoint` is no browser: it has no /json/version";
        return Err(StepFailure::transient(why).with_detail(format!("status {status}")));
    };
    // Only the path is taken from the response: host and port stay the configured ones, so that
    // whatever answers there cannot direct Pitwall to another host.
    let mut endpoint = configured.clone();
    endpoint.set_path(socket.path());
    let changed = endpoint.set_scheme("ws");
    changed.map_err(|()| StepFailure::permanent("its endpoint is not a URL"))?;
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use pitwall_fetch::Timeouts;

    use super::*;

    async fn serve_version(status: u16, version: &'static str) -> SocketAddr {
        let status = StatusCode::from_u16(status).unwrap();
        let router =
            Router::new().route("/json/version", get(move || async move { (status, version) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    #[tokio::test]
    async fn the_devtools_endpoint_is_read_from_json_version() {
        let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
        for (status, version, expected) in [
            (
                200,
                r#"{"Browser": "Chrome/140", "webSocketDebuggerUrl": "ws://127.0.0.1:1/devtools/browser/7"}"#,
                Ok("/devtools/browser/7"),
            ),
            // Another host in the response is ignored.
            (200, r#"{"webSocketDebuggerUrl": "ws://192.0.2.1/devtools/8"}"#, Ok("/devtools/8")),
            (200, "{}", Err("what answers at `endpoint` is no browser")),
            (200, "<html>", Err("what answers at `endpoint` is no browser")),
            (404, "", Err("what answers at `endpoint` is no browser")),
        ] {
            let address = serve_version(status, version).await;
            let configured = Url::parse(&format!("http://{address}")).unwrap();
            match (resolve_endpoint(&fetcher, &configured).await, expected) {
                (Ok(endpoint), Ok(path)) => {
                    assert_eq!(endpoint.as_str(), format!("ws://{address}{path}"));
                }
                (Err(failure), Err(expected)) => {
                    assert!(failure.message.contains(expected), "{version}: {}", failure.message);
                }
                (got, _) => panic!("{version}: {:?}", got.map(|url| url.to_string()).ok()),
            }
        }
        let socket = Url::parse("ws://127.0.0.1:9222/devtools/browser/1").unwrap();
        assert_eq!(resolve_endpoint(&fetcher, &socket).await.ok(), Some(socket), "as it is");
        // A bound socket keeps its port from others, and without a listener it refuses connections.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let unused = socket.local_addr().unwrap();
        let unused = Url::parse(&format!("http://{unused}")).unwrap();
        let failure = resolve_endpoint(&fetcher, &unused).await.err().unwrap();
        assert_eq!(
            (failure.message.as_str(), failure.retryable),
            ("the browser does not answer", true)
        );
    }
}
