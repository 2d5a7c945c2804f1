//! `/members`: pages and playlists that require a membership cookie, which a client gets by
//! agreeing to the rules. `/app` is the same for browsers: its script requests the cookie and
//! plays.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, header};
use serde_json::json;

use super::{cookie_value, find_feed, render_html};
use crate::media::Feed;
use crate::response::RequestError;
use crate::state::OriginState;

/// Lifetime of the membership cookie.
const MEMBERSHIP_TTL: Duration = Duration::from_secs(3600);
/// Lifetime of the CSRF value on the page that asks for agreement.
const FORM_TTL: Duration = Duration::from_secs(600);

/// The player for a member; for anybody else a page that asks for agreement.
pub(crate) async fn page(
    State(state): State<OriginState>,
    Path(feed): Path<String>,
    headers: HeaderMap,
) -> Result<Response, RequestError> {
    let Feed { id, name, .. } = find_feed(&feed)?;
    if is_member(&state, &headers) {
        let player = format!(
            "<h1>{name}</h1><div id=\"player\" data-playlist=\"/members/{id}/master.m3u8\"></div>"
        );
        return Ok(render_html(&format!("{name}, for members"), &player).into_response());
    }
    let visit = format!("{:032x}", rand::random::<u128>());
    let csrf = state.signing_key.mint_csrf(&visit, "join", state.clock.unix_seconds(), FORM_TTL);
    let question = format!(
        "<meta name=\"csrf-token\" content=\"{csrf}\"><h1>Members only</h1>\
         <button onclick=\"join()\">I agree to the rules</button>"
    );
    let cookie = format!("visit={visit}; Path=/members; HttpOnly; SameSite=Lax");
    Ok(([(header::SET_COOKIE, cookie)], render_html("Members only", &question)).into_response())
}

#[derive(serde::Deserialize)]
pub(crate) struct JoinRequest {
    agree: bool,
}

/// Grants membership; the page's CSRF value is expected in the field `X-CSRF-Token`, as scripts
/// send it.
pub(crate) async fn join(
    State(state): State<OriginState>,
    headers: HeaderMap,
    Json(join): Json<JoinRequest>,
) -> Result<Response, RequestError> {
    let visit = cookie_value(&headers, "visit").ok_or(RequestError::FormRejected("cookie"))?;
    let csrf =
        headers.get("x-csrf-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = state.clock.unix_seconds();
    if !join.agree || state.signing_key.check_csrf(csrf, &visit, "join", now).is_err() {
        return Err(RequestError::FormRejected("csrf"));
    }
    Ok(([(header::SET_COOKIE, mint_membership_cookie(&state))], Json(json!({"ok": true})))
        .into_response())
}

/// Middleware of the members' playlists and segments.
///
/// # Errors
/// [`RequestError::FormRejected`] without a valid membership cookie.
pub(crate) async fn require_membership(
    State(state): State<OriginState>,
    request: Request,
    next: Next,
) -> Result<Response, RequestError> {
    match is_member(&state, request.headers()) {
        true => Ok(next.run(request).await),
        false => Err(RequestError::FormRejected("cookie")),
    }
}

pub(crate) async fn app_page(Path(feed): Path<String>) -> Result<Html<String>, RequestError> {
    let Feed { id, name, .. } = find_feed(&feed)?;
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
    Ok(render_html(&format!("{name}, the app"), &script))
}

pub(crate) async fn create_session(
    State(state): State<OriginState>,
    Path(feed): Path<String>,
) -> Result<Response, RequestError> {
    let Feed { id, .. } = find_feed(&feed)?;
    let playlist = format!("/members/{id}/master.m3u8");
    let fields = [(header::SET_COOKIE, mint_membership_cookie(&state))];
    Ok((fields, Json(json!({"playlist": playlist}))).into_response())
}

/// A `Set-Cookie` value for `member`, whose own value begins with its expiry in unix seconds.
fn mint_membership_cookie(state: &OriginState) -> String {
    let member =
        state.signing_key.mint_csrf("member", "", state.clock.unix_seconds(), MEMBERSHIP_TTL);
    format!("member={member}; Path=/; HttpOnly; SameSite=Lax")
}

fn is_member(state: &OriginState, headers: &HeaderMap) -> bool {
    let member = cookie_value(headers, "member").unwrap_or_default();
    state.signing_key.check_csrf(&member, "member", "", state.clock.unix_seconds()).is_ok()
}
