//! `/plain`: a list of pages, each with a video element. No tricks.

use axum::extract::Path;
use axum::response::Html;

use super::{find, html};
use crate::answer::Refusal;
use crate::media::{Feed, library};

pub(crate) async fn list() -> Html<String> {
    let item = |Feed { id, name, .. }: &Feed| {
        format!("<li data-feed=\"{id}\"><a href=\"/plain/{id}\">{name}</a></li>")
    };
    let items: String = library().feeds.iter().map(item).collect();
    html("Plain pages", &format!("<h1>Plain pages</h1><ul id=\"feeds\">{items}</ul>"))
}

pub(crate) async fn page(Path(feed): Path<String>) -> Result<Html<String>, Refusal> {
    let Feed { id, name, .. } = find(&feed)?;
    let video = format!(
        "<h1>{name}</h1><video controls><source type=\"application/vnd.apple.mpegurl\" \
         src=\"/open/{id}/master.m3u8\"></video>"
    );
    Ok(html(&format!("{name}, plain"), &video))
}
