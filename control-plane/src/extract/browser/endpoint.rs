//! Where the DevTools listen of a browser that somebody else runs.

use pitwall_fetch::{Fetcher, Policy, Request};
use serde::Deserialize;
use url::Url;

use crate::extract::Failure;

/// What `/json/version` tells, as much of it as matters.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "webSocketDebuggerUrl")]
    socket: Url,
}

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// More than a browser says of itself.
const LONGEST: usize = 64 << 10;

/// `ws:` is the place itself, which is another after each start of the browser; `http:` is where
/// it can be asked for.
pub(super) async fn find(fetcher: &Fetcher, configured: &Url) -> Result<Url, Failure> {
    if configured.scheme() != "http" {
        return Ok(configured.clone());
    }
    let silent = |error| Failure::passing("the browser does not answer").detail(error);
    let mut version = configured.clone();
    version.set_path("/json/version");
    // Its operator runs it on this machine.
    let policy = Policy {
        allow_private: LOOPBACK.into_iter().filter_map(|range| range.parse().ok()).collect(),
        ports: configured.port().into_iter().collect(),
    };
    let response = fetcher.send(&policy, Request::get(version)).await.map_err(silent)?;
    let status = response.status().as_u16();
    let body = response.bytes(LONGEST).await.map_err(silent)?;
    let told: Result<Version, _> = serde_json::from_slice(&body);
    let Ok(Version { socket }) = told else {
        let why = "what answers at `endpoint` is no browser: it has no /json/version";
        return Err(Failure::passing(why).detail(format!("status {status}")));
    };
    // Its host is the one that is configured: nobody who answers there leads elsewhere.
    let mut endpoint = configured.clone();
    endpoint.set_path(socket.path());
    let changed = endpoint.set_scheme("ws");
    changed.map_err(|()| Failure::lasting("its endpoint is not a URL"))?;
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

    async fn serving(status: u16, version: &'static str) -> SocketAddr {
        let status = StatusCode::from_u16(status).unwrap();
        let router =
            Router::new().route("/json/version", get(move || async move { (status, version) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    #[tokio::test]
    async fn a_browser_is_asked_where_its_devtools_are() {
        let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
        for (status, version, expected) in [
            (
                200,
                r#"{"Browser": "Chrome/140", "webSocketDebuggerUrl": "ws://127.0.0.1:1/devtools/browser/7"}"#,
                Ok("/devtools/browser/7"),
            ),
            // It leads to whom it was asked of, and to nobody else.
            (200, r#"{"webSocketDebuggerUrl": "ws://192.0.2.1/devtools/8"}"#, Ok("/devtools/8")),
            (200, "{}", Err("what answers at `endpoint` is no browser")),
            (200, "<html>", Err("what answers at `endpoint` is no browser")),
            (404, "", Err("what answers at `endpoint` is no browser")),
        ] {
            let address = serving(status, version).await;
            let configured = Url::parse(&format!("http://{address}")).unwrap();
            match (find(&fetcher, &configured).await, expected) {
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
        assert_eq!(find(&fetcher, &socket).await.ok(), Some(socket), "as it is");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nobody = Url::parse(&format!("http://{nobody}")).unwrap();
        let failure = find(&fetcher, &nobody).await.err().unwrap();
        assert_eq!(
            (failure.message.as_str(), failure.retryable),
            ("the browser does not answer", true)
        );
    }
}
