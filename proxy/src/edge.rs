//! A request's phases, as Pingora calls them.

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

use crate::access::{Access, Door, PARAMETER, Pass};
use crate::admission;
use crate::answer::Answer;
use crate::api::events::Events;
use crate::api::views::Views;
use crate::api::{Ask, Desk, Document, OpenApi};
use crate::audience::{Audience, Viewer};
use crate::client::Clients;
use crate::cmcd;
use crate::config::Config;
use crate::control::{Command, Control};
use crate::drain::Draining;
use crate::limits::Limits;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::playlists::{Playlist, Playlists};
use crate::problem::Problem;
use crate::proxied::{self, Proxied};
use crate::relay::Media;
use crate::rooms::Rooms;
use crate::route::{Link, Query, Route, is_media};
use crate::seal::{Purpose, Sealer};
use crate::storage::hit::HANDOVER;
use crate::storage::range::is_single;
use crate::storage::{Asked, Storage};
use crate::target::{Target, Targets};

/// The edge as Pingora drives it.
pub struct Edge {
    rooms: Rooms,
    live: Live,
    proxied: Proxied,
    desk: Desk,
    page: Page,
    access: Access,
    clients: Arc<Clients>,
    limits: Arc<Limits>,
    draining: Draining,
    /// Viewers reach us over TLS, here or at a proxy in front.
    secure: bool,
    control: Control,
}

/// What a request gathers on its way through the phases.
pub struct Context {
    started: Instant,
    label: &'static str,
    /// Counts the request for as long as it lives, however it ends.
    in_flight: Option<InFlight>,
    media: Option<Media>,
    /// Whose it is.
    client: Option<IpAddr>,
}

/// How a request is answered.
enum Outcome {
    Whole(Answer),
    /// By Pingora's hit path, from the object that was opened.
    Media,
    Events,
}

struct InFlight(IntGauge);

impl InFlight {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Edge {
    pub fn new(
        config: &Config,
        sealer: Sealer,
        access: Access,
        store: Arc<dyn Store>,
        openapi: OpenApi,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let own = vec![config.edge.listen, config.edge.admin];
        let control = Control::new(config.edge.control.clone(), own.clone());
        let fetcher = Arc::new(Fetcher::new(config.upstream.timeouts.into(), own));
        let sealer = Arc::new(sealer);
        let targets = Arc::new(Targets::new(&config.upstream));
        let playlists = Arc::new(Playlists::new(config.edge.playlist.max_age));
        let storage = Storage::new(config.edge.cache, fetcher.clone());
        let metrics = Metrics::new(registry)?;
        let audience = Arc::new(Audience::new(store.clone(), metrics.viewers.clone()));
        let draining = Draining::default();
        let (events, draining_) = (Events::new(), draining.clone());
        let views = Views::default();
        let desk = Desk { store: store.clone(), views, events, openapi, draining: draining_ };
        let rooms = Rooms { store, fetcher, sealer, targets, storage, audience, metrics };
        Ok(Self {
            live: Live::new(playlists.clone(), rooms.clone(), config.edge.playlist.window),
            proxied: Proxied { playlists, rooms: rooms.clone() },
            desk,
            page: Page::default(),
            access,
            clients: Arc::new(Clients::behind(&config.edge.trusted_proxies)),
            limits: Limits::new(config.edge.limits),
            draining,
            secure: config.edge.site().scheme() == "https",
            control,
            rooms,
        })
    }

    pub fn metrics(&self) -> &Metrics {
        &self.rooms.metrics
    }

    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Set when the process is about to stop.
    pub fn draining(&self) -> Draining {
        self.draining.clone()
    }

    pub fn limits(&self) -> Arc<Limits> {
        self.limits.clone()
    }

    pub fn clients(&self) -> Arc<Clients> {
        self.clients.clone()
    }

    pub fn events(&self) -> Arc<Events> {
        self.desk.events.clone()
    }

    async fn answer(
        &self,
        session: &Session,
        route: Route,
        context: &mut Context,
    ) -> Result<Outcome, Problem> {
        let now = now();
        let query = Query(session.req_header().uri.query().unwrap_or_default());
        let headers = &session.req_header().headers;
        let pass = match route.door() {
            Some(door) => self.access.judge(door, &query, headers, now)?,
            None => Pass::Open,
        };
        Ok(Outcome::Whole(match route {
            Route::Multivariant { stream, rendition } => {
                let shown = self.shown(&pass, Door::Stream(&stream), now);
                let shown = self.live.multivariant(&stream, rendition.as_deref(), &shown, now);
                playlist(&shown.map_err(|problem| self.of_stream(problem))?)
            }
            Route::Media { stream, rendition, directives } => {
                let fetched = self.live.media(&stream, &rendition, directives.as_deref(), now);
                let fetched = fetched.await.map_err(|problem| self.of_stream(problem))?;
                let viewer = viewer(&pass, context.client, &session.req_header().headers);
                self.watched(&stream, viewer, &fetched);
                playlist(&fetched)
            }
            Route::Proxy { source, link, variables, directives } => {
                let target = self.target(&link, source.as_deref(), now)?;
                if target.purpose == Some(Purpose::Media) {
                    return Err(Problem::SealInvalid);
                }
                let request = proxied::Request { target, variables, directives, now };
                playlist(&*self.proxied.get(request).await?)
            }
            Route::Segment { stream, link } => {
                context.media = Some(self.segment(session, &stream, &link, now).await?);
                return Ok(Outcome::Media);
            }
            Route::Relay { link } => {
                let target = self.target(&link, None, now)?;
                context.media = Some(self.open(session, target).await?);
                return Ok(Outcome::Media);
            }
            Route::Api(Ask::Events) => return Ok(Outcome::Events),
            Route::Api(Ask::Document(Document::Playlist)) => {
                let show = |door: Door<'_>| self.shown(&pass, door, now);
                self.desk.channels(&show)?
            }
            Route::Api(ask) => {
                self.desk.answer(&ask, &|map, stream| self.live.playing(map, stream, now))?
            }
            Route::Page { path } if pass == Pass::Key => self.welcome(&path, &query, &pass, now),
            Route::Page { path } => {
                // Before the first map there is nothing to start with.
                self.page.answer(&path, takes_gzip(session), || {
                    let here = self.desk.bootstrap(&|map, it| self.live.playing(map, it, now));
                    here.ok()
                })
            }
        }))
    }

    /// An edge that cannot read the map misses streams that are there: nobody is told that they
    /// are not.
    fn of_stream(&self, problem: Problem) -> Problem {
        match problem {
            Problem::NotFound if self.rooms.store.unreadable().is_some() => Problem::MapUnreadable,
            problem => problem,
        }
    }

    /// What a link of a playlist is followed by, so that a player needs nothing else.
    fn shown(&self, pass: &Pass, door: Door<'_>, now: u64) -> String {
        let token = self.access.token(pass, door, now);
        token.map_or(String::new(), |token| format!("?{PARAMETER}={token}"))
    }

    /// A browser that shows the key gets a cookie, and an address without the key.
    fn welcome(&self, path: &str, query: &Query<'_>, pass: &Pass, now: u64) -> Answer {
        let cookie = self.access.cookie(pass, self.secure, now).unwrap_or_default();
        // Two slashes would be another host.
        let path = path.trim_start_matches(['/', '\\']);
        let location = match query.without(PARAMETER) {
            none if none.is_empty() => format!("/{path}"),
            rest => format!("/{path}?{rest}"),
        };
        Answer::new(StatusCode::SEE_OTHER)
            .header(header::LOCATION, &location)
            .header(header::SET_COOKIE, &cookie)
            .header(header::CACHE_CONTROL, "no-store")
            .header(header::REFERRER_POLICY, "no-referrer")
    }

    fn target(&self, link: &Link, source: Option<&str>, now: u64) -> Result<Target, Problem> {
        self.rooms.targets.of_link(
            link,
            source,
            &self.rooms.sealer,
            &self.rooms.store.current(),
            now,
        )
    }

    /// A link that is refused is had anew from the playlist that named it, once: the token in it
    /// may have ended since, or its source may have moved.
    async fn segment(
        &self,
        session: &Session,
        stream: &Arc<str>,
        link: &Link,
        now: u64,
    ) -> Result<Media, Problem> {
        let opened = self.try_segment(session, stream, link, now).await;
        let (Err(problem), Link::Sealed { seal, path }) = (&opened, link) else { return opened };
        if !problem.is_stale() {
            return opened;
        }
        match self.live.renewed(path, seal, problem, now).await {
            Some(renewed) => self.try_segment(session, stream, &renewed, now).await,
            None => opened,
        }
    }

    async fn try_segment(
        &self,
        session: &Session,
        stream: &Arc<str>,
        link: &Link,
        now: u64,
    ) -> Result<Media, Problem> {
        let map = self.rooms.store.current();
        let Rooms { targets, sealer, .. } = &self.rooms;
        let target = targets.of_link(link, None, sealer, &map, now)?;
        let known = map.streams.get(&**stream).and_then(|stream| {
            let mut upstreams = stream.upstreams.iter();
            Some((stream, upstreams.find(|one| one.profile.0 == target.profile)?))
        });
        let target = Target { stream: Some(stream.clone()), ..target };
        let opened = self.open(session, target).await;
        // What a request for a segment tells of its upstream.
        if let Some((stream, upstream)) = known {
            let complaints = &self.rooms.audience.complaints;
            complaints.heard(stream, upstream, &session.req_header().headers);
            if let Err(problem) = &opened {
                complaints.failed(&stream.id, upstream, problem);
            }
        }
        opened
    }

    async fn open(&self, session: &Session, target: Target) -> Result<Media, Problem> {
        if target.purpose.is_some_and(|purpose| purpose != Purpose::Media) {
            return Err(Problem::SealInvalid);
        }
        let started = Instant::now();
        let asked = Asked::of(&session.req_header().headers);
        let opened = self.rooms.storage.open(target, asked).await?;
        let path = session.req_header().uri.path().to_owned();
        let media = Media::new(opened, path, started);
        self.rooms.metrics.storage.with_label_values(&[media.outcome()]).inc();
        Ok(media)
    }

    /// Whoever polls a stream's playlist watches it.
    fn watched(&self, stream: &str, viewer: Viewer, playlist: &Playlist) {
        let map = self.rooms.store.current();
        let Some((stream, _)) = map.streams.get_key_value(stream) else { return };
        self.rooms.audience.seen(stream, viewer, playlist.bridges());
    }

    /// By the control plane that leads.
    async fn commanded(&self, session: &mut Session) -> Result<Answer, Problem> {
        let body = admission::body(session, cmcd::LONGEST).await?;
        let request = session.req_header();
        let path_and_query = request.uri.path_and_query().map_or("/", |it| it.as_str()).to_owned();
        // Whoever asks for a head is sent that of the whole answer.
        let method = match request.method {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        let command = Command { method, path_and_query, headers: request.headers.clone(), body };
        self.control.pass_on(&command).await
    }

    /// What a player posted, of streams that are open to it.
    async fn reported(&self, session: &mut Session) -> Result<Answer, Problem> {
        let body = admission::body(session, cmcd::LONGEST).await?;
        let (request, now) = (session.req_header(), now());
        let content_type = request.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
        let reports = cmcd::parse(content_type, &body)?;
        let query = Query(request.uri.query().unwrap_or_default());
        let map = self.rooms.store.current();
        let mut told: BTreeMap<&str, (&Stream, bool)> = BTreeMap::new();
        for report in &reports {
            let door = Door::Stream(&report.cid);
            self.access.judge(door, &query, &request.headers, now)?;
            let stream = map.streams.get(report.cid.as_str()).ok_or(Problem::NotFound)?;
            told.entry(&report.cid).or_insert((stream, false)).1 |= report.stalled();
        }
        for (stream, stalled) in told.values() {
            self.rooms.audience.complaints.reported(stream, *stalled);
        }
        Ok(Answer::new(StatusCode::NO_CONTENT).header(header::CACHE_CONTROL, "no-store"))
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context {
            started: Instant::now(),
            label: "refused",
            in_flight: None,
            media: None,
            client: None,
        }
    }

    /// Answers are finished where they are made: no module has anything to add.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        context.in_flight = Some(InFlight::new(&self.rooms.metrics.in_flight));
        // A viewer who stops reading must not hold a connection for ever, but one who reads slowly
        // may: this is how long one write may take; a large slice has longer.
        session.as_downstream_mut().set_write_timeout(Some(WRITE_TIMEOUT));
        session.as_downstream_mut().set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        if self.draining.is_set() {
            session.as_downstream_mut().set_keepalive(None);
        }
        let request = session.req_header();
        let path = request.uri.path().to_owned();
        let route = Route::parse(&path, request.uri.query());
        let report = matches!(route, Ok(Route::Api(Ask::Report)));
        let media = is_media(&path) || report;
        let peer = session.client_addr().and_then(|address| address.as_inet());
        let address = |peer: &SocketAddr| self.clients.address(peer.ip(), &request.headers);
        context.client = peer.map(address);
        // Whoever looks after the edge asks as often as it likes.
        let limited = match (&route, context.client) {
            (Ok(Route::Api(Ask::Health | Ask::Ready)), _) | (_, None) => Ok(()),
            (_, Some(client)) => {
                self.limits.request(client.into(), self.rooms.metrics.in_flight.get())
            }
        };
        let refused = match &route {
            Ok(Route::Api(Ask::Command(method))) => admission::of_command(session, method),
            _ if report => admission::of_report(session),
            _ => admission::of_request(session, media),
        };
        let outcome = match (refused, limited.and(route)) {
            (Some(answer), _) => Ok(Outcome::Whole(answer)),
            (None, Err(problem)) => Err(problem),
            (None, Ok(route @ Route::Api(Ask::Report))) => {
                context.label = route.label();
                self.reported(session).await.map(Outcome::Whole)
            }
            (None, Ok(route @ Route::Api(Ask::Command(_)))) => {
                context.label = route.label();
                self.commanded(session).await.map(Outcome::Whole)
            }
            (None, Ok(route)) => {
                context.label = route.label();
                self.answer(session, route, context).await
            }
        };
        let answer = match outcome {
            Ok(Outcome::Media) => return Ok(false),
            Ok(Outcome::Events) => {
                let map = self.rooms.store.current();
                let served = self.desk.events.serve(session, &map, &self.draining).await;
                return served.map(|()| true).map_err(Error::into_down);
            }
            Ok(Outcome::Whole(answer)) => answer,
            Err(problem) => {
                tracing::debug!(%path, problem = problem.name(), "refused");
                Answer::problem(&problem)
            }
        };
        let answer = if media { answer.media() } else { answer };
        // Pingora calls it a fault of ours otherwise that a viewer left.
        answer.send(session).await.map(|()| true).map_err(Error::into_down)
    }

    fn request_cache_filter(&self, session: &mut Session, context: &mut Context) -> Result<()> {
        if context.media.is_some() {
            session.cache.enable(&HANDOVER, None, None, None, None);
        }
        Ok(())
    }

    fn cache_key_callback(&self, _session: &Session, context: &mut Context) -> Result<CacheKey> {
        match context.media.take() {
            Some(media) => media.into_key(),
            None => Error::e_explain(ErrorType::InternalError, "no object was opened"),
        }
    }

    /// What is no valid single range is no range (RFC 9110, 14.2): the answer is the whole.
    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _context: &mut Context,
    ) -> RangeType {
        let request = session.req_header();
        let empty =
            response.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
        match request.headers.get(header::RANGE) {
            // Of nothing there is no part, and Pingora would count below zero.
            Some(range) if is_single(range.as_bytes()) && !empty => {
                // Pingora counts up to, not including.
                range_header_filter(request, response, Some(2))
            }
            _ => RangeType::None,
        }
    }

    /// A slice is written right after it came through here.
    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        _context: &mut Context,
    ) -> Result<Option<Duration>> {
        if let Some(body) = body {
            session.as_downstream_mut().set_write_timeout(Some(patience(body.len())));
        }
        Ok(None)
    }

    /// For Pingora's own log lines: without the query, which holds links.
    fn request_summary(&self, session: &Session, context: &Context) -> String {
        let request = session.req_header();
        format!("{} {} ({})", request.method, request.uri.path(), context.label)
    }

    /// Pingora itself is sent nowhere: everything upstream goes through our own fetches.
    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _context: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "requests are answered before this phase")
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        _context: &mut Context,
    ) -> FailToProxy {
        // With a header sent, all that is left is to break off.
        if session.response_written().is_none() {
            session.as_downstream_mut().set_keepalive(None);
            // Whoever left needs no answer.
            let _ = Answer::new(StatusCode::INTERNAL_SERVER_ERROR).send(session).await;
        }
        tracing::debug!(%error, "a request failed");
        FailToProxy { error_code: 500, can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _: &Session, _: &Context, error: &Error) -> bool {
        // Viewers leave all the time.
        error.esource() == &pingora::ErrorSource::Downstream
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        if context.in_flight.is_none() {
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
        self.rooms.metrics.requests.with_label_values(&[context.label, class]).inc();
        self.rooms.metrics.seconds.with_label_values(&[context.label]).observe(seconds);
        let sent = session.body_bytes_sent() as u64;
        self.rooms.metrics.bytes.with_label_values(&[context.label]).inc_by(sent);
        tracing::debug!(
            route = context.label,
            path = session.req_header().uri.path(),
            status,
            sent,
            seconds,
            "answered"
        );
    }
}

const WRITE_TIMEOUT: Duration = Duration::from_secs(80);
/// Bytes a second, a tenth less than a viewer at 100 kbit/s takes.
const SLOWEST: usize = 11_000;
/// For the rest of a request's body that nobody wants.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the write of so many bytes may take.
fn patience(bytes: usize) -> Duration {
    WRITE_TIMEOUT.max(Duration::from_secs(bytes.div_ceil(SLOWEST) as u64))
}

fn playlist(playlist: &Playlist) -> Answer {
    let answer = Answer::ok(playlist.content_type, playlist.bytes.clone())
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::ETAG, &playlist.etag)
        .header(
            header::HeaderName::from_static("server-timing"),
            &format!("origin;dur={:.1}", playlist.upstream.as_secs_f64() * 1000.0),
        );
    match playlist.fetched.elapsed().as_secs() {
        0 => answer,
        // Given again because its upstream failed: said, not hidden.
        age => answer.header(header::AGE, &age.to_string()),
    }
}

fn viewer(pass: &Pass, client: Option<IpAddr>, headers: &HeaderMap) -> Viewer {
    if let Pass::Token(token) = pass {
        return Viewer::of_token(token);
    }
    let agent = headers.get(header::USER_AGENT);
    Viewer::of(client, agent.map(HeaderValue::as_bytes).unwrap_or_default())
}

fn takes_gzip(session: &Session) -> bool {
    let accepted = session.req_header().headers.get(header::ACCEPT_ENCODING);
    accepted.and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && parts.all(|parameter| parameter != "q=0")
        })
    })
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_slice_has_longer() {
        for (bytes, seconds) in
            [(0, 80), (500_000, 80), (1_000_000, 91), (4_000_000, 364), (4 * 1024 * 1024, 382)]
        {
            assert_eq!(patience(bytes), Duration::from_secs(seconds), "{bytes}");
        }
    }
}
