//! A request's phases, as Pingora calls them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::{Method, header};
use jiff::Timestamp;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use pingora_cache::key::CacheKey;
use pingora_proxy::{FailToProxy, ProxyHttp, RangeType, Session, range_header_filter};
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::Store;
use prometheus::{IntGauge, Registry};

use crate::answer::Answer;
use crate::config::Config;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::page::Page;
use crate::playlists::{Playlist, Playlists};
use crate::problem::Problem;
use crate::proxied::{self, Proxied};
use crate::relay::Media;
use crate::rooms::Rooms;
use crate::route::{Document, Link, Route, is_media};
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
    page: Page,
    draining: Arc<AtomicBool>,
}

/// What a request gathers on its way through the phases.
pub struct Context {
    started: Instant,
    label: &'static str,
    /// Counts the request for as long as it lives, however it ends.
    in_flight: Option<InFlight>,
    media: Option<Media>,
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
        store: Arc<dyn Store>,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        let own = vec![config.edge.listen, config.edge.admin];
        let fetcher = Arc::new(Fetcher::new(config.upstream.timeouts.into(), own));
        let sealer = Arc::new(sealer);
        let targets = Arc::new(Targets::new(&config.upstream));
        let playlists = Arc::new(Playlists::new(config.edge.playlist.max_age));
        let storage = Storage::new(config.edge.cache, fetcher.clone());
        let metrics = Metrics::new(registry)?;
        let rooms = Rooms { store, fetcher, sealer, targets, storage, metrics };
        Ok(Self {
            live: Live::new(playlists.clone(), rooms.clone()),
            proxied: Proxied { playlists, rooms: rooms.clone() },
            page: Page::default(),
            draining: Arc::new(AtomicBool::new(false)),
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
    pub fn draining(&self) -> Arc<AtomicBool> {
        self.draining.clone()
    }

    /// An answer, or `None` when an object was opened that Pingora's hit path will send.
    async fn answer(
        &self,
        session: &Session,
        route: Route,
        context: &mut Context,
    ) -> Result<Option<Answer>, Problem> {
        let now = now();
        Ok(Some(match route {
            Route::Multivariant { stream, rendition } => {
                playlist(&self.live.multivariant(&stream, rendition.as_deref())?)
            }
            Route::Media { stream, rendition, directives } => {
                let fetched = self.live.media(&stream, &rendition, directives.as_deref(), now);
                playlist(&*fetched.await?)
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
                let target = Target { stream: Some(stream), ..self.target(&link, None, now)? };
                context.media = Some(self.open(session, target).await?);
                return Ok(None);
            }
            Route::Relay { link } => {
                let target = self.target(&link, None, now)?;
                context.media = Some(self.open(session, target).await?);
                return Ok(None);
            }
            Route::Api { document } => self.document(document)?,
            Route::Health => Answer::ok("text/plain", "ok\n".into()),
            Route::Ready => self.ready()?,
            Route::Page { path } => {
                let map = self.rooms.store.current();
                self.page.answer(&path, takes_gzip(session), &map)
            }
        }))
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

    fn document(&self, document: Document) -> Result<Answer, Problem> {
        let map = self.rooms.store.current();
        let documents = &map.documents;
        let (text, content_type) = match document {
            Document::Bootstrap => (&documents.bootstrap, "application/json"),
            Document::Schedule => (&documents.schedule, "application/json"),
            Document::Streams => (&documents.streams, "application/json"),
            Document::Extractors => (&documents.extractors, "application/json"),
            Document::Status => (&documents.status, "application/json"),
            Document::Calendar => (&documents.calendar, "text/calendar; charset=utf-8"),
            Document::Guide => (&documents.guide, "application/xml; charset=utf-8"),
            Document::Playlist => (&documents.playlist, "audio/x-mpegurl"),
        };
        let text =
            text.as_str().ok_or(Problem::Unavailable("the first map is still being made"))?;
        Ok(Answer::ok(content_type, text.to_owned().into())
            .header(header::CACHE_CONTROL, "no-cache")
            .header(header::ETAG, &format!("\"{}\"", map.version)))
    }

    fn ready(&self) -> Result<Answer, Problem> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Problem::Unavailable("shutting down"));
        }
        if self.rooms.store.current().version == 0 {
            return Err(Problem::Unavailable("the first map is still being made"));
        }
        Ok(Answer::ok("text/plain", "ready\n".into()))
    }
}

#[async_trait]
impl ProxyHttp for Edge {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context { started: Instant::now(), label: "refused", in_flight: None, media: None }
    }

    /// Answers are finished where they are made: no module has anything to add.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        context.in_flight = Some(InFlight::new(&self.rooms.metrics.in_flight));
        // A viewer who stops reading must not hold a connection, but one who reads slowly may:
        // this is how long one slice may take.
        session.as_downstream_mut().set_write_timeout(Some(WRITE_TIMEOUT));
        session.as_downstream_mut().set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        if self.draining.load(Ordering::Relaxed) {
            session.as_downstream_mut().set_keepalive(None);
        }
        let request = session.req_header();
        let path = request.uri.path().to_owned();
        let media = is_media(&path);
        let answered = match preflight_or_refusal(session, media) {
            Some(answer) => Ok(Some(answer)),
            None => match Route::parse(&path, session.req_header().uri.query()) {
                Ok(route) => {
                    context.label = route.label();
                    self.answer(session, route, context).await
                }
                Err(problem) => Err(problem),
            },
        };
        let answer = match answered {
            Ok(None) => return Ok(false),
            Ok(Some(answer)) => answer,
            Err(problem) => {
                tracing::debug!(%path, problem = problem.name(), "refused");
                Answer::problem(&problem)
            }
        };
        let answer = if media { answer.media() } else { answer };
        answer.send(session).await?;
        Ok(true)
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

    /// For Pingora's own log lines: without the query, which holds links.
    fn request_summary(&self, session: &Session, context: &Context) -> String {
        let request = session.req_header();
        format!("{} {} ({})", request.method, request.uri.path(), context.label)
    }

    /// Everything upstream goes through our own fetches, so nothing may come here.
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
        // With a header sent, all that is left is to break off; otherwise it is our fault.
        if session.response_written().is_none() {
            let _ = session.respond_error(500).await;
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
/// For the rest of a request's body that nobody wants.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// More than any player sends, less than what would hurt.
const MAX_HEADER_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 100;

fn preflight_or_refusal(session: &mut Session, media: bool) -> Option<Answer> {
    let headers = &session.req_header().headers;
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_HEADER_BYTES || headers.len() > MAX_HEADERS {
        session.as_downstream_mut().set_keepalive(None);
        return Some(Answer::problem(&Problem::HeadersTooLarge));
    }
    let method = session.req_header().method.clone();
    match method {
        Method::GET | Method::HEAD => {
            if session.as_downstream_mut().is_body_empty() {
                return None;
            }
            // What is left of the body would be read as the next request.
            session.as_downstream_mut().set_keepalive(None);
            Some(Answer::problem(&Problem::BodyNotAllowed))
        }
        Method::OPTIONS if media => Some(Answer::preflight()),
        _ => {
            session.as_downstream_mut().set_keepalive(None);
            Some(Answer::problem(&Problem::MethodNotAllowed))
        }
    }
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
