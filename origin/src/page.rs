//! The pages a viewer, or a recipe, walks: watch page, player in an iframe, form. Beside them
//! one of every other kind that recipes are written for:
//!
//! - [`plain`]: a list, and pages with a video element.
//! - [`frames`]: frames, a page that sends one on, a playlist within a script.
//! - [`computed`]: a challenge that a script answers.
//! - [`members`]: a cookie before pages and playlists; the same for browsers.
//! - [`list`]: an IPTV list.

pub(crate) mod computed;
pub(crate) mod frames;
pub(crate) mod list;
pub(crate) mod members;
pub(crate) mod plain;

use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::{Form, Json};
use http::{HeaderMap, header};
use serde_json::json;

use crate::answer::Refusal;
use crate::gate;
use crate::media::{Feed, library};
use crate::routes::Site;

const FORM_TTL: Duration = Duration::from_secs(600);

pub(crate) async fn index() -> Html<String> {
    let mut items = String::new();
    for Feed { id, name, .. } in &library().feeds {
        items += &format!(
            "<li><a href=\"/watch/{id}\">{name}</a> \
             <small><a href=\"/open/{id}/master.m3u8\">open playlist</a></small></li>"
        );
    }
    html(
        "Demo origin",
        &format!(
            "<h1>Demo origin</h1><p>Four feeds of a made-up programme, live for ever. Pitwall's \
             demo and tests play from here.</p><ul>{items}</ul><p><small>\
             <a href=\"/api/feeds\">/api/feeds</a> · \
             <a href=\"/plain\">/plain</a> · \
             <a href=\"/frames/world-feed\">/frames</a> · \
             <a href=\"/embed/token/world-feed\">/embed/token</a> · \
             <a href=\"/members/world-feed\">/members</a> · \
             <a href=\"/app/world-feed\">/app</a> · <a href=\"/iptv.m3u\">/iptv.m3u</a> · \
             <a href=\"/ergast/f1/current/races/\">/ergast/f1/current/races/</a> · \
             <a href=\"/v1/sessions\">/v1/sessions</a></small></p>"
        ),
    )
}

pub(crate) async fn watch(Path(feed): Path<String>) -> Result<Html<String>, Refusal> {
    let Feed { id, name, .. } = find(&feed)?;
    Ok(html(
        &format!("{name} live"),
        &format!(
            "<h1>{name} <em>live</em></h1><iframe id=\"player\" src=\"/embed/{id}\" \
             title=\"Player\" allow=\"autoplay; fullscreen\"></iframe><p><a href=\"/\">All feeds</a></p>"
        ),
    ))
}

pub(crate) async fn embed(
    State(site): State<Site>,
    Path(feed): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Feed { id, name, .. } = find(&feed)?;
    let sid = cookie(&headers).unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    let csrf = site.key.mint_csrf(&sid, id, site.clock.unix_seconds(), FORM_TTL);
    let page = html(
        &format!("{name} player"),
        &format!(
            "<form id=\"play\" method=\"post\" action=\"/embed/{id}/play\">\
             <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
             <input type=\"hidden\" name=\"feed\" value=\"{id}\">\
             <button>Play {name}</button></form>"
        ),
    );
    let set = format!("sid={sid}; Path=/; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, set.as_str()), (header::CACHE_CONTROL, "no-store")], page)
        .into_response())
}

#[derive(serde::Deserialize)]
pub(crate) struct PlayForm {
    csrf: String,
    feed: String,
}

pub(crate) async fn play(
    State(site): State<Site>,
    Path(feed): Path<String>,
    headers: HeaderMap,
    form: Result<Form<PlayForm>, FormRejection>,
) -> Result<Response, Refusal> {
    let feed = find(&feed)?;
    gate::came_from_player(&site, &headers).map_err(|_| Refusal::Form("referer"))?;
    let Form(form) = form.map_err(|_| Refusal::Form("form"))?;
    let sid = cookie(&headers).ok_or(Refusal::Form("cookie"))?;
    let now = site.clock.unix_seconds();
    let csrf = site.key.check_csrf(&form.csrf, &sid, feed.id, now);
    if csrf.is_err() || form.feed != feed.id {
        return Err(Refusal::Form("csrf"));
    }
    let (playlist, expires) = site.playlist_url(feed);
    let body = json!({"ok": true, "stream": {"playlist": playlist, "expires": expires}});
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

fn find(id: &str) -> Result<&'static Feed, Refusal> {
    library().feed(id).ok_or(Refusal::NotFound)
}

/// Our `sid` cookie, when it has the form of one that we made.
fn cookie(headers: &HeaderMap) -> Option<String> {
    let ours = |sid: &String| sid.len() == 32 && sid.bytes().all(|b| b.is_ascii_hexdigit());
    cookie_named(headers, "sid").filter(ours)
}

fn cookie_named(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs =
        values.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
}

fn html(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>\
         body{{background:#0d121b;color:#eef1f6;font:16px/1.5 system-ui,sans-serif;margin:2rem auto;\
         max-width:60rem;padding:0 1rem}}a{{color:#35c9f5}}h1 em{{color:#ff6b5a;font-style:normal;\
         font-size:.5em;text-transform:uppercase;vertical-align:middle}}iframe{{border:0;width:100%;\
         aspect-ratio:16/9;background:#000}}form{{display:grid;place-items:center;min-height:60vh}}\
         button{{font:inherit;padding:.7em 1.6em;border:0;border-radius:2em;background:#ffb020}}\
         small{{color:#8f9aae;margin-left:.6em}}</style></head><body>{body}</body></html>"
    ))
}
