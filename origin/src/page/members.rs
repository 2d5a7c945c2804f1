//! `/members`: pages and playlists for whoever holds a cookie, which is given to whoever agrees.
//! `/app` is the same for browsers: a script that asks, and plays.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, header};
use serde_json::json;

use super::{cookie_named, find, html};
use crate::answer::Refusal;
use crate::media::Feed;
use crate::routes::Site;

const MEMBER_TTL: Duration = Duration::from_secs(3600);
const FORM_TTL: Duration = Duration::from_secs(600);

/// A question, or for a member the player.
pub(crate) async fn page(
    State(site): State<Site>,
    Path(feed): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Feed { id, name, .. } = find(&feed)?;
    if is_member(&site, &headers) {
        let player = format!(
            "<h1>{name}</h1><div id=\"player\" data-playlist=\"/members/{id}/master.m3u8\"></div>"
        );
        return Ok(html(&format!("{name}, for members"), &player).into_response());
    }
    let visit = format!("{:032x}", rand::random::<u128>());
    let csrf = site.key.mint_csrf(&visit, "join", site.clock.unix_seconds(), FORM_TTL);
    let question = format!(
        "<meta name=\"csrf-token\" content=\"{csrf}\"><h1>Members only</h1>\
         <button onclick=\"join()\">I agree to the rules</button>"
    );
    let set = format!("visit={visit}; Path=/members; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, set)], html("Members only", &question)).into_response())
}

#[derive(serde::Deserialize)]
pub(crate) struct Join {
    agree: bool,
}

/// The token of the page comes back in a header, as scripts send it.
pub(crate) async fn join(
    State(site): State<Site>,
    headers: HeaderMap,
    Json(join): Json<Join>,
) -> Result<Response, Refusal> {
    let visit = cookie_named(&headers, "visit").ok_or(Refusal::Form("cookie"))?;
    let csrf = headers.get("x-csrf-token").and_then(|it| it.to_str().ok()).unwrap_or_default();
    let now = site.clock.unix_seconds();
    if !join.agree || site.key.check_csrf(csrf, &visit, "join", now).is_err() {
        return Err(Refusal::Form("csrf"));
    }
    Ok(([(header::SET_COOKIE, membership(&site))], Json(json!({"ok": true}))).into_response())
}

/// Before playlists and segments.
pub(crate) async fn guard(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    match is_member(&site, request.headers()) {
        true => Ok(next.run(request).await),
        false => Err(Refusal::Form("cookie")),
    }
}

pub(crate) async fn app(Path(feed): Path<String>) -> Result<Html<String>, Refusal> {
    let Feed { id, name, .. } = find(&feed)?;
    let script = format!(
        "<h1>{name}</h1><button class=\"play\">Play</button><script>\n\
         document.querySelector('.play').addEventListener('click', async () => {{\n\
           const session = await (await fetch('/app/{id}/session', {{method: 'POST'}})).json();\n\
           const master = await (await fetch(session.playlist)).text();\n\
           const variant = master.split('\\n').find(line => line && !line.startsWith('#'));\n\
           await fetch(new URL(variant, new URL(session.playlist, location)));\n\
         }});\n\
         </script>"
    );
    Ok(html(&format!("{name}, the app"), &script))
}

pub(crate) async fn session(
    State(site): State<Site>,
    Path(feed): Path<String>,
) -> Result<Response, Refusal> {
    let Feed { id, .. } = find(&feed)?;
    let playlist = format!("/members/{id}/master.m3u8");
    let set = [(header::SET_COOKIE, membership(&site))];
    Ok((set, Json(json!({"playlist": playlist}))).into_response())
}

/// Its value begins with the moment at which it ends.
fn membership(site: &Site) -> String {
    let member = site.key.mint_csrf("member", "", site.clock.unix_seconds(), MEMBER_TTL);
    format!("member={member}; Path=/; HttpOnly; SameSite=Lax")
}

fn is_member(site: &Site, headers: &HeaderMap) -> bool {
    let member = cookie_named(headers, "member").unwrap_or_default();
    site.key.check_csrf(&member, "member", "", site.clock.unix_seconds()).is_ok()
}
