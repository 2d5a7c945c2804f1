//! [`Edge`]: the phases of an HTTP request, in the order in which Pingora calls them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use pingora_cache::key::CacheKey;
use pingora_proxy::{FailToProxy, ProxyHttp, RangeType, Session, range_header_filter};
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::{Store, Stream};
use prometheus::{IntGauge, Registry};

use crate::api::composed_documents::DocumentViews;
use crate::api::events::EventBroadcaster;
use crate::api::{ApiHandler, ApiRequest, DocumentKind, OpenApi};
use crate::cache::byte_range::is_single_range;
use crate::cache::cache_adapter::CACHE_ADAPTER;
use crate::cache::{RangeRequest, SegmentCache};
use crate::config::Config;
use crate::control_plane_client::{CommandRequest, ControlPlaneClient};
use crate::drain::DrainSignal;
use crate::edge_state::EdgeState;
use crate::feedback::cmcd;
use crate::feedback::viewers::{ViewerId, ViewerTracker};
use crate::http::access::{AccessControl, AccessScope, Grant, KEY_PARAMETER};
use crate::http::admission;
use crate::http::client_address::ClientAddresses;
use crate::http::limits::ClientLimiter;
use crate::http::problem::Problem;
use crate::http::query::{Link, Query};
use crate::http::response::Response;
use crate::live::LiveHandler;
use crate::media_response::MediaResponse;
use crate::metrics::Metrics;
use crate::page::{Page, login_page};
use crate::playlist::{Playlist, PlaylistPoller};
use crate::proxy_handler::{self, ProxyHandler};
use crate::route::{Route, is_media_path};
use crate::upstream::seal::{Purpose, Sealer};
use crate::upstream::target::{TargetResolver, UpstreamTarget};

/// The edge: Pingora's [`ProxyHttp`] application, which answers every request itself.
pub struct Edge {
    state: EdgeState,
    live: LiveHandler,
    proxied: ProxyHandler,
    api: ApiHandler,
    page: Page,
    access: AccessControl,
    client_addresses: Arc<ClientAddresses>,
    limiter: Arc<ClientLimiter>,
    drain_signal: DrainSignal,
    /// Whether viewers reach the edge over TLS, ended here or at a proxy in front: the access
    /// cookie is then `Secure`.
    is_https: bool,
    control_plane: ControlPlaneClient,
}

/// The state of one request, from its header to its log line.
pub struct RequestContext {
    started: Instant,
    route_label: &'static str,
    /// Keeps the request in the `requests_in_flight` gauge until the context is dropped, so that an
    /// aborted request is counted down too. `None` until `request_filter` has run.
    in_flight_guard: Option<InFlightGuard>,
    media: Option<MediaResponse>,
    /// The address of the viewer, as [`ClientAddresses`] determines it.
    client_address: Option<IpAddr>,
}

/// How a request is answered.
enum ResponseKind {
    Complete(Response),
    /// By Pingora's cache hit path, from the object in [`RequestContext::media`].
    Media,
    EventStream,
}

struct InFlightGuard(IntGauge);

impl InFlightGuard {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Edge {
    /// # Errors
    /// A metric is already registered in `registry`.
    pub fn new(
        config: &Config,
        sealer: Sealer,
        access: AccessControl,
        store: Arc<dyn Store>,
        openapi: OpenApi,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let own_listeners = vec![config.edge.listen, config.edge.admin];
        let control_plane =
            ControlPlaneClient::new(config.edge.control.clone(), own_listeners.clone());
        let fetcher = Arc::new(Fetcher::new(config.upstream.timeouts.into(), own_listeners));
        let sealer = Arc::new(sealer);
        let targets = Arc::new(TargetResolver::new(&config.upstream));
        let playlist_poller = Arc::new(PlaylistPoller::new(config.edge.playlist.max_age));
        let cache = SegmentCache::new(config.edge.cache, fetcher.clone());
        let metrics = Metrics::new(registry)?;
        let viewers = Arc::new(ViewerTracker::new(store.clone(), metrics.viewers.clone()));
        let drain_signal = DrainSignal::default();
        let api = ApiHandler {
            store: store.clone(),
            views: DocumentViews::default(),
            events: EventBroadcaster::new(),
            openapi,
            drain_signal: drain_signal.clone(),
        };
        let state = EdgeState { store, fetcher, sealer, targets, cache, viewers, metrics };
        let window = config.edge.playlist.window;
        Ok(Self {
            live: LiveHandler::new(playlist_poller.clone(), state.clone(), window),
            proxied: ProxyHandler { playlist_poller, state: state.clone() },
            api,
            page: Page::default(),
            access,
            client_addresses: Arc::new(ClientAddresses::new(&config.edge.trusted_proxies)),
            limiter: ClientLimiter::new(config.edge.limits),
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

    pub fn limiter(&self) -> Arc<ClientLimiter> {
        self.limiter.clone()
    }

    pub fn client_addresses(&self) -> Arc<ClientAddresses> {
        self.client_addresses.clone()
    }

    pub fn events(&self) -> Arc<EventBroadcaster> {
        self.api.events.clone()
    }

    async fn respond(
        &self,
        session: &Session,
        route: Route,
        context: &mut RequestContext,
    ) -> Result<ResponseKind, Problem> {
        let now = unix_now();
        let query = Query(session.req_header().uri.query().unwrap_or_default());
        let headers = &session.req_header().headers;
        let grant = match route.required_scope() {
            Some(scope) => self.access.authorize(scope, &query, headers, now)?,
            None => Grant::Open,
        };
        Ok(ResponseKind::Complete(match route {
            Route::MultivariantPlaylist { stream, rendition } => {
                let token_query = self.token_query(&grant, AccessScope::Stream(&stream), now);
                let playlist = self.live.build_multivariant_playlist(
                    &stream,
                    rendition.as_deref(),
                    &token_query,
                    now,
                );
                playlist_response(&playlist.map_err(|problem| self.mask_unreadable_map(problem))?)
            }
            Route::MediaPlaylist { stream, rendition, directives } => {
                let playlist =
                    self.live.fetch_media_playlist(&stream, &rendition, directives.as_deref(), now);
                let playlist =
                    playlist.await.map_err(|problem| self.mask_unreadable_map(problem))?;
                let viewer =
                    identify_viewer(&grant, context.client_address, &session.req_header().headers);
                self.record_viewer(&stream, viewer, &playlist);
                playlist_response(&playlist)
            }
            Route::Proxy { source, link, variables, directives } => {
                let target = self.resolve_target(&link, source.as_deref(), now)?;
                if target.purpose == Some(Purpose::Media) {
                    return Err(Problem::SealInvalid);
                }
                let request = proxy_handler::ProxyRequest { target, variables, directives, now };
                playlist_response(&*self.proxied.fetch_playlist(request).await?)
            }
            Route::Segment { stream, link } => {
                context.media = Some(self.open_segment(session, &stream, &link, now).await?);
                return Ok(ResponseKind::Media);
            }
            Route::Relay { link } => {
                let target = self.resolve_target(&link, None, now)?;
                context.media = Some(self.open_media(session, target).await?);
                return Ok(ResponseKind::Media);
            }
            Route::Api(ApiRequest::Events) => return Ok(ResponseKind::EventStream),
            Route::Api(ApiRequest::Document(DocumentKind::IptvPlaylist)) => {
                let token_query = |scope: AccessScope<'_>| self.token_query(&grant, scope, now);
                self.api.iptv_playlist(&token_query)?
            }
            Route::Api(request) => self
                .api
                .respond(&request, &|map, stream| self.live.active_upstream(map, stream, now))?,
            Route::Page { path } if grant == Grant::Key => {
                self.redirect_with_cookie(&path, &query, &grant, now)
            }
            Route::Page { path } => {
                self.page.respond(&path, is_gzip_accepted(session), || {
                    let bootstrap = self
                        .api
                        .bootstrap(&|map, stream| self.live.active_upstream(map, stream, now));
                    // Before the first map the page starts without a bootstrap document.
                    bootstrap.ok()
                })
            }
        }))
    }

    /// Replaces [`Problem::NotFound`] while the map cannot be read: the stream may exist in the
    /// newer map, and a 404 would make a player give it up.
    fn mask_unreadable_map(&self, problem: Problem) -> Problem {
        match problem {
            Problem::NotFound if self.state.store.unreadable_reason().is_some() => {
                Problem::MapUnreadable
            }
            problem => problem,
        }
    }

    /// The query (`?key=TOKEN`, or empty) that the links of a playlist end in, so that a player
    /// without a cookie is let in to the playlists they name.
    fn token_query(&self, grant: &Grant, scope: AccessScope<'_>, now: u64) -> String {
        let token = self.access.issue_token(grant, scope, now);
        token.map_or(String::new(), |token| format!("?{KEY_PARAMETER}={token}"))
    }

    /// Answers a browser that showed the key with a cookie and the same address without the key,
    /// so that the key does not stay in the browser's history.
    fn redirect_with_cookie(
        &self,
        path: &str,
        query: &Query<'_>,
        grant: &Grant,
        now: u64,
    ) -> Response {
        let cookie = self.access.issue_cookie(grant, self.is_https, now).unwrap_or_default();
        // A location that begins with two slashes would name another host.
        let path = path.trim_start_matches(['/', '\\']);
        let location = match query.without_parameter(KEY_PARAMETER) {
            none if none.is_empty() => format!("/{path}"),
            rest => format!("/{path}?{rest}"),
        };
        Response::new(StatusCode::SEE_OTHER)
            .header(header::LOCATION, &location)
            .header(header::SET_COOKIE, &cookie)
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::REFERRER_POLICY, "no-referrer")
    }

    fn resolve_target(
        &self,
        link: &Link,
        source: Option<&str>,
        now: u64,
    ) -> Result<UpstreamTarget, Problem> {
        self.state.targets.resolve_link(
            link,
            source,
            &self.state.sealer,
            &self.state.store.map(),
            now,
        )
    }

    /// Opens a segment of `/live`. A link that the upstream refuses is looked up again in the
    /// playlist that named it, once: its token may have expired since, or the source may have
    /// moved.
    async fn open_segment(
        &self,
        session: &Session,
        stream: &Arc<str>,
        link: &Link,
        now: u64,
    ) -> Result<MediaResponse, Problem> {
        let opened = self.try_open_segment(session, stream, link, now).await;
        let (Err(problem), Link::Sealed { seal, path }) = (&opened, link) else { return opened };
        if !problem.is_link_expired() {
            return opened;
        }
        match self.live.renew_link(path, seal, problem, now).await {
            Some(renewed) => self.try_open_segment(session, stream, &renewed, now).await,
            None => opened,
        }
    }

    async fn try_open_segment(
        &self,
        session: &Session,
        stream: &Arc<str>,
        link: &Link,
        now: u64,
    ) -> Result<MediaResponse, Problem> {
        let map = self.state.store.map();
        let EdgeState { targets, sealer, .. } = &self.state;
        let target = targets.resolve_link(link, None, sealer, &map, now)?;
        let known = map.streams.get(&**stream).and_then(|stream| {
            let mut upstreams = stream.upstreams.iter();
            Some((stream, upstreams.find(|one| one.profile.0 == target.profile)?))
        });
        let target = UpstreamTarget { stream: Some(stream.clone()), ..target };
        let opened = self.open_media(session, target).await;
        if let Some((stream, upstream)) = known {
            let playback_reports = &self.state.viewers.playback_reports;
            playback_reports.record_cmcd_headers(stream, upstream, &session.req_header().headers);
            if let Err(problem) = &opened {
                playback_reports.report_failure(&stream.id, upstream, problem);
            }
        }
        opened
    }

    async fn open_media(
        &self,
        session: &Session,
        target: UpstreamTarget,
    ) -> Result<MediaResponse, Problem> {
        if target.purpose.is_some_and(|purpose| purpose != Purpose::Media) {
            return Err(Problem::SealInvalid);
        }
        let started = Instant::now();
        let range = RangeRequest::from_headers(&session.req_header().headers);
        let lookup = self.state.cache.open_object(target, range).await?;
        let path = session.req_header().uri.path().to_owned();
        let media = MediaResponse::new(lookup, path, started);
        self.state.metrics.cache_requests.with_label_values(&[media.cache_result()]).inc();
        Ok(media)
    }

    /// Counts the client that polled a media playlist as a viewer of its stream.
    fn record_viewer(&self, stream: &str, viewer: ViewerId, playlist: &Playlist) {
        let map = self.state.store.map();
        let Some((stream, _)) = map.streams.get_key_value(stream) else { return };
        self.state.viewers.record_poll(stream, viewer, playlist.stale_if_error_lifetime());
    }

    /// Answers a command with the response of the leading control plane.
    async fn forward_command(&self, session: &mut Session) -> Result<Response, Problem> {
        let body = admission::read_body(session, cmcd::BODY_MAX_BYTES).await?;
        let request = session.req_header();
        let path_and_query = request.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        // HEAD is forwarded as GET, so that its response has the fields of the whole one (RFC 9110,
        // 9.3.2).
        let method = match request.method {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        let command =
            CommandRequest { method, path_and_query, headers: request.headers.clone(), body };
        self.control_plane.forward_command(&command).await
    }

    /// Records CMCD reports that a player posted. All of them are refused if one names a stream
    /// that this player has no access to.
    async fn record_reports(&self, session: &mut Session) -> Result<Response, Problem> {
        let body = admission::read_body(session, cmcd::BODY_MAX_BYTES).await?;
        let (request, now) = (session.req_header(), unix_now());
        let content_type = request.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
        let reports = cmcd::parse_reports(content_type, &body)?;
        let query = Query(request.uri.query().unwrap_or_default());
        let map = self.state.store.map();
        let mut stalled_by_stream: BTreeMap<&str, (&Stream, bool)> = BTreeMap::new();
        for report in &reports {
            let scope = AccessScope::Stream(&report.cid);
            self.access.authorize(scope, &query, &request.headers, now)?;
            let stream = map.streams.get(report.cid.as_str()).ok_or(Problem::NotFound)?;
            let entry = stalled_by_stream.entry(&report.cid).or_insert((stream, false));
            entry.1 |= report.has_stalled();
        }
        for (stream, stalled) in stalled_by_stream.values() {
            self.state.viewers.playback_reports.record_posted_report(stream, *stalled);
        }
        Ok(Response::new(StatusCode::NO_CONTENT).header(header::CACHE_CONTROL, "no-store"))
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext {
            started: Instant::now(),
            route_label: "refused",
            in_flight_guard: None,
            media: None,
            client_address: None,
        }
    }

    /// Registers no module: [`Response`] and [`MediaResponse`] build complete responses.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> Result<bool> {
        context.in_flight_guard = Some(InFlightGuard::new(&self.state.metrics.requests_in_flight));
        // A viewer who stops reading must not hold a connection for ever, but a slow one may:
        // `response_body_filter` extends this timeout of one write for large chunks.
        session.as_downstream_mut().set_write_timeout(Some(WRITE_MIN_TIMEOUT));
        session.as_downstream_mut().set_total_drain_timeout(Some(REQUEST_BODY_DRAIN_TIMEOUT));
        if self.drain_signal.is_draining() {
            session.as_downstream_mut().set_keepalive(None);
        }
        let request = session.req_header();
        let path = request.uri.path().to_owned();
        let route = Route::parse(&path, request.uri.query());
        let is_report = matches!(route, Ok(Route::Api(ApiRequest::Report)));
        // Media and reports are open to pages of any origin (CORS).
        let is_cross_origin = is_media_path(&path) || is_report;
        let peer = session.client_addr().and_then(|address| address.as_inet());
        let client_address = |peer: &SocketAddr| {
            self.client_addresses.determine_client_address(peer.ip(), &request.headers)
        };
        context.client_address = peer.map(client_address);
        // Health probes are not limited: a load balancer must not be refused under load.
        let admitted = match (&route, context.client_address) {
            (Ok(Route::Api(ApiRequest::Health | ApiRequest::Ready)), _) | (_, None) => Ok(()),
            (_, Some(client)) => self
                .limiter
                .admit_request(client.into(), self.state.metrics.requests_in_flight.get()),
        };
        let rejection = match &route {
            Ok(Route::Api(ApiRequest::Command(method))) => {
                admission::reject_invalid_command(session, method)
            }
            _ if is_report => admission::reject_invalid_report(session),
            _ => admission::reject_invalid_request(session, is_cross_origin),
        };
        let outcome = match (rejection, admitted.and(route)) {
            (Some(response), _) => Ok(ResponseKind::Complete(response)),
            (None, Err(problem)) => Err(problem),
            (None, Ok(route @ Route::Api(ApiRequest::Report))) => {
                context.route_label = route.label();
                self.record_reports(session).await.map(ResponseKind::Complete)
            }
            (None, Ok(route @ Route::Api(ApiRequest::Command(_)))) => {
                context.route_label = route.label();
                self.forward_command(session).await.map(ResponseKind::Complete)
            }
            (None, Ok(route)) => {
                context.route_label = route.label();
                self.respond(session, route, context).await
            }
        };
        let response = match outcome {
            Ok(ResponseKind::Media) => return Ok(false),
            Ok(ResponseKind::EventStream) => {
                let map = self.state.store.map();
                let served = self.api.events.serve(session, &map, &self.drain_signal).await;
                return served.map(|()| true).map_err(Error::into_down);
            }
            Ok(ResponseKind::Complete(response)) => response,
            Err(problem) => {
                tracing::debug!(%path, problem = problem.name(), "refused");
                let login_page = || login_page::response_for(&problem, session.req_header());
                let login_page = if is_cross_origin { None } else { login_page() };
                login_page.unwrap_or_else(|| Response::from_problem(&problem))
            }
        };
        let response = if is_cross_origin { response.with_media_headers() } else { response };
        // A failed write is an error of the downstream: Pingora would otherwise log each viewer who
        // left as an internal error.
        response.send(session).await.map(|()| true).map_err(Error::into_down)
    }

    fn request_cache_filter(
        &self,
        session: &mut Session,
        context: &mut RequestContext,
    ) -> Result<()> {
        if context.media.is_some() {
            session.cache.enable(&CACHE_ADAPTER, None, None, None, None);
        }
        Ok(())
    }

    fn cache_key_callback(
        &self,
        _session: &Session,
        context: &mut RequestContext,
    ) -> Result<CacheKey> {
        match context.media.take() {
            Some(media) => media.into_cache_key(),
            None => Error::e_explain(ErrorType::InternalError, "no object was opened"),
        }
    }

    /// Serves a valid single range; any other `Range` is ignored (RFC 9110, 14.2) and the response
    /// is the whole representation.
    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _context: &mut RequestContext,
    ) -> RangeType {
        let request = session.req_header();
        let is_empty =
            response.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
        match request.headers.get(header::RANGE) {
            // An empty representation has no satisfiable range, and Pingora's arithmetic would
            // underflow.
            Some(range) if is_single_range(range.as_bytes()) && !is_empty => {
                // The limit of ranges is exclusive: 2 permits one range.
                range_header_filter(request, response, Some(2))
            }
            _ => RangeType::None,
        }
    }

    /// Sets the write timeout for a body chunk, which Pingora writes right after this filter.
    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        _context: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        if let Some(body) = body {
            session.as_downstream_mut().set_write_timeout(Some(write_timeout(body.len())));
        }
        Ok(None)
    }

    /// What Pingora's own log lines say of a request: no query, which holds seals and keys.
    fn request_summary(&self, session: &Session, context: &RequestContext) -> String {
        let request = session.req_header();
        format!("{} {} ({})", request.method, request.uri.path(), context.route_label)
    }

    /// Fails: Pingora connects to no upstream, as all upstream requests go through [`Fetcher`].
    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _context: &mut RequestContext,
    ) -> Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "requests are answered before this phase")
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        _context: &mut RequestContext,
    ) -> FailToProxy {
        // Once a header was sent, the connection can only be closed.
        if session.response_written().is_none() {
            session.as_downstream_mut().set_keepalive(None);
            // The client may have left, and then needs no response.
            let _ = Response::new(StatusCode::INTERNAL_SERVER_ERROR).send(session).await;
        }
        tracing::debug!(%error, "a request failed");
        FailToProxy { error_code: 500, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &RequestContext, error: &Error) -> bool {
        // Viewers disconnect all the time: an error of the downstream is not logged.
        error.esource() == &pingora::ErrorSource::Downstream
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        context: &mut RequestContext,
    ) {
        if context.in_flight_guard.is_none() {
            return;
        }
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let class = match status {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500..600 => "5xx",
            _ => "none",
        };
        let class = if error.is_some() && status < 400 { "aborted" } else { class };
        let seconds = context.started.elapsed().as_secs_f64();
        self.state.metrics.requests.with_label_values(&[context.route_label, class]).inc();
        self.state
            .metrics
            .request_duration
            .with_label_values(&[context.route_label])
            .observe(seconds);
        let sent = session.body_bytes_sent() as u64;
        self.state.metrics.response_bytes.with_label_values(&[context.route_label]).inc_by(sent);
        tracing::debug!(
            route = context.route_label,
            path = session.req_header().uri.path(),
            status,
            sent,
            seconds,
            "answered"
        );
    }
}

/// How long the write of one body chunk may take at least.
const WRITE_MIN_TIMEOUT: Duration = Duration::from_secs(80);
/// The slowest reader for whom a large chunk's timeout is long enough: a tenth less than 100
/// kbit/s.
const WRITE_MIN_BYTES_PER_SECOND: usize = 11_000;
/// How long the unread rest of a request's body may take to arrive before its connection is closed.
const REQUEST_BODY_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the write of a chunk of `bytes` may take.
fn write_timeout(bytes: usize) -> Duration {
    WRITE_MIN_TIMEOUT.max(Duration::from_secs(bytes.div_ceil(WRITE_MIN_BYTES_PER_SECOND) as u64))
}

fn playlist_response(playlist: &Playlist) -> Response {
    let response = Response::ok(playlist.content_type, playlist.bytes.clone())
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::ETAG, &playlist.etag)
        .header(
            header::HeaderName::from_static("server-timing"),
            &format!("origin;dur={:.1}", playlist.fetch_duration.as_secs_f64() * 1000.0),
        );
    match playlist.fetched_at.elapsed().as_secs() {
        0 => response,
        // A stale playlist, served because its upstream failed, says its age (RFC 9111, 5.1).
        age => response.header(header::AGE, &age.to_string()),
    }
}

fn identify_viewer(grant: &Grant, client: Option<IpAddr>, headers: &HeaderMap) -> ViewerId {
    if let Grant::Token(token) = grant {
        return ViewerId::of_token(token);
    }
    let agent = headers.get(header::USER_AGENT);
    ViewerId::of(client, agent.map(HeaderValue::as_bytes).unwrap_or_default())
}

fn is_gzip_accepted(session: &Session) -> bool {
    let accepted = session.req_header().headers.get(header::ACCEPT_ENCODING);
    accepted.and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && parts.all(|parameter| parameter != "q=0")
        })
    })
}

fn unix_now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_chunk_has_a_longer_write_timeout() {
        for (bytes, seconds) in
            [(0, 80), (500_000, 80), (1_000_000, 91), (4_000_000, 364), (4 * 1024 * 1024, 382)]
        {
            assert_eq!(write_timeout(bytes), Duration::from_secs(seconds), "{bytes}");
        }
    }
}
