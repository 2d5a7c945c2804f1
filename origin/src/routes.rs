//! The table of contents of the HTTP side.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::answer::{self, Refusal};
use crate::clock::Clock;
use crate::media::{Feed, Rendition, library};
use crate::schedule::{self, Calendar};
use crate::token::Key;
use crate::{gate, page, playlist, timeline};

/// What every handler needs; cheap to clone.
#[derive(Clone)]
pub(crate) struct Site {
    /// Our own base URL, without a slash at the end.
    pub(crate) base: Arc<str>,
    pub(crate) key: Key,
    pub(crate) clock: Clock,
    pub(crate) calendar: Calendar,
    pub(crate) token_ttl: Duration,
    pub(crate) window: u64,
    pub(crate) require_referer: bool,
}

pub(crate) fn all(site: Site) -> Router {
    pages().merge(schedule::routes()).merge(live(&site)).with_state(site)
}

fn pages() -> Router<Site> {
    Router::new()
        .route("/", get(page::index))
        .route("/watch/{feed}", get(page::watch))
        .route("/embed/{feed}", get(page::embed))
        .route("/embed/{feed}/play", post(page::play))
        .route("/api/feeds", get(feeds))
        .route("/plain", get(page::plain::list))
        .route("/plain/{feed}", get(page::plain::page))
        .route("/frames/{feed}", get(page::frames::page))
        .route("/frames/{feed}/stage", get(page::frames::stage))
        .route("/embed/inline/{feed}", get(page::frames::player))
        .route("/embed/token/{feed}", get(page::computed::page))
        .route("/embed/token/{feed}/stream", get(page::computed::stream))
        .route("/members/{feed}", get(page::members::page))
        .route("/members/join", post(page::members::join))
        .route("/app/{feed}", get(page::members::app))
        .route("/app/{feed}/session", post(page::members::session))
        .route("/iptv.m3u", get(page::list::list))
}

/// Playlists and segments. A layer around this router sees every byte a relay fetches.
fn live(site: &Site) -> Router<Site> {
    let protected = Router::new()
        .route("/hls/{feed}/master.m3u8", get(canonical))
        .route("/cdn/{edge}/{feed}/master.m3u8", get(master))
        .route("/cdn/{edge}/{feed}/{rendition}/{file}", get(file))
        .layer(middleware::from_fn_with_state(site.clone(), gate::guard));
    let open = Router::new()
        .route("/open/{feed}/master.m3u8", get(master))
        .route("/open/{feed}/{rendition}/{file}", get(file));
    let members = Router::new()
        .route("/members/{feed}/master.m3u8", get(master))
        .route("/members/{feed}/{rendition}/{file}", get(file))
        .layer(middleware::from_fn_with_state(site.clone(), page::members::guard));
    protected.merge(open).merge(members)
}

/// The parameters of both families of paths, `/cdn/{edge}/..` and `/open/..`.
#[derive(serde::Deserialize)]
struct Place {
    feed: String,
    rendition: Option<String>,
    file: Option<String>,
}

impl Place {
    fn feed(&self) -> Result<&'static Feed, Refusal> {
        library().feed(&self.feed).ok_or(Refusal::NotFound)
    }

    fn rendition(&self) -> Result<&'static Rendition, Refusal> {
        let id = self.rendition.as_deref().ok_or(Refusal::NotFound)?;
        self.feed()?.rendition(id).ok_or(Refusal::NotFound)
    }
}

/// The canonical URL leads to the edge that the token belongs to.
async fn canonical(
    State(site): State<Site>,
    Path(place): Path<Place>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let feed = place.feed()?;
    let query = query.unwrap_or_default();
    let token = site.key.check(feed.id, &query, site.clock.unix_seconds())?;
    let to = format!("/cdn/{}/{}/master.m3u8?{}", token.edge(), feed.id, token.query());
    let headers = [(header::LOCATION, to), (header::CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::FOUND, headers).into_response())
}

async fn master(
    State(site): State<Site>,
    Path(place): Path<Place>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let feed = place.feed()?;
    let query = token_query(&site, feed, query);
    Ok(answer::playlist(&headers, playlist::master(feed, &query)))
}

/// `index.m3u8`, `init.mp4` or `{n}.{ext}` of one rendition.
async fn file(
    State(site): State<Site>,
    Path(place): Path<Place>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let rendition = place.rendition()?;
    let now = site.clock.unix_millis();
    match place.file.as_deref().unwrap_or("") {
        "index.m3u8" => {
            let query = token_query(&site, place.feed()?, query);
            let text = playlist::media(rendition, now, site.window, &query);
            Ok(answer::playlist(&headers, text))
        }
        "init.mp4" => {
            let init = rendition.init().ok_or(Refusal::NotFound)?;
            Ok(answer::media(&headers, "video/mp4", init.clone()))
        }
        name => {
            let (n, ext) = name.split_once('.').ok_or(Refusal::NotFound)?;
            let n = n.parse().map_err(|_| Refusal::NotFound)?;
            if ext != rendition.extension() || !timeline::is_served(n, now, site.window) {
                return Err(Refusal::NotFound);
            }
            let kind = if ext == "ts" { "video/mp2t" } else { "video/mp4" };
            Ok(answer::media(&headers, kind, Bytes::from(rendition.segment(n)?)))
        }
    }
}

/// The token to write into links: the one the request came with, if it is one. Under /open
/// there is none.
fn token_query(site: &Site, feed: &Feed, query: Option<String>) -> String {
    let token = site.key.check(feed.id, &query.unwrap_or_default(), site.clock.unix_seconds());
    token.map(|token| token.query()).unwrap_or_default()
}

/// A JSON list of feeds with fresh playlist URLs, for a recipe that needs no form.
async fn feeds(State(site): State<Site>) -> Json<Value> {
    let one = |feed: &Feed| {
        let (playlist, expires) = site.playlist_url(feed);
        let base = &site.base;
        json!({
            "id": feed.id,
            "name": feed.name,
            "watch": format!("{base}/watch/{}", feed.id),
            "open": format!("{base}/open/{}/master.m3u8", feed.id),
            "playlist": playlist,
            "expires": expires,
        })
    };
    Json(library().feeds.iter().map(one).collect())
}

impl Site {
    /// A canonical playlist URL with a new token, and when that ends.
    pub(crate) fn playlist_url(&self, feed: &Feed) -> (String, u64) {
        let token = self.key.mint(feed.id, self.clock.unix_seconds(), self.token_ttl);
        (format!("{}/hls/{}/master.m3u8?{}", self.base, feed.id, token.query()), token.expires)
    }
}
