//! The admin listener: `/metrics` and health for those who run the edge, and PURGE for those who
//! may. Never on the public listener.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, Response, StatusCode, Uri, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use pitwall_fetch::parse_url;
use prometheus::{Encoder, Registry, TextEncoder};

use crate::drain::Draining;
use crate::rooms::Rooms;
use crate::storage::{Key, Purge};

const USAGE: &str = "try GET /metrics, /healthz or /readyz, PURGE /live/{stream} or \
                     PURGE /relay?url=BASE64URL\n";

pub struct Admin {
    pub rooms: Rooms,
    pub registry: Registry,
    pub draining: Draining,
    /// Without one nobody may change anything.
    pub token: Option<AdminToken>,
}

/// What a request must show that changes something.
#[derive(Clone)]
pub struct AdminToken(blake3::Hash);

impl AdminToken {
    pub fn new(secret: &[u8]) -> Self {
        Self(blake3::hash(secret))
    }

    /// Comparing hashes takes the same time wherever they differ.
    pub fn is_shown(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|token| blake3::hash(token) == self.0)
    }
}

/// What a request shows as `Authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        if request.method.as_str() == "PURGE" {
            return match self.purge(&request.uri, &request.headers) {
                Ok(purged) => {
                    answer(StatusCode::OK, "application/json", format!("{{\"purged\":{purged}}}\n"))
                }
                Err(refusal) => {
                    let (status, why) = refusal.answer();
                    text(status, why)
                }
            };
        }
        match request.uri.path() {
            "/metrics" => self.scrape(),
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.draining.is_set() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            "/readyz" => match self.rooms.store.unreadable() {
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
                None if self.rooms.store.current().version == 0 => {
                    text(StatusCode::SERVICE_UNAVAILABLE, "no map yet\n")
                }
                None => text(StatusCode::OK, "ready\n"),
            },
            _ => text(StatusCode::NOT_FOUND, USAGE),
        }
    }
}

/// Why nothing was purged.
enum Refusal {
    NoToken,
    NotShown,
    BadUrl,
    NotFound,
}

impl Refusal {
    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoToken => {
                (StatusCode::FORBIDDEN, "no admin token is configured: access.admin_token_file\n")
            }
            Self::NotShown => {
                (StatusCode::UNAUTHORIZED, "show the admin token: Authorization: Bearer TOKEN\n")
            }
            Self::BadUrl => {
                (StatusCode::BAD_REQUEST, "url= is not the base64url of an absolute URL\n")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, USAGE),
        }
    }
}

impl Admin {
    fn purge(&self, uri: &Uri, headers: &HeaderMap) -> Result<usize, Refusal> {
        let token = self.token.as_ref().ok_or(Refusal::NoToken)?;
        if !token.is_shown(headers) {
            return Err(Refusal::NotShown);
        }
        let purge = match uri.path().strip_prefix("/live/") {
            Some(stream) if !stream.is_empty() && !stream.contains('/') => {
                Purge::Stream(stream.to_owned())
            }
            None if uri.path() == "/relay" => {
                let url = uri.query().and_then(|query| query.strip_prefix("url="));
                Purge::Wholes(self.wholes(url.ok_or(Refusal::BadUrl)?).ok_or(Refusal::BadUrl)?)
            }
            _ => return Err(Refusal::NotFound),
        };
        let purged = self.rooms.storage.purge(&purge);
        tracing::info!(path = uri.path(), purged, "purged");
        Ok(purged)
    }

    /// A URL is stored once for each way that it may be reached.
    fn wholes(&self, url: &str) -> Option<Vec<Key>> {
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(url).ok()?).ok()?;
        let url = parse_url(&url).ok()?;
        let map = self.rooms.store.current();
        let profiles = map.profiles.keys().map(|profile| profile.0.as_str());
        let targets = profiles
            .chain([""])
            .filter_map(|profile| self.rooms.targets.of_profile(url.clone(), profile, &map).ok());
        Some(targets.map(|target| Key::of(&target, None)).collect())
    }

    fn scrape(&self) -> Response<Vec<u8>> {
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let Rooms { metrics, storage, store, .. } = &self.rooms;
        metrics.stored_bytes.set(gauge(storage.stored_bytes()));
        metrics.filling_bytes.set(gauge(storage.filling_bytes()));
        metrics.map_version.set(gauge(store.current().version));
        let mut body = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut body) {
            Ok(()) => answer(StatusCode::OK, prometheus::TEXT_FORMAT, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    answer(status, "text/plain", body)
}

fn answer(
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
    response
}
