//! `/frames`: a page that shows a page that sends one on to a player, which only plays where it
//! is shown, and hides its playlist in a script.

use axum::extract::{Path, State};
use axum::response::Html;
use http::{HeaderMap, header};

use super::{find, html};
use crate::answer::Refusal;
use crate::media::Feed;
use crate::routes::Site;

pub(crate) async fn page(Path(feed): Path<String>) -> Result<Html<String>, Refusal> {
    let Feed { id, name, .. } = find(&feed)?;
    let frame =
        format!("<h1>{name}</h1><iframe class=\"stage\" src=\"/frames/{id}/stage\"></iframe>");
    Ok(html(&format!("{name}, framed"), &frame))
}

pub(crate) async fn stage(Path(feed): Path<String>) -> Result<Html<String>, Refusal> {
    let Feed { id, .. } = find(&feed)?;
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0; url=/embed/inline/{id}\">");
    Ok(html("One moment", &refresh))
}

pub(crate) async fn player(
    State(site): State<Site>,
    Path(feed): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, Refusal> {
    let feed = find(&feed)?;
    let referer = headers.get(header::REFERER).and_then(|it| it.to_str().ok()).unwrap_or_default();
    if !referer.starts_with(&format!("{}/frames/", site.base)) {
        return Err(Refusal::Hotlink);
    }
    let (playlist, _) = site.playlist_url(feed);
    // As frameworks write texts into scripts.
    let escaped = playlist.replace('/', "\\/").replace('&', "\\u0026");
    let script =
        format!("<script>var setup = {{\"kind\": \"hls\", \"src\": \"{escaped}\"}};</script>");
    Ok(html("Player", &script))
}
