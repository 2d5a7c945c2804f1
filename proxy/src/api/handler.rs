//! [`ApiHandler`]: responses to API requests, made from the current map alone.

use std::sync::Arc;

use bytes::Bytes;
use http::header;
use pitwall_upstream_map::Store;
use serde::Serialize;

use super::events::EventBroadcaster;
use super::local_overrides::{ActiveUpstreamFn, LocalOverrides};
use super::operations::{ApiRequest, DocumentKind};
use super::views::DocumentViews;
use super::{OpenApi, iptv_playlist, views};
use crate::drain::DrainSignal;
use crate::http::access::AccessScope;
use crate::http::problem::Problem;
use crate::http::response::{Response, etag_of};

const JSON: &str = "application/json";

/// Responds to API requests.
pub struct ApiHandler {
    pub store: Arc<dyn Store>,
    pub views: DocumentViews,
    pub events: Arc<EventBroadcaster>,
    pub openapi: OpenApi,
    pub drain_signal: DrainSignal,
}

impl ApiHandler {
    /// The M3U list of streams for IPTV players.
    ///
    /// `token_query`: the query (`?key=TOKEN`, or empty) that a link to this scope ends in.
    ///
    /// # Errors
    /// [`Problem::Starting`] before the first map.
    pub fn iptv_playlist(
        &self,
        token_query: &dyn Fn(AccessScope<'_>) -> String,
    ) -> Result<Response, Problem> {
        let map = self.store.map();
        let list = views::document_text(&map.documents.playlist)?;
        let text = iptv_playlist::append_tokens(list, token_query);
        Ok(document_response("audio/x-mpegurl", text.into()))
    }

    /// The bootstrap document as this edge plays its streams.
    ///
    /// # Errors
    /// [`Problem::Starting`] before the first map.
    pub fn bootstrap_json(&self, active_upstream: ActiveUpstreamFn<'_>) -> Result<String, Problem> {
        let map = self.store.map();
        let overrides = LocalOverrides::for_map(&map, active_upstream);
        if overrides.is_empty() {
            return Ok(views::document_text(&map.documents.bootstrap)?.to_owned());
        }
        let mut bootstrap = self.views.for_map(&map).bootstrap()?.clone();
        bootstrap.streams.iter_mut().for_each(|stream| overrides.apply_to(stream));
        serde_json::to_string(&bootstrap).map_err(|_| Problem::Starting)
    }

    /// The response to a request that this edge answers by itself and at once.
    ///
    /// # Errors
    /// [`Problem::NotFound`] for what the map does not have, and for events, reports and commands,
    /// which are served elsewhere; [`Problem::Starting`] before the first map.
    pub fn respond(
        &self,
        request: &ApiRequest,
        active_upstream: ActiveUpstreamFn<'_>,
    ) -> Result<Response, Problem> {
        let map = self.store.map();
        let documents = &map.documents;
        match request {
            ApiRequest::Document(document) => {
                let (text, content_type) = match document {
                    DocumentKind::Schedule => (&documents.schedule, JSON),
                    DocumentKind::Extractors => (&documents.extractors, JSON),
                    DocumentKind::Status => (&documents.status, JSON),
                    DocumentKind::Calendar => (&documents.calendar, "text/calendar; charset=utf-8"),
                    DocumentKind::Guide => (&documents.guide, "application/xml; charset=utf-8"),
                    DocumentKind::IptvPlaylist => return self.iptv_playlist(&|_| String::new()),
                    DocumentKind::Bootstrap => {
                        let text = self.bootstrap_json(active_upstream)?;
                        return Ok(document_response(JSON, text.into()));
                    }
                };
                Ok(document_response(content_type, views::document_text(text)?.to_owned().into()))
            }
            ApiRequest::Streams(session) => {
                let overrides = LocalOverrides::for_map(&map, active_upstream);
                if session.is_none() && overrides.is_empty() {
                    return Ok(document_response(
                        JSON,
                        views::document_text(&documents.streams)?.to_owned().into(),
                    ));
                }
                let documents = self.views.for_map(&map);
                let mut streams = match session {
                    Some(session) => documents.session_streams(session)?,
                    None => documents.streams()?.clone(),
                };
                streams.streams.iter_mut().for_each(|stream| overrides.apply_to(stream));
                json_response(&streams)
            }
            ApiRequest::Session(id) => json_response(self.views.for_map(&map).session(id)?),
            ApiRequest::Stream(id) => {
                let overrides = LocalOverrides::for_stream(&map, id, active_upstream);
                let mut stream = self.views.for_map(&map).stream(id)?.clone();
                overrides.apply_to(&mut stream);
                json_response(&stream)
            }
            ApiRequest::Explain(id) => {
                // Before the first map it is unknown which streams there are: no 404 then.
                views::document_text(&documents.streams)?;
                let explanation = documents.explain.get(id.as_str()).ok_or(Problem::NotFound)?;
                Ok(document_response(JSON, views::document_text(explanation)?.to_owned().into()))
            }
            ApiRequest::Widget => json_response(&self.views.for_map(&map).widget()?),
            ApiRequest::OpenApi => Ok(Response::ok(JSON, self.openapi.bytes())
                .header(header::CACHE_CONTROL, "public, max-age=300")),
            ApiRequest::Health => Ok(Response::ok("text/plain", "ok\n".into())),
            ApiRequest::Ready if self.drain_signal.is_draining() => Err(Problem::Stopping),
            ApiRequest::Ready if self.store.unreadable_reason().is_some() => {
                Err(Problem::MapUnreadable)
            }
            ApiRequest::Ready if map.version == 0 => Err(Problem::Starting),
            ApiRequest::Ready => Ok(Response::ok("text/plain", "ready\n".into())),
            ApiRequest::Events | ApiRequest::Report | ApiRequest::Command(_) => {
                Err(Problem::NotFound)
            }
        }
    }
}

fn json_response<T: Serialize>(value: &T) -> Result<Response, Problem> {
    let text = serde_json::to_vec(value).map_err(|_| Problem::Starting)?;
    Ok(document_response(JSON, text.into()))
}

/// A response whose `ETag` is a hash of its content: a map that leaves a document as it was costs
/// its readers nothing.
fn document_response(content_type: &'static str, body: Bytes) -> Response {
    let etag = etag_of(&body);
    Response::ok(content_type, body)
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::ETAG, &etag)
}
