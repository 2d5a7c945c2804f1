//! Checks of a request's method, fields and body, before its route is handled.

use std::time::Duration;

use http::header::{EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, Method, Version};
use pingora::protocols::http::ServerSession;

use crate::http::cors::preflight_response;
use crate::http::problem::Problem;
use crate::http::response::Response;

/// Limit of field names and values together: more than any player sends.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Limit of field lines.
const MAX_HEADERS: usize = 100;
/// How long a request's body may take, which is at most tens of KiB.
const BODY_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a body that is too large is read nevertheless, and for how long.
const BODY_DISCARD_MAX_BYTES: usize = 4 << 20;
const BODY_DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The response that refuses a request without a valid host (RFC 9112, section 3.2), with a framing that other servers may
/// read differently, or with too many or too large fields.
fn reject_invalid_header(session: &mut ServerSession) -> Option<Response> {
    let header = session.req_header();
    let fields = &header.headers;
    let size: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let problem = if header.version == Version::HTTP_11 && !fields.contains_key(HOST) {
        Problem::BadUrl("the request names no host")
    } else if fields.get(HOST).is_some_and(|host| !is_host(host.as_bytes())) {
        Problem::BadUrl("the request's host is none")
    } else if fields.contains_key(TRANSFER_ENCODING) && !is_only_chunked(fields) {
        Problem::BadBody("another transfer coding than chunked alone")
    } else if size > MAX_HEADER_BYTES || fields.len() > MAX_HEADERS {
        Problem::HeadersTooLarge
    } else {
        return None;
    };
    session.set_keepalive(None);
    Some(Response::from_problem(&problem))
}

/// Whether a Host field is a host, with or without a port; a client may leave it empty.
fn is_host(value: &[u8]) -> bool {
    value.is_empty() || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
}

/// Whether a request's target is in origin form or absolute form (RFC 9112, section 3.2), whose host Pingora has compared
/// with the Host field. Of any other it would make a path.
fn is_path_or_url(target: &[u8]) -> bool {
    let begins_with = |text: &[u8]| {
        target.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    begins_with(b"/") || begins_with(b"http://") || begins_with(b"https://")
}

fn is_only_chunked(fields: &HeaderMap) -> bool {
    let mut codings = fields.get_all(TRANSFER_ENCODING).into_iter();
    codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

/// The response that refuses a command with invalid fields or another method than those of its
/// route, as `Allow` lists them; `None` admits it. The control plane checks everything else.
pub fn reject_invalid_command(
    session: &mut ServerSession,
    methods: &'static str,
) -> Option<Response> {
    if let Some(response) = reject_invalid_header(session) {
        return Some(response);
    }
    let requested = session.req_header().method.as_str();
    if methods.split(", ").any(|method| method == requested) {
        return None;
    }
    session.set_keepalive(None);
    Some(Response::from_problem(&Problem::MethodNotAllowed(methods)))
}

/// The response to a request for the reports route that is no `POST`, a preflight's among them, as
/// pages of any origin may post reports; `None` admits the request.
pub fn reject_invalid_report(session: &mut ServerSession) -> Option<Response> {
    if let Some(response) = reject_invalid_header(session) {
        return Some(response);
    }
    match session.req_header().method {
        Method::POST => None,
        Method::OPTIONS => Some(preflight_response("POST, OPTIONS")),
        _ => {
            session.set_keepalive(None);
            Some(Response::from_problem(&Problem::MethodNotAllowed("POST, OPTIONS")))
        }
    }
}

/// Reads a request's body of at most `max_bytes`.
///
/// # Errors
/// [`Problem::BodyTooLarge`], or [`Problem::BadBody`] when the body breaks off or takes longer than
/// [`BODY_READ_TIMEOUT`]; the connection is closed after the response.
pub async fn read_body(session: &mut ServerSession, max_bytes: usize) -> Result<Vec<u8>, Problem> {
    let body = tokio::time::timeout(BODY_READ_TIMEOUT, collect_body(session, max_bytes)).await;
    let body = body.unwrap_or(Err(Problem::BadBody("it does not come in time")));
    if body.is_err() {
        // The rest of the body would be read as the next request.
        session.set_keepalive(None);
    }
    body
}

async fn collect_body(session: &mut ServerSession, max_bytes: usize) -> Result<Vec<u8>, Problem> {
    let broken_off = |_| Problem::BadBody("it broke off");
    let expected = session.req_header().headers.get(EXPECT);
    if expected.is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        let continued = session.write_continue_response().await;
        continued.map_err(broken_off)?;
    }
    let mut body = Vec::new();
    loop {
        let chunk = session.read_request_body().await;
        match chunk.map_err(broken_off)? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > max_bytes => {
                let discarded = discard_body(session);
                // What has not come by then is not waited for.
                let _ = tokio::time::timeout(BODY_DISCARD_TIMEOUT, discarded).await;
                return Err(Problem::BodyTooLarge);
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

/// Reads the rest of a body that is too large: a client that still sends when the connection is
/// closed loses the response.
async fn discard_body(session: &mut ServerSession) {
    let mut discarded = 0;
    while discarded < BODY_DISCARD_MAX_BYTES
        && let Ok(Some(chunk)) = session.read_request_body().await
    {
        discarded += chunk.len();
    }
}

/// The response to a request of any other route that is no `GET` or `HEAD` without a body; `None`
/// admits it.
///
/// `is_media`: pages of any origin may request the route, so a preflight is answered.
pub fn reject_invalid_request(session: &mut ServerSession, is_media: bool) -> Option<Response> {
    if let Some(response) = reject_invalid_header(session) {
        return Some(response);
    }
    match session.req_header().method {
        Method::GET | Method::HEAD => {
            let problem = if !is_path_or_url(session.req_header().raw_path()) {
                Problem::BadUrl("the request's target is no path")
            } else if !session.is_body_empty() {
                Problem::BodyNotAllowed
            } else {
                return None;
            };
            // A body would be read as the next request.
            session.set_keepalive(None);
            Some(Response::from_problem(&problem))
        }
        Method::OPTIONS if is_media => Some(preflight_response("GET, HEAD, OPTIONS")),
        _ => {
            session.set_keepalive(None);
            let allowed = if is_media { "GET, HEAD, OPTIONS" } else { "GET, HEAD" };
            Some(Response::from_problem(&Problem::MethodNotAllowed(allowed)))
        }
    }
}
