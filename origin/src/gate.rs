//! What stands before /hls and /cdn: the Referer of our own player, and the token.

use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};

use crate::answer::Refusal;
use crate::routes::Site;

/// A layer around the protected routes: each has `{feed}`, those of the "CDN" also `{edge}`.
pub(crate) async fn guard(
    State(site): State<Site>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    came_from_player(&site, request.headers())?;
    let param = |name| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let feed = param("feed").ok_or(Refusal::NotFound)?;
    let query = request.uri().query().unwrap_or("");
    let token = site.key.check(feed, query, site.clock.unix_seconds())?;
    if param("edge").is_some_and(|edge| edge != token.edge()) {
        return Err(Refusal::WrongEdge);
    }
    Ok(next.run(request).await)
}

pub(crate) fn came_from_player(site: &Site, headers: &HeaderMap) -> Result<(), Refusal> {
    let referer = headers.get(header::REFERER).and_then(|v| v.to_str().ok()).unwrap_or("");
    let ours = referer.strip_prefix(&*site.base).is_some_and(|path| path.starts_with("/embed/"));
    if ours || !site.require_referer { Ok(()) } else { Err(Refusal::Hotlink) }
}
