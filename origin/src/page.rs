//! The pages that a viewer or a recipe visits: watch page, player in an iframe, and its form.
//! Each submodule is another kind of page that recipes are written for:
//!
//! - [`plain`]: a list of feeds, and pages with a `video` element.
//! - [`frames`]: nested frames, a redirecting page, a playlist URL inside a script.
//! - [`challenge`]: a challenge that the page's script answers.
//! - [`members`]: pages and playlists that require a cookie, for HTTP clients and for browsers.
//! - [`iptv_list`]: an IPTV list.

pub(crate) mod challenge;
pub(crate) mod frames;
pub(crate) mod iptv_list;
pub(crate) mod members;
pub(crate) mod plain;

use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::{Form, Json};
use http::{HeaderMap, header};
use serde_json::json;

use crate::hotlink_protection;
use crate::media::{Feed, library};
use crate::response::RequestError;
use crate::state::OriginState;

/// Lifetime of the CSRF value in the player's form.
const FORM_TTL: Duration = Duration::from_secs(600);

pub(crate) async fn index() -> Html<String> {
    let mut items = String::new();
    for Feed { id, name, .. } in &library().feeds {
        items += &format!(
            "<li><a href=\"/watch/{id}\">{name}</a> \
             <small><a href=\"/open/{id}/master.m3u8\">open playlist</a></small></li>"
        );
    }
    render_html(
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

pub(crate) async fn watch_page(Path(feed): Path<String>) -> Result<Html<String>, RequestError> {
    let Feed { id, name, .. } = find_feed(&feed)?;
    Ok(render_html(
        &format!("{name} live"),
        &format!(
            "<h1>{name} <em>live</em></h1><iframe id=\"player\" src=\"/embed/{id}\" \
             title=\"Player\" allow=\"autoplay; fullscreen\"></iframe><p><a href=\"/\">All feeds</a></p>"
        ),
    ))
}

pub(crate) async fn embed_page(
    State(state): State<OriginState>,
    Path(feed): Path<String>,
    headers: HeaderMap,
) -> Result<Response, RequestError> {
    let Feed { id, name, .. } = find_feed(&feed)?;
    let sid =
        session_cookie(&headers).unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    let csrf = state.signing_key.mint_csrf(&sid, id, state.clock.unix_seconds(), FORM_TTL);
    let page = render_html(
        &format!("{name} player"),
        &format!(
            "<form id=\"play\" method=\"post\" action=\"/embed/{id}/play\">\
             <input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
             <input type=\"hidden\" name=\"feed\" value=\"{id}\">\
             <button>Play {name}</button></form>"
        ),
    );
    let cookie = format!("sid={sid}; Path=/; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, cookie.as_str()), (header::CACHE_CONTROL, "no-store")], page)
        .into_response())
}

#[derive(serde::Deserialize)]
pub(crate) struct PlayForm {
    csrf: String,
    feed: String,
}

pub(crate) async fn submit_play_form(
    State(state): State<OriginState>,
    Path(feed): Path<String>,
    headers: HeaderMap,
    form: Result<Form<PlayForm>, FormRejection>,
) -> Result<Response, RequestError> {
    let feed = find_feed(&feed)?;
    hotlink_protection::require_player_referer(&state, &headers)
        .map_err(|_| RequestError::FormRejected("referer"))?;
    let Form(form) = form.map_err(|_| RequestError::FormRejected("form"))?;
    let sid = session_cookie(&headers).ok_or(RequestError::FormRejected("cookie"))?;
    let now = state.clock.unix_seconds();
    let csrf = state.signing_key.check_csrf(&form.csrf, &sid, feed.id, now);
    if csrf.is_err() || form.feed != feed.id {
        return Err(RequestError::FormRejected("csrf"));
    }
    let (playlist, expires) = state.mint_playlist_url(feed);
    let body = json!({"ok": true, "stream": {"playlist": playlist, "expires": expires}});
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

fn find_feed(id: &str) -> Result<&'static Feed, RequestError> {
    library().feed(id).ok_or(RequestError::NotFound)
}

/// The `sid` cookie, when its value is 32 hexadecimal digits, as [`embed`] mints it.
fn session_cookie(headers: &HeaderMap) -> Option<String> {
    let is_minted = |sid: &String| sid.len() == 32 && sid.bytes().all(|b| b.is_ascii_hexdigit());
    cookie_value(headers, "sid").filter(is_minted)
}

fn cookie_value(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs =
        values.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
}

fn render_html(title: &str, body: &str) -> Html<String> {
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
