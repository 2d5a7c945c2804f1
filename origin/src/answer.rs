//! Bodies, and the one place where an error becomes a status.

use std::io::Write;
use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::restamp::RestampError;
use crate::token::TokenError;

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("hotlinking: this stream only plays in our own player")]
    Hotlink,
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("this token belongs to another edge")]
    WrongEdge,
    #[error("not found")]
    NotFound,
    #[error("the form refused: {0}")]
    Form(&'static str),
    #[error("internal error")]
    Broken(#[from] RestampError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = self.to_string();
        let status = match self {
            Self::Hotlink | Self::Token(_) | Self::WrongEdge => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Form(why) => {
                let body = axum::Json(serde_json::json!({"ok": false, "error": why}));
                return (StatusCode::FORBIDDEN, body).into_response();
            }
            Self::Broken(error) => {
                tracing::error!(%error, "embedded media cannot be restamped");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, [(header::CACHE_CONTROL, "no-store")], format!("{text}\n")).into_response()
    }
}

/// A playlist, gzipped for a client that takes it.
pub(crate) fn playlist(request: &HeaderMap, text: String) -> Response {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("application/vnd.apple.mpegurl");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    match takes_gzip(request).then(|| gzip(text.as_bytes())) {
        Some(Ok(packed)) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            (headers, packed).into_response()
        }
        _ => (headers, text).into_response(),
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        named && !refused
    })
}

/// A segment or init segment, whole or the one range asked for.
pub(crate) fn media(request: &HeaderMap, kind: &'static str, bytes: Bytes) -> Response {
    let length = bytes.len();
    let answer = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "public, max-age=60");
    let answer = match range(request, length) {
        Asked::Whole => answer.body(Body::from(bytes)),
        Asked::Part(part) => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(
                header::CONTENT_RANGE,
                format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1)),
            )
            .body(Body::from(bytes.slice(part))),
        Asked::Nothing => answer
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(header::CONTENT_RANGE, format!("bytes */{length}"))
            .body(Body::empty()),
    };
    answer.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<usize>),
    Nothing,
}

/// One range of bytes (RFC 9110, 14.2); what we do not understand asks for the whole.
fn range(request: &HeaderMap, length: usize) -> Asked {
    let value = request.get(header::RANGE).and_then(|v| v.to_str().ok());
    let bounds = value.and_then(|v| v.strip_prefix("bytes=")).and_then(|v| v.split_once('-'));
    let Some((first, last)) = bounds else { return Asked::Whole };
    let part = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(count)) if first.is_empty() => length.saturating_sub(count)..length,
        _ => return Asked::Whole,
    };
    if part.start < part.end { Asked::Part(part) } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn ranges() {
        for (value, expected) in [
            ("bytes=0-9", Asked::Part(0..10)),
            ("bytes=90-200", Asked::Part(90..100)),
            ("bytes=5-", Asked::Part(5..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=9-5", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("lines=1-2", Asked::Whole),
        ] {
            assert_eq!(range(&with(header::RANGE, value), 100), expected, "{value}");
        }
        assert_eq!(range(&HeaderMap::new(), 100), Asked::Whole);
    }

    #[test]
    fn encodings() {
        for (value, gzip) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&with(header::ACCEPT_ENCODING, value)), gzip, "{value:?}");
        }
    }
}
