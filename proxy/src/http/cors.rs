//! Cross-origin requests (CORS): pages of any origin may play media and post reports.

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};

use crate::http::response::Response;

/// The response fields that a page of another origin may read.
const EXPOSED_HEADERS: &str = "Content-Length, Content-Range, Accept-Ranges, ETag, Last-Modified, Date, \
                       Age, Retry-After, Server-Timing, X-Request-Id";

/// The response to a preflight request, which a browser sends before a page of another origin may
/// send fields such as `Range`.
pub fn preflight_response(methods: &str) -> Response {
    Response::new(StatusCode::NO_CONTENT)
        .with_header(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
        .with_header(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Accept, Cache-Control, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status, \
             Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Range, Range",
        )
        // Browsers ask for it where a public page plays from an edge in a private network.
        .with_header(HeaderName::from_static("access-control-allow-private-network"), "true")
        .with_header(header::ACCESS_CONTROL_MAX_AGE, "86400")
}

/// The fields of all responses that a player loads: playlists, segments, maps, keys. A page of any
/// origin may read them, and a browser that opens one runs nothing in it.
pub fn media_headers() -> [(HeaderName, HeaderValue); 5] {
    const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
    // Constants, because each response has these fields.
    const {
        [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS)),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("cross-origin"),
            ),
            (HeaderName::from_static("timing-allow-origin"), ANY_ORIGIN),
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("sandbox; default-src 'none'"),
            ),
        ]
    }
}
