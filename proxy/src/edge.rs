//! [`Edge`]: what an HTTP request goes through from its header to its response.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, Result};
use pitwall_fetch::{Fetcher, OwnListeners};
use pitwall_upstream_map::Store;
use prometheus::Registry;
use tracing::Instrument as _;

use crate::api::composed_documents::DocumentViews;
use crate::api::events::EventBroadcaster;
use crate::api::{ApiHandler, ApiRequest, DocumentKind, OpenApi};
use crate::cache::SegmentCache;
use crate::cache::disk_tier::DiskTier;
use crate::config::Config;
use crate::control_plane_client::{CommandRequest, ControlPlaneClient};
use crate::drain::DrainSignal;
use crate::edge_settings::{CurrentSettings, EdgeSettings};
use crate::edge_state::EdgeState;
use crate::feedback::posted_reports::record_posted_reports;
use crate::feedback::viewers::{ViewerId, ViewerTracker};
use crate::http::access::{AccessControl, AccessScope, Grant};
use crate::http::admin_token::AdminToken;
use crate::http::admission;
use crate::http::cors::media_headers;
use crate::http::limits::{ClientLimiter, ClientNetwork, ConcurrencyPermit};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::refused_keys::log_refused_key;
use crate::http::response::Response;
use crate::http::stream_reset::wait_for_reset;
use crate::http::write_timeout::set_timeouts;
use crate::live::LiveHandler;
use crate::media_handler::MediaHandler;
use crate::media_response::MediaResponse;
use crate::metrics::{Label, Metrics};
use crate::page::{self, AcceptedCodings, Page, login_page};
use crate::playlist::PlaylistPoller;
use crate::proxy_handler::{ProxyHandler, ProxyRequest};
use crate::request_context::RequestContext;
use crate::route::Route;
use crate::upstream::client::UpstreamClient;
use crate::upstream::denials::DenialLog;
use crate::upstream::resolved_map::MapResolver;
use crate::upstream::seal::Sealer;

/// The edge: answers every request itself.
pub struct Edge {
    state: EdgeState,
    live: Arc<LiveHandler>,
    media: MediaHandler,
    proxied: ProxyHandler,
    api: ApiHandler,
    page: Page,
    limiter: Arc<ClientLimiter>,
    denials: DenialLog,
    drain_signal: DrainSignal,
    /// Whether viewers reach the edge over TLS, ended here or at a proxy in front: the access
    /// cookie is then `Secure`.
    is_https: bool,
    control_plane: ControlPlaneClient,
}

/// How a request is answered.
enum PreparedResponse {
    Complete(Response),
    /// From an opened object.
    Media(MediaResponse),
    /// The permit is held while events are sent.
    EventStream(ConcurrencyPermit),
}

/// The secrets of an edge.
pub struct EdgeSecrets {
    pub sealer: Sealer,
    pub access: AccessControl,
    pub admin_token: Option<AdminToken>,
}

impl Edge {
    /// `own_listeners`: those of the edge and of its control planes, which are never fetched from.
    ///
    /// # Errors
    /// A metric is already registered in `registry`.
    pub fn new(
        config: &Config,
        secrets: EdgeSecrets,
        store: Arc<dyn Store>,
        openapi: OpenApi,
        own_listeners: OwnListeners,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        // Commands alone are sent to a control plane, and none to this edge, so that none loops.
        let edge_listeners = vec![config.edge.listen, config.edge.admin];
        let control_plane = ControlPlaneClient::new(config.edge.control.clone(), edge_listeners);
        let EdgeSecrets { sealer, access, admin_token } = secrets;
        let metrics = Metrics::new(registry)?;
        let fetcher = Fetcher::new(config.upstream.timeouts.into(), own_listeners);
        let upstreams = Arc::new(UpstreamClient::new(fetcher, metrics.upstream.clone()));
        let sealer = Arc::new(sealer);
        let denials = DenialLog::default();
        let settings = EdgeSettings::new(config, access, admin_token, denials.clone());
        let maps = Arc::new(MapResolver::new(store.clone(), denials.clone()));
        let playlist_poller = Arc::new(PlaylistPoller::new(config.edge.playlist.max_age));
        let disk = config.edge.cache.disk.as_ref();
        let disk = disk.map(|disk| DiskTier::open(disk, metrics.disk.clone()));
        let cache = SegmentCache::new(&config.edge.cache, upstreams.clone(), disk);
        let viewers = Arc::new(ViewerTracker::new(store.clone(), metrics.viewers.clone()));
        let drain_signal = DrainSignal::default();
        let api = ApiHandler {
            store: store.clone(),
            views: DocumentViews::default(),
            events: EventBroadcaster::new(),
            openapi,
            drain_signal: drain_signal.clone(),
        };
        let public_path = config.edge.public_path();
        let state = EdgeState {
            store,
            maps,
            upstreams,
            sealer,
            settings: CurrentSettings::new(settings),
            cache,
            viewers,
            metrics,
            public_path,
        };
        let window = config.edge.playlist.window;
        let live = Arc::new(LiveHandler::new(playlist_poller.clone(), state.clone(), window));
        Ok(Self {
            media: MediaHandler { state: state.clone(), live: live.clone() },
            live,
            proxied: ProxyHandler { playlist_poller, state: state.clone() },
            api,
            page: Page::default(),
            limiter: Arc::default(),
            denials,
            drain_signal,
            is_https: config.edge.site_url().scheme() == "https",
            control_plane,
            state,
        })
    }

    pub fn metrics(&self) -> &Metrics {
        &self.state.metrics
    }

    pub fn state(&self) -> &EdgeState {
        &self.state
    }

    /// The signal that is set once this process begins to drain.
    pub fn drain_signal(&self) -> DrainSignal {
        self.drain_signal.clone()
    }

    pub fn client_limiter(&self) -> Arc<ClientLimiter> {
        self.limiter.clone()
    }

    pub fn denial_log(&self) -> DenialLog {
        self.denials.clone()
    }

    pub fn event_broadcaster(&self) -> Arc<EventBroadcaster> {
        self.api.events.clone()
    }

    /// Counts the request against the limits of its client, and refuses it before its route is
    /// handled: `Ok(Some(_))` with a response that says so.
    fn admit(
        &self,
        settings: &EdgeSettings,
        session: &mut ServerSession,
        route: &Result<Route<'_>, Problem>,
        is_cross_origin: bool,
        context: &mut RequestContext,
    ) -> Result<Option<Response>, Problem> {
        let peer = session.client_addr().and_then(|address| address.as_inet());
        let headers = &session.req_header().headers;
        context.client_address = peer.map(|peer: &SocketAddr| {
            settings.client_addresses.determine_client_address(peer.ip(), headers)
        });
        let in_flight = self.state.metrics.requests_in_flight.get();
        let admitted = match (route, context.client_address) {
            // Health probes are not limited: a load balancer must not be refused under load.
            (Ok(Route::Api(ApiRequest::Health | ApiRequest::Ready)), _) | (_, None) => Ok(()),
            (_, Some(client)) => {
                let client = client.address.into();
                self.limiter.admit_request(&settings.limits, client, in_flight)
            }
        };
        let rejection = match route {
            Ok(Route::Api(ApiRequest::Command(methods))) => {
                admission::reject_invalid_command(session, methods)
            }
            Ok(Route::Api(ApiRequest::Report)) => admission::reject_invalid_report(session),
            _ => admission::reject_invalid_request(session, is_cross_origin),
        };
        match rejection {
            Some(response) => Ok(Some(response)),
            None => admitted.map(|()| None),
        }
    }

    /// How the request is answered; an error of the downstream where the client of HTTP/2 has given the request up.
    async fn prepare_response(
        &self,
        settings: &EdgeSettings,
        session: &mut ServerSession,
        route: Route<'_>,
        query: &Query<'_>,
        context: &mut RequestContext,
    ) -> Result<Result<PreparedResponse, Problem>> {
        match route {
            Route::Api(ApiRequest::Report) => {
                let now = unix_now();
                let map = self.state.maps.current();
                let reports = &self.state.viewers.playback_reports;
                let recorded = record_posted_reports(session, &settings.access, &map, reports, now);
                Ok(recorded.await.map(PreparedResponse::Complete))
            }
            // A command that was read is sent on, whether or not its client stays.
            Route::Api(ApiRequest::Command(_)) => {
                let request_id = &context.request_id;
                let forwarded = async {
                    let command = CommandRequest::read(session, request_id).await?;
                    self.control_plane.forward_command(&command).await
                };
                Ok(forwarded.await.map(PreparedResponse::Complete))
            }
            route if session.is_http2() => {
                let request = session.req_header().clone();
                tokio::select! {
                    biased;
                    outcome = self.prepare_bodyless_response(settings, &request, route, query, context) => Ok(outcome),
                    reset = wait_for_reset(session) => Err(reset),
                }
            }
            route => Ok(self
                .prepare_bodyless_response(settings, session.req_header(), route, query, context)
                .await),
        }
    }

    async fn prepare_bodyless_response(
        &self,
        settings: &EdgeSettings,
        request: &RequestHeader,
        route: Route<'_>,
        query: &Query<'_>,
        context: &mut RequestContext,
    ) -> Result<PreparedResponse, Problem> {
        let now = unix_now();
        let EdgeSettings { access, limits, .. } = settings;
        let grant = match route.required_scope() {
            Some(scope) => access.authorize(scope, query, &request.headers, now)?,
            None => Grant::Open,
        };
        let client = context.client_address.map(|client| ClientNetwork::from(client.address));
        // A request with directives may wait for a segment.
        let _permit = match &route {
            Route::MediaPlaylist { directives: Some(_), .. }
            | Route::Proxy { directives: Some(_), .. } => {
                Some(self.limiter.acquire_blocked_reload(limits, client)?)
            }
            _ => None,
        };
        Ok(PreparedResponse::Complete(match route {
            Route::MultivariantPlaylist { stream, rendition } => {
                self.add_stream_log_details(stream, context);
                let tokens = access.token_query(&grant, AccessScope::Stream(stream), now);
                let rendition = rendition.as_deref();
                let live = &self.live;
                live.build_multivariant_playlist(stream, rendition, &tokens, now)?.to_response()
            }
            Route::MediaPlaylist { stream, rendition, directives } => {
                self.add_stream_log_details(stream, context);
                let playlist = match self.live.find_i_frame_playlist(stream, rendition)? {
                    Some((target, variables)) => {
                        let variables = Some(variables);
                        let request = ProxyRequest { target, variables, directives, now };
                        self.proxied.fetch_playlist(request).await?
                    }
                    None => {
                        let (live, directives) = (&self.live, directives.as_ref());
                        live.fetch_media_playlist(stream, rendition, directives, now).await?
                    }
                };
                let viewer = ViewerId::of_request(&grant, context.client_address, &request.headers);
                let map = self.state.maps.current();
                let was_fetched_before = playlist.fetched_at < context.started();
                context.add_log_details(|details| {
                    details.result = Some(if was_fetched_before { "hit" } else { "miss" });
                });
                if let Some((stream, _)) = map.streams.get_key_value(stream) {
                    let timeout = playlist.stale_if_error_lifetime();
                    self.state.viewers.record_poll(stream, viewer, timeout);
                }
                playlist.to_response()
            }
            Route::Proxy { source, link, variables, directives } => {
                let target = self.proxied.resolve_link(&link, source, now)?;
                add_source_log_detail(target.profile.source(), context);
                let request = ProxyRequest { target, variables, directives, now };
                self.proxied.fetch_playlist(request).await?.to_response()
            }
            Route::Segment { stream, link } => {
                self.add_stream_log_details(stream, context);
                let media = self.media.open_segment(request, stream, &link, now).await?;
                add_media_log_details(&media, context);
                return Ok(PreparedResponse::Media(media));
            }
            Route::Relay { link } => {
                let media = self.media.open_relayed(request, &link, now).await?;
                add_media_log_details(&media, context);
                return Ok(PreparedResponse::Media(media));
            }
            Route::Api(ApiRequest::Events) => {
                return self
                    .limiter
                    .acquire_event_stream(limits, client)
                    .map(PreparedResponse::EventStream);
            }
            Route::Api(ApiRequest::Document(DocumentKind::IptvPlaylist)) => {
                let token_query = |scope: AccessScope<'_>| access.token_query(&grant, scope, now);
                self.api.iptv_playlist(&token_query)?
            }
            Route::Api(request) => {
                self.api.respond(&request, &|map, stream| self.live.active_upstream(map, stream))?
            }
            Route::Page { path } if matches!(grant, Grant::Key(_)) => {
                let cookie_path = self.state.public_path.cookie_path();
                let cookie = access.issue_cookie(&grant, cookie_path, self.is_https, now);
                login_page::redirect_with_cookie(path, query, &cookie.unwrap_or_default())
            }
            Route::Page { path } => {
                self.page.respond(path, AcceptedCodings::of(&request.headers), || {
                    let bootstrap =
                        self.api.bootstrap(&|map, stream| self.live.active_upstream(map, stream));
                    // Before the first map the page starts without a bootstrap document.
                    bootstrap.ok()
                })
            }
        }))
    }

    /// Answers a request whose header was read.
    ///
    /// # Errors
    /// The client has left, or the response broke off: there is nothing more to send.
    pub async fn answer(
        &self,
        session: &mut ServerSession,
        context: &mut RequestContext,
    ) -> Result<()> {
        set_timeouts(session);
        if self.drain_signal.is_draining() {
            session.set_keepalive(None);
        }
        if let Some(uri) = self.state.public_path.strip_from(&session.req_header().uri) {
            session.req_header_mut().set_uri(uri);
        }
        let uri = session.req_header().uri.clone();
        let route = Route::parse(uri.path(), uri.query());
        let is_cross_origin = Route::is_cors_allowed(&route, uri.path());
        let settings = self.state.settings.get();
        let outcome =
            match (self.admit(&settings, session, &route, is_cross_origin, context), route) {
                (Ok(Some(rejection)), _) => Ok(PreparedResponse::Complete(rejection)),
                (Err(problem), _) | (_, Err(problem)) => Err(problem),
                (Ok(None), Ok(Route::Page { path }))
                    if self.state.public_path.is_missing_final_slash(path) =>
                {
                    Ok(PreparedResponse::Complete(page::redirect_to_directory(path, uri.query())))
                }
                (Ok(None), Ok(route)) => {
                    context.route = route.label();
                    let query = Query(uri.query().unwrap_or_default());
                    self.prepare_response(&settings, session, route, &query, context).await?
                }
            };
        let response = match outcome {
            Ok(PreparedResponse::Media(media)) => {
                context.record_first_byte(&self.state.metrics);
                let sent = media.send(session, &context.request_id);
                return sent.instrument(tracing::debug_span!("relay")).await;
            }
            Ok(PreparedResponse::EventStream(_permit)) => {
                context.record_first_byte(&self.state.metrics);
                let map = self.state.store.map();
                let (events, request_id) = (&self.api.events, &context.request_id);
                let served = events.serve(session, &map, &self.drain_signal, request_id).await;
                return served.map_err(Error::into_down);
            }
            Ok(PreparedResponse::Complete(response)) => response,
            Err(problem) => {
                tracing::debug!(path = uri.path(), problem = problem.name(), "refused");
                log_refused_key(context.client_address.map(|client| client.address), &problem);
                // A login page never replaces a response that another origin may read.
                let login_page = (!is_cross_origin)
                    .then(|| login_page::response_for(&problem, session.req_header()));
                login_page.flatten().unwrap_or_else(|| Response::from_problem(&problem))
            }
        };
        let response =
            if is_cross_origin { response.with_headers(media_headers()) } else { response };
        context.record_first_byte(&self.state.metrics);
        response.send(session, &context.request_id).await.map_err(Error::into_down)
    }

    /// Tells the access log the stream of a request, if the map has it, and the source that plays it.
    fn add_stream_log_details(&self, stream: &str, context: &mut RequestContext) {
        context.add_log_details(|details| {
            let map = self.state.maps.current();
            let Some(stream) = map.streams.get(stream) else { return };
            details.stream = Some(stream.id.to_string());
            let active = self.live.active_upstream(&map, stream);
            details.source = active.map(|upstream| upstream.source.clone());
        });
    }
}

fn add_media_log_details(media: &MediaResponse, context: &mut RequestContext) {
    context.add_log_details(|details| {
        details.result = Some(media.cache_result().text());
    });
    add_source_log_detail(media.source(), context);
}

/// `source`: empty for a plain link.
fn add_source_log_detail(source: &str, context: &mut RequestContext) {
    context.add_log_details(|details| {
        details.source = Some(source.to_owned()).filter(|source| !source.is_empty());
    });
}

/// Unix seconds.
fn unix_now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}
