//! [`ApiHandler`]: responses to API requests, made from the current map alone.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName};
use pitwall_upstream_map::Store;
use pitwall_upstream_map::documents::PublicDocument;

use super::composed_documents::DocumentViews;
use super::events::EventBroadcaster;
use super::local_overrides::{ActiveUpstreamFn, LocalOverrides};
use super::operations::{ApiRequest, DocumentKind};
use super::{OpenApi, iptv_playlist};
use crate::drain::DrainSignal;
use crate::http::access::AccessScope;
use crate::http::problem::Problem;
use crate::http::response::Response;

const JSON: &str = "application/json";

/// The version of the map that a response was made from. SharedDocuments do not contain it, so that they
/// change only with what they say.
pub const MAP_VERSION_HEADER: HeaderName = HeaderName::from_static("pitwall-map-version");

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
        let list = map.documents.playlist.as_str().ok_or(Problem::Starting)?;
        let text = iptv_playlist::append_tokens(list, token_query);
        document_response("audio/x-mpegurl", PublicDocument::from_text(text), map.version)
    }

    /// The bootstrap document as this edge plays its streams.
    ///
    /// # Errors
    /// [`Problem::Starting`] before the first map.
    pub fn bootstrap(
        &self,
        active_upstream: ActiveUpstreamFn<'_>,
    ) -> Result<PublicDocument, Problem> {
        let map = self.store.map();
        self.views.for_map(&map).bootstrap(&LocalOverrides::for_map(&map, active_upstream))
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
        let (published, composed) = (&map.documents, self.views.for_map(&map));
        let overrides = || LocalOverrides::for_map(&map, active_upstream);
        let (content_type, document) = match request {
            ApiRequest::Document(kind) => match kind {
                DocumentKind::Bootstrap => (JSON, composed.bootstrap(&overrides())?),
                DocumentKind::Schedule => (JSON, published.schedule.clone()),
                DocumentKind::Extractors => (JSON, composed.extractors()?),
                DocumentKind::Status => (JSON, published.status.clone()),
                DocumentKind::Activity => (JSON, published.activity.clone()),
                DocumentKind::Calendar => {
                    ("text/calendar; charset=utf-8", published.calendar.clone())
                }
                DocumentKind::Guide => ("application/xml; charset=utf-8", published.guide.clone()),
                DocumentKind::IptvPlaylist => return self.iptv_playlist(&|_| String::new()),
            },
            ApiRequest::Streams(None) => (JSON, composed.streams(&overrides())?),
            ApiRequest::Streams(Some(session)) => {
                (JSON, composed.session_streams(session, &overrides())?)
            }
            ApiRequest::Session(id) => {
                let session = PublicDocument::from_value(composed.session(id)?);
                (JSON, session.map_err(|_| Problem::Starting)?)
            }
            ApiRequest::Stream(id) => {
                let overrides = LocalOverrides::for_stream(&map, id, active_upstream);
                (JSON, composed.stream(id, &overrides)?)
            }
            ApiRequest::Explain(id) => (JSON, composed.explanation(id)?),
            ApiRequest::Widget => (JSON, composed.widget()?),
            ApiRequest::OpenApi => {
                return Ok(Response::ok(JSON, self.openapi.bytes())
                    .with_header(header::CACHE_CONTROL, "private, max-age=300"));
            }
            ApiRequest::Ready if self.drain_signal.is_stopping() => return Err(Problem::Stopping),
            ApiRequest::Ready if self.store.unreadable_reason().is_some() => {
                return Err(Problem::MapUnreadable);
            }
            ApiRequest::Ready if map.version == 0 => return Err(Problem::Starting),
            ApiRequest::Ready => return Ok(Response::ok("text/plain", "ready\n".into())),
            ApiRequest::Health => return Ok(Response::ok("text/plain", "ok\n".into())),
            ApiRequest::Events | ApiRequest::Report | ApiRequest::Command(_) => {
                return Err(Problem::NotFound);
            }
        };
        document_response(content_type, document, map.version)
    }
}

/// A response that shares the document's text, under its entity tag: a map that leaves a document as
/// it was costs its readers nothing.
fn document_response(
    content_type: &'static str,
    document: PublicDocument,
    map_version: u64,
) -> Result<Response, Problem> {
    document.as_str().ok_or(Problem::Starting)?;
    Ok(Response::ok(content_type, Bytes::from_owner(document.clone()))
        .with_header(header::CACHE_CONTROL, "no-cache")
        .with_header(header::ETAG, document.etag())
        .with_header(MAP_VERSION_HEADER, map_version.to_string()))
}

#[cfg(test)]
mod tests {
    use http::header::{ETAG, HeaderValue};
    use pitwall_upstream_map::documents::SharedDocuments;
    use pitwall_upstream_map::{MemoryStore, UpstreamMap};
    use utoipa::openapi::OpenApiBuilder;

    use super::*;
    use crate::http::public_path::PublicPath;

    #[tokio::test]
    async fn a_response_names_the_tag_of_its_text_and_the_version_of_its_map() {
        let store = MemoryStore::new();
        let api = ApiHandler {
            store: store.clone(),
            views: DocumentViews::default(),
            events: EventBroadcaster::new(),
            openapi: OpenApi::with_commands(OpenApiBuilder::new().build(), &PublicPath::default())
                .unwrap(),
            drain_signal: DrainSignal::default(),
        };
        let activity = ApiRequest::Document(DocumentKind::Activity);
        let status = ApiRequest::Document(DocumentKind::Status);
        let respond =
            |request: &ApiRequest| api.respond(request, &|_, stream| stream.active_upstream());
        assert_eq!(respond(&activity).map(drop), Err(Problem::Starting));
        let documents = SharedDocuments {
            version: PublicDocument::from_text("5"),
            status: PublicDocument::from_text("{}"),
            activity: PublicDocument::from_text("{\"streams\":{}}"),
            ..SharedDocuments::default()
        };
        let streams = PublicDocument::from_text("{\"version\":5,\"streams\":[]}");
        for version in [7, 8] {
            let map =
                UpstreamMap { version, documents: documents.clone(), ..UpstreamMap::default() };
            store.publish(map).await.unwrap();
            for (request, document) in [
                (&activity, &documents.activity),
                (&status, &documents.status),
                (&ApiRequest::Streams(None), &streams),
            ] {
                let response = respond(request).unwrap();
                let field = |name| {
                    let mut fields = response.fields().iter();
                    fields.find(|(known, _)| known == name).map(|(_, value)| value)
                };
                assert_eq!(response.content(), document.as_ref(), "{request:?}");
                let etag = field(ETAG).map(HeaderValue::as_bytes);
                assert_eq!(etag, Some(document.etag().as_bytes()), "{request:?}");
                let expected = Some(&HeaderValue::from(version));
                assert_eq!(field(MAP_VERSION_HEADER), expected, "{request:?}");
            }
        }
    }
}
