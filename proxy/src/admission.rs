//! Which requests are taken at all, whatever they ask for.

use std::time::Duration;

use http::Method;
use pingora_proxy::Session;

use crate::answer::Answer;
use crate::problem::Problem;

/// More than any player sends, less than what would hurt.
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;
/// A body is small, or not wanted.
const BODY: Duration = Duration::from_secs(5);

fn too_large(session: &mut Session) -> Option<Answer> {
    let headers = &session.req_header().headers;
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size <= MAX_HEADER_BYTES && headers.len() <= MAX_HEADERS {
        return None;
    }
    session.as_downstream_mut().set_keepalive(None);
    Some(Answer::problem(&Problem::HeadersTooLarge))
}

/// The control plane has its own word on all else that may be wrong with a command.
pub fn of_command(session: &mut Session, method: &Method) -> Option<Answer> {
    if let Some(answer) = too_large(session) {
        return Some(answer);
    }
    let asked = &session.req_header().method;
    if asked == method || (asked == Method::HEAD && method == Method::GET) {
        return None;
    }
    session.as_downstream_mut().set_keepalive(None);
    let allowed = if method == Method::GET { "GET, HEAD" } else { "POST" };
    Some(Answer::problem(&Problem::MethodNotAllowed(allowed)))
}

/// What players post is taken from pages of any origin.
pub fn of_report(session: &mut Session) -> Option<Answer> {
    if let Some(answer) = too_large(session) {
        return Some(answer);
    }
    match session.req_header().method {
        Method::POST => None,
        Method::OPTIONS => Some(Answer::preflight("POST, OPTIONS")),
        _ => {
            session.as_downstream_mut().set_keepalive(None);
            Some(Answer::problem(&Problem::MethodNotAllowed("POST, OPTIONS")))
        }
    }
}

/// A request's whole body, if it is no longer than `most` bytes and comes in time.
pub async fn body(session: &mut Session, most: usize) -> Result<Vec<u8>, Problem> {
    let body = tokio::time::timeout(BODY, read(session, most)).await;
    let body = body.unwrap_or(Err(Problem::BadBody("it does not come in time")));
    if body.is_err() {
        // What is left of it would be read as the next request.
        session.as_downstream_mut().set_keepalive(None);
    }
    body
}

async fn read(session: &mut Session, most: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    loop {
        let chunk = session.as_downstream_mut().read_request_body().await;
        match chunk.map_err(|_| Problem::BadBody("it broke off"))? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > most => return Err(Problem::BodyTooLarge),
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

/// An answer to what is no request for anything.
pub fn of_request(session: &mut Session, media: bool) -> Option<Answer> {
    if let Some(answer) = too_large(session) {
        return Some(answer);
    }
    let method = session.req_header().method.clone();
    match method {
        Method::GET | Method::HEAD => {
            if session.as_downstream_mut().is_body_empty() {
                return None;
            }
            // What is left of the body would be read as the next request.
            session.as_downstream_mut().set_keepalive(None);
            Some(Answer::problem(&Problem::BodyNotAllowed))
        }
        Method::OPTIONS if media => Some(Answer::preflight("GET, HEAD, OPTIONS")),
        _ => {
            session.as_downstream_mut().set_keepalive(None);
            let allowed = if media { "GET, HEAD, OPTIONS" } else { "GET, HEAD" };
            Some(Answer::problem(&Problem::MethodNotAllowed(allowed)))
        }
    }
}
