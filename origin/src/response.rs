//! Responses: playlists, media with ranges, and [`RequestError`], which becomes a status here only.

use std::io::Write;
use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::restamp::RestampError;
use crate::token::TokenError;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("hotlinking: this stream only plays in our own player")]
    Hotlink,
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("this token belongs to another edge")]
    WrongEdge,
    #[error("not found")]
    NotFound,
    #[error("the form refused: {0}")]
    FormRejected(&'static str),
    #[error("internal error")]
    BrokenMedia(#[from] RestampError),
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        let status = match self {
            Self::Hotlink | Self::Token(_) | Self::WrongEdge => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::FormRejected(reason) => {
                let body = axum::Json(serde_json::json!({"ok": false, "error": reason}));
                return (StatusCode::FORBIDDEN, body).into_response();
            }
            Self::BrokenMedia(error) => {
                tracing::error!(%error, "embedded media cannot be restamped");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, [(header::CACHE_CONTROL, "no-store")], format!("{text}\n")).into_response()
    }
}

/// A playlist response, gzip-coded when `request` accepts that coding.
pub(crate) fn playlist_response(request: &HeaderMap, text: String) -> Response {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("application/vnd.apple.mpegurl");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    match is_gzip_accepted(request).then(|| gzip(text.as_bytes())) {
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

fn is_gzip_accepted(request: &HeaderMap) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let is_refused = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        is_gzip && !is_refused
    })
}

/// A media segment or media initialization section of type `kind`, whole or the requested range.
pub(crate) fn media_response(request: &HeaderMap, kind: &'static str, bytes: Bytes) -> Response {
    let length = bytes.len();
    let builder = Response::builder()
        .header(header::CONTENT_TYPE, kind)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "public, max-age=60");
    let response = match parse_range(request, length) {
        RequestedRange::Whole => builder.body(Body::from(bytes)),
        RequestedRange::Satisfiable(range) => builder
            .status(StatusCode::PARTIAL_CONTENT)
            .header(
                header::CONTENT_RANGE,
                format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1)),
            )
            .body(Body::from(bytes.slice(range))),
        RequestedRange::Unsatisfiable => builder
            .status(StatusCode::RANGE_NOT_SATISFIABLE)
            .header(header::CONTENT_RANGE, format!("bytes */{length}"))
            .body(Body::empty()),
    };
    response.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[derive(Debug, PartialEq, Eq)]
enum RequestedRange {
    Whole,
    Satisfiable(Range<usize>),
    Unsatisfiable,
}

/// The requested byte range (RFC 9110, 14.2). An invalid or multi-range `Range` field is ignored,
/// as the RFC allows, and the whole representation is sent.
fn parse_range(request: &HeaderMap, length: usize) -> RequestedRange {
    let value = request.get(header::RANGE).and_then(|v| v.to_str().ok());
    let bounds = value.and_then(|v| v.strip_prefix("bytes=")).and_then(|v| v.split_once('-'));
    let Some((first, last)) = bounds else { return RequestedRange::Whole };
    let range = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(count)) if first.is_empty() => length.saturating_sub(count)..length,
        _ => return RequestedRange::Whole,
    };
    if range.start < range.end {
        RequestedRange::Satisfiable(range)
    } else {
        RequestedRange::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn ranges() {
        for (value, expected) in [
            ("bytes=0-9", RequestedRange::Satisfiable(0..10)),
            ("bytes=90-200", RequestedRange::Satisfiable(90..100)),
            ("bytes=5-", RequestedRange::Satisfiable(5..100)),
            ("bytes=-10", RequestedRange::Satisfiable(90..100)),
            ("bytes=-1000", RequestedRange::Satisfiable(0..100)),
            ("bytes=100-", RequestedRange::Unsatisfiable),
            ("bytes=-0", RequestedRange::Unsatisfiable),
            ("bytes=9-5", RequestedRange::Whole),
            ("bytes=0-1,5-6", RequestedRange::Whole),
            ("lines=1-2", RequestedRange::Whole),
        ] {
            assert_eq!(parse_range(&fields(header::RANGE, value), 100), expected, "{value}");
        }
        assert_eq!(parse_range(&HeaderMap::new(), 100), RequestedRange::Whole);
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
            assert_eq!(
                is_gzip_accepted(&fields(header::ACCEPT_ENCODING, value)),
                gzip,
                "{value:?}"
            );
        }
    }
}
