//! [`AdminService`]: the admin listener, with `/metrics`, health probes, and, for clients with the
//! admin token, PURGE, a reload of the configuration and the level of the log. None of it is on the public listener but the probes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use pitwall_fetch::parse_url;
use pitwall_upstream_map::documents::ProblemDetails;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::sync::{mpsc, oneshot};

use crate::cache::{ObjectKey, PurgeScope};
use crate::drain::DrainSignal;
use crate::edge_state::EdgeState;

const USAGE: &str = "try GET /metrics, /healthz or /readyz, POST /reload, PUT /log/level, PURGE /live/{stream} or \
                     PURGE /relay?url=BASE64URL\n";

/// Where requests to reload the configuration go: each is a sender of the response.
pub type ReloadRequestSender = mpsc::Sender<oneshot::Sender<Response<Vec<u8>>>>;

/// The HTTP application of the admin listener.
pub struct AdminService {
    pub state: EdgeState,
    pub registry: Registry,
    pub drain_signal: DrainSignal,
    pub tools: ProcessControls,
}

/// Reads the filter of the log, or replaces it; empty text stands for the configured one. An error
/// says what is wrong with the text.
pub type LogFilter = Arc<dyn Fn(Option<&str>) -> Result<String, String> + Send + Sync>;

/// What the admin listener reaches of the process around the edge.
#[derive(Clone)]
pub struct ProcessControls {
    pub reload_requests: ReloadRequestSender,
    pub log_filter: LogFilter,
}

/// How long the body of a request may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any filter of the log.
const LOG_FILTER_MAX_BYTES: usize = 4096;

#[async_trait]
impl ServeHttp for AdminService {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        if request.method.as_str() == "PURGE" {
            return match self.purge(&request.uri, &request.headers) {
                Ok(purged) => build_response(
                    StatusCode::OK,
                    "application/json",
                    format!("{{\"purged\":{purged}}}\n"),
                ),
                Err(error) => {
                    let (status, text) = error.status_and_text();
                    text_response(status, text)
                }
            };
        }
        if request.method == Method::PUT && request.uri.path() == "/log/level" {
            return match self.replace_log_filter(session).await {
                Ok(filter) => text_response(StatusCode::OK, &format!("{filter}\n")),
                Err((status, text)) => text_response(status, &text),
            };
        }
        if request.uri.path() == "/reload" {
            return self.reload(request.method.clone(), request.headers.clone()).await;
        }
        match request.uri.path() {
            "/metrics" => self.render_metrics(),
            "/healthz" => text_response(StatusCode::OK, "ok\n"),
            "/log/level" => match (self.tools.log_filter)(None) {
                Ok(filter) => text_response(StatusCode::OK, &format!("{filter}\n")),
                Err(why) => text_response(StatusCode::NOT_FOUND, &format!("{why}\n")),
            },
            "/readyz" if self.drain_signal.is_stopping() => {
                text_response(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            "/readyz" => match self.state.store.unreadable_reason() {
                Some(reason) => {
                    text_response(StatusCode::SERVICE_UNAVAILABLE, &format!("{reason}\n"))
                }
                None if self.state.store.map().version == 0 => {
                    text_response(StatusCode::SERVICE_UNAVAILABLE, "no map yet\n")
                }
                None => text_response(StatusCode::OK, "ready\n"),
            },
            _ => text_response(StatusCode::NOT_FOUND, USAGE),
        }
    }
}

impl AdminService {
    /// Has the configuration read again; the response says what changed, or why nothing did.
    async fn reload(&self, method: Method, headers: HeaderMap) -> Response<Vec<u8>> {
        if method != Method::POST {
            let mut response =
                problem_response("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "POST");
            response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
            return response;
        }
        match &self.state.settings.get().admin_token {
            None => {
                let why = "no admin token is configured: access.admin_token_file";
                return problem_response("admin-token-missing", StatusCode::FORBIDDEN, why);
            }
            Some(token) if !token.is_presented_in(&headers) => {
                let why = "show the admin token: Authorization: Bearer TOKEN";
                return problem_response("admin-token-invalid", StatusCode::UNAUTHORIZED, why);
            }
            Some(_) => {}
        }
        let (reply, response) = oneshot::channel();
        let stopping = || {
            let why = "this process stops";
            problem_response("stopping", StatusCode::SERVICE_UNAVAILABLE, why)
        };
        match self.tools.reload_requests.send(reply).await {
            Ok(()) => response.await.unwrap_or_else(|_| stopping()),
            Err(_) => stopping(),
        }
    }
}

/// Why nothing was purged, or changed.
enum AdminError {
    TokenNotConfigured,
    TokenInvalid,
    BadUrl,
    NotFound,
}

impl AdminError {
    fn status_and_text(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TokenNotConfigured => {
                (StatusCode::FORBIDDEN, "no admin token is configured: access.admin_token_file\n")
            }
            Self::TokenInvalid => {
                (StatusCode::UNAUTHORIZED, "show the admin token: Authorization: Bearer TOKEN\n")
            }
            Self::BadUrl => {
                (StatusCode::BAD_REQUEST, "url= is not the base64url of an absolute URL\n")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, USAGE),
        }
    }
}

impl AdminService {
    fn authorize(&self, headers: &HeaderMap) -> Result<(), AdminError> {
        let settings = self.state.settings.get();
        let token = settings.admin_token.as_ref().ok_or(AdminError::TokenNotConfigured)?;
        token.is_presented_in(headers).then_some(()).ok_or(AdminError::TokenInvalid)
    }

    /// Replaces the filter of the log by the body of the request; gives the filter that holds.
    async fn replace_log_filter(
        &self,
        session: &mut ServerSession,
    ) -> Result<String, (StatusCode, String)> {
        let refused = |error: AdminError| {
            let (status, text) = error.status_and_text();
            (status, text.to_owned())
        };
        self.authorize(&session.req_header().headers).map_err(refused)?;
        let mut body = Vec::new();
        let read = async {
            while let Some(chunk) = session.read_request_body().await.ok()? {
                body.extend_from_slice(&chunk);
                if body.len() > LOG_FILTER_MAX_BYTES {
                    return None;
                }
            }
            String::from_utf8(body).ok()
        };
        let text = tokio::time::timeout(BODY_TIMEOUT, read).await.ok().flatten();
        let text = text.ok_or((StatusCode::BAD_REQUEST, "the body is no filter\n".to_owned()))?;
        (self.tools.log_filter)(Some(&text))
            .map_err(|why| (StatusCode::BAD_REQUEST, format!("{why}\n")))
    }

    /// Removes objects from the cache; gives how many.
    fn purge(&self, uri: &Uri, headers: &HeaderMap) -> Result<usize, AdminError> {
        self.authorize(headers)?;
        let scope = match uri.path().strip_prefix("/live/") {
            Some(stream) if !stream.is_empty() && !stream.contains('/') => {
                PurgeScope::Stream(stream.to_owned())
            }
            None if uri.path() == "/relay" => {
                let url = uri.query().and_then(|query| query.strip_prefix("url="));
                PurgeScope::Urls(
                    self.purge_keys_of_url(url.ok_or(AdminError::BadUrl)?)
                        .ok_or(AdminError::BadUrl)?,
                )
            }
            _ => return Err(AdminError::NotFound),
        };
        let purged = self.state.cache.purge(&scope);
        tracing::info!(path = uri.path(), purged, "purged");
        Ok(purged)
    }

    /// The keys of a URL's whole object: one for each profile that may fetch it, and one for a
    /// plain `url=`. `None` when `url` is not the base64url of an absolute URL.
    fn purge_keys_of_url(&self, url: &str) -> Option<Vec<ObjectKey>> {
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(url).ok()?).ok()?;
        let url = parse_url(&url).ok()?;
        let map = self.state.maps.current();
        let profiles = map.profiles().map(|profile| &*profile.id);
        let targets = profiles.chain([""]).filter_map(|profile| {
            self.state.target_resolver().resolve_for_profile(url.clone(), profile, &map).ok()
        });
        Some(targets.map(|target| ObjectKey::purge_key_of(&target)).collect())
    }

    fn render_metrics(&self) -> Response<Vec<u8>> {
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let EdgeState { metrics, cache, store, .. } = &self.state;
        metrics.cached_bytes.set(gauge(cache.stored_bytes()));
        metrics.inflight_fetch_bytes.set(gauge(cache.inflight_bytes()));
        metrics.map_version.set(gauge(store.map().version));
        let mut body = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut body) {
            Ok(()) => build_response(StatusCode::OK, prometheus::TEXT_FORMAT, body),
            Err(error) => text_response(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

fn problem_response(name: &str, status: StatusCode, detail: &str) -> Response<Vec<u8>> {
    let problem = ProblemDetails::new(name, status, detail.to_owned());
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    build_response(status, "application/problem+json", body)
}

fn text_response(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    build_response(status, "text/plain", body)
}

fn build_response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Vec<u8>>,
) -> Response<Vec<u8>> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
