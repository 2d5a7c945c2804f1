//! Access checks of `/hls` and `/cdn`: the `Referer` of the embedded player, and the query token.

use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};

use crate::response::RequestError;
use crate::state::OriginState;

/// Middleware of the protected routes. Every such route has the path parameter `{feed}`; the routes
/// of the "CDN" also have `{edge}`, which must be the token's [`Token::edge_name`].
///
/// # Errors
/// [`RequestError::Hotlink`], [`RequestError::Token`] or [`RequestError::WrongEdge`].
///
/// [`Token::edge_name`]: crate::token::Token::edge_name
pub(crate) async fn require_referer_and_token(
    State(state): State<OriginState>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, RequestError> {
    require_player_referer(&state, request.headers())?;
    let param = |name| params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let feed = param("feed").ok_or(RequestError::NotFound)?;
    let query = request.uri().query().unwrap_or("");
    let token = state.signing_key.check_token(feed, query, state.clock.unix_seconds())?;
    if param("edge").is_some_and(|edge| edge != token.edge_name()) {
        return Err(RequestError::WrongEdge);
    }
    Ok(next.run(request).await)
}

/// Requires a `Referer` under `/embed/` of this origin, unless the configuration turns that off.
///
/// # Errors
/// [`RequestError::Hotlink`] for any other `Referer`, or none.
pub(crate) fn require_player_referer(
    state: &OriginState,
    headers: &HeaderMap,
) -> Result<(), RequestError> {
    let referer = headers.get(header::REFERER).and_then(|v| v.to_str().ok()).unwrap_or("");
    let is_own_player =
        referer.strip_prefix(&*state.base).is_some_and(|path| path.starts_with("/embed/"));
    if is_own_player || !state.require_referer { Ok(()) } else { Err(RequestError::Hotlink) }
}
