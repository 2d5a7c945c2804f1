//! `/frames`: a page with an iframe whose document redirects (`meta refresh`) to a player. The
//! player requires a `Referer` under `/frames/` and has its playlist URL in a script.

use axum::extract::{Path, State};
use axum::response::Html;
use http::{HeaderMap, header};

use super::{find_feed, render_html};
use crate::media::Feed;
use crate::response::RequestError;
use crate::state::OriginState;

pub(crate) async fn page(Path(feed): Path<String>) -> Result<Html<String>, RequestError> {
    let Feed { id, name, .. } = find_feed(&feed)?;
    let frame =
        format!("<h1>{name}</h1><iframe class=\"stage\" src=\"/frames/{id}/stage\"></iframe>");
    Ok(render_html(&format!("{name}, framed"), &frame))
}

pub(crate) async fn refresh_page(Path(feed): Path<String>) -> Result<Html<String>, RequestError> {
    let Feed { id, .. } = find_feed(&feed)?;
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0; url=/embed/inline/{id}\">");
    Ok(render_html("One moment", &refresh))
}

pub(crate) async fn player_page(
    State(state): State<OriginState>,
    Path(feed): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, RequestError> {
    let feed = find_feed(&feed)?;
    let referer =
        headers.get(header::REFERER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !referer.starts_with(&format!("{}/frames/", state.base)) {
        return Err(RequestError::Hotlink);
    }
    let (playlist, _) = state.mint_playlist_url(feed);
    // JSON in a script, escaped as web frameworks escape it.
    let escaped = playlist.replace('/', "\\/").replace('&', "\\u0026");
    let script =
        format!("<script>var setup = {{\"kind\": \"hls\", \"src\": \"{escaped}\"}};</script>");
    Ok(render_html("Player", &script))
}
