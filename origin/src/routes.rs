//! The routing table, and the handlers of playlists and segments.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::media::{Feed, Rendition, library};
use crate::response::{self, RequestError};
use crate::state::OriginState;
use crate::{hotlink_protection, page, playlist, schedule, timeline};

pub(crate) fn build_router(state: OriginState) -> Router {
    page_routes().merge(schedule::routes()).merge(media_routes(&state)).with_state(state)
}

fn page_routes() -> Router<OriginState> {
    Router::new()
        .route("/", get(page::index))
        .route("/watch/{feed}", get(page::watch_page))
        .route("/embed/{feed}", get(page::embed_page))
        .route("/embed/{feed}/play", post(page::submit_play_form))
        .route("/api/feeds", get(list_feeds))
        .route("/plain", get(page::plain::list))
        .route("/plain/{feed}", get(page::plain::page))
        .route("/frames/{feed}", get(page::frames::page))
        .route("/frames/{feed}/stage", get(page::frames::refresh_page))
        .route("/embed/inline/{feed}", get(page::frames::player_page))
        .route("/embed/token/{feed}", get(page::challenge::page))
        .route("/embed/token/{feed}/stream", get(page::challenge::check_answer))
        .route("/members/{feed}", get(page::members::page))
        .route("/members/join", post(page::members::join))
        .route("/app/{feed}", get(page::members::app_page))
        .route("/app/{feed}/session", post(page::members::create_session))
        .route("/iptv.m3u", get(page::iptv_list::list))
}

/// Routes of playlists and segments: a layer around this router sees every byte that a relay
/// fetches.
fn media_routes(state: &OriginState) -> Router<OriginState> {
    let protected = Router::new()
        .route("/hls/{feed}/master.m3u8", get(redirect_to_edge))
        .route("/cdn/{edge}/{feed}/master.m3u8", get(serve_multivariant))
        .route("/cdn/{edge}/{feed}/{rendition}/{file}", get(serve_rendition_file))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            hotlink_protection::require_referer_and_token,
        ));
    let open = Router::new()
        .route("/open/{feed}/master.m3u8", get(serve_multivariant))
        .route("/open/{feed}/{rendition}/{file}", get(serve_rendition_file));
    let members = Router::new()
        .route("/members/{feed}/master.m3u8", get(serve_multivariant))
        .route("/members/{feed}/{rendition}/{file}", get(serve_rendition_file))
        .layer(middleware::from_fn_with_state(state.clone(), page::members::require_membership));
    protected.merge(open).merge(members)
}

/// Path parameters of `/cdn/{edge}/..`, `/open/..` and `/members/..`.
#[derive(serde::Deserialize)]
struct MediaPath {
    feed: String,
    rendition: Option<String>,
    file: Option<String>,
}

impl MediaPath {
    fn find_feed(&self) -> Result<&'static Feed, RequestError> {
        library().feed(&self.feed).ok_or(RequestError::NotFound)
    }

    fn find_rendition(&self) -> Result<&'static Rendition, RequestError> {
        let id = self.rendition.as_deref().ok_or(RequestError::NotFound)?;
        self.find_feed()?.rendition(id).ok_or(RequestError::NotFound)
    }
}

/// Redirects the canonical playlist URL to the "CDN" edge that the token names.
async fn redirect_to_edge(
    State(state): State<OriginState>,
    Path(path): Path<MediaPath>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let feed = path.find_feed()?;
    let query = query.unwrap_or_default();
    let token = state.signing_key.check_token(feed.id, &query, state.clock.unix_seconds())?;
    let location =
        format!("/cdn/{}/{}/master.m3u8?{}", token.edge_name(), feed.id, token.to_query());
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::FOUND, headers).into_response())
}

async fn serve_multivariant(
    State(state): State<OriginState>,
    Path(path): Path<MediaPath>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, RequestError> {
    let feed = path.find_feed()?;
    let query = token_query(&state, feed, query);
    Ok(response::playlist_response(&headers, playlist::render_multivariant(feed, &query)))
}

/// Serves `index.m3u8`, `init.mp4` or `{n}.{ext}` of one rendition.
async fn serve_rendition_file(
    State(state): State<OriginState>,
    Path(path): Path<MediaPath>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, RequestError> {
    let rendition = path.find_rendition()?;
    let now = state.clock.unix_millis();
    match path.file.as_deref().unwrap_or("") {
        "index.m3u8" => {
            let query = token_query(&state, path.find_feed()?, query);
            let text = playlist::render_media(rendition, now, state.window_segments, &query);
            Ok(response::playlist_response(&headers, text))
        }
        "init.mp4" => {
            let init = rendition.init_segment().ok_or(RequestError::NotFound)?;
            Ok(response::media_response(&headers, "video/mp4", init.clone()))
        }
        name => {
            let (n, ext) = name.split_once('.').ok_or(RequestError::NotFound)?;
            let n = n.parse().map_err(|_| RequestError::NotFound)?;
            if ext != rendition.extension() || !timeline::is_served(n, now, state.window_segments) {
                return Err(RequestError::NotFound);
            }
            let kind = if ext == "ts" { "video/mp2t" } else { "video/mp4" };
            Ok(response::media_response(&headers, kind, Bytes::from(rendition.segment_bytes(n)?)))
        }
    }
}

/// The token query for the URIs of a playlist: the request's own, or an empty string when the
/// request has no valid token, as under /open.
fn token_query(state: &OriginState, feed: &Feed, query: Option<String>) -> String {
    let token = state.signing_key.check_token(
        feed.id,
        &query.unwrap_or_default(),
        state.clock.unix_seconds(),
    );
    token.map(|token| token.to_query()).unwrap_or_default()
}

/// A JSON list of all feeds with newly signed playlist URLs, for recipes that do not walk the form.
async fn list_feeds(State(state): State<OriginState>) -> Json<Value> {
    let entry = |feed: &Feed| {
        let (playlist, expires) = state.mint_playlist_url(feed);
        let base = &state.base;
        json!({
            "id": feed.id,
            "name": feed.name,
            "watch": format!("{base}/watch/{}", feed.id),
            "open": format!("{base}/open/{}/master.m3u8", feed.id),
            "playlist": playlist,
            "expires": expires,
        })
    };
    Json(library().feeds.iter().map(entry).collect())
}
