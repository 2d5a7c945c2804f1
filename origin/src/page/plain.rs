//! `/plain`: a list of pages, each with a `video` element whose playlist needs no token or cookie.

use axum::extract::Path;
use axum::response::Html;

use super::{find_feed, render_html};
use crate::media::{Feed, library};
use crate::response::RequestError;

pub(crate) async fn list() -> Html<String> {
    let item = |Feed { id, name, .. }: &Feed| {
        format!("<li data-feed=\"{id}\"><a href=\"/plain/{id}\">{name}</a></li>")
    };
    let items: String = library().feeds.iter().map(item).collect();
    render_html("Plain pages", &format!("<h1>Plain pages</h1><ul id=\"feeds\">{items}</ul>"))
}

pub(crate) async fn page(Path(feed): Path<String>) -> Result<Html<String>, RequestError> {
    let Feed { id, name, .. } = find_feed(&feed)?;
    let video = format!(
        "<h1>{name}</h1><video controls><source type=\"application/vnd.apple.mpegurl\" \
         src=\"/open/{id}/master.m3u8\"></video>"
    );
    Ok(render_html(&format!("{name}, plain"), &video))
}
