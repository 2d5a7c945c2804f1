//! Listeners, the admin listener, background services, and how it all stops.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::{Response, StatusCode, header};
use pingora::apps::http_app::ServeHttp;
use pingora::listeners::L4BufferSettings;
use pingora::listeners::ListenerConfig;
use pingora::protocols::http::ServerSession;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use pingora_proxy::http_proxy_service_with_name;
use pitwall_upstream_map::Store;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::EdgeConfig;
use crate::edge::Edge;
use crate::metrics::Metrics;
use crate::storage::Storage;

/// The process: the edge on its listeners, and whatever runs beside it.
pub struct Server {
    inner: pingora::server::Server,
    signals: Signals,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}")]
pub struct CannotListen {
    pub address: SocketAddr,
    #[source]
    pub error: std::io::Error,
}

impl Server {
    pub fn new(
        config: &EdgeConfig,
        edge: Edge,
        store: Arc<dyn Store>,
        registry: Registry,
    ) -> Result<Self, CannotListen> {
        for address in [config.listen, config.admin] {
            // Pingora panics when it cannot bind; this says what is wrong first.
            TcpListener::bind(address).map_err(|error| CannotListen { address, error })?;
        }
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let conf = ServerConf {
            threads,
            work_stealing: true,
            grace_period_seconds: Some(0),
            graceful_shutdown_timeout_seconds: Some(1),
            ..ServerConf::default()
        };
        let mut inner = pingora::server::Server::new_with_opt_and_conf(None, conf);
        inner.bootstrap();
        let signals = Signals {
            draining: edge.draining(),
            metrics: edge.metrics().clone(),
            drain: config.drain,
        };
        let admin = Admin {
            registry,
            metrics: edge.metrics().clone(),
            storage: edge.storage().clone(),
            draining: edge.draining(),
            store,
        };
        let mut service = http_proxy_service_with_name(&inner.configuration, edge, "edge");
        // Thousands of viewers are idle between two segments: their buffers are small.
        service.add_listener(
            ListenerConfig::tcp(config.listen.to_string())
                .l4_buffer(L4BufferSettings::new(8192, 1460)),
        );
        inner.add_service(service);
        let mut service = Service::new("admin".to_owned(), admin);
        service.add_tcp(&config.admin.to_string());
        service.threads = Some(1);
        inner.add_service(service);
        Ok(Self { inner, signals })
    }

    /// Runs `task` beside the edge, on threads of its own; it is told when to stop.
    pub fn add_background<F, T>(&mut self, name: &str, threads: usize, task: F)
    where
        F: FnOnce(Stop) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let start: Start = Box::new(|stop| Box::pin(task(stop)));
        let mut service = background_service(name, Background(Mutex::new(Some(start))));
        service.threads = Some(threads);
        self.inner.add_service(service);
    }

    /// Serves until the process is told to stop.
    pub fn run(self) {
        self.inner.run(RunArgs { shutdown_signal: Box::new(self.signals) });
    }
}

/// Resolves when the process stops.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;
type Start = Box<dyn FnOnce(Stop) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

struct Background(Mutex<Option<Start>>);

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let start = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(start) = start {
            let stop = Box::pin(async move {
                // An error means that the server is gone, which is a stop as well.
                let _ = shutdown.wait_for(|stopping| *stopping).await;
            });
            start(stop).await;
        }
    }
}

/// SIGTERM drains: unready first, still serving, then out when the last transfer is done.
/// SIGINT is somebody at a terminal, who wants to be gone.
struct Signals {
    draining: Arc<AtomicBool>,
    metrics: Metrics,
    drain: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::error!("signals cannot be watched; only SIGKILL stops this process");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
            _ = terminate.recv() => {}
        }
        tracing::info!(running = self.metrics.in_flight.get(), "draining");
        self.draining.store(true, Ordering::Relaxed);
        tokio::select! {
            () = self.drained() => {}
            () = tokio::time::sleep(self.drain) => {
                tracing::warn!(running = self.metrics.in_flight.get(), "not all transfers ended in time");
            }
            _ = interrupt.recv() => {}
        }
        ShutdownSignal::GracefulTerminate
    }
}

impl Signals {
    async fn drained(&self) {
        // Checked often enough that nobody waits for it, seldom enough to cost nothing.
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while self.metrics.in_flight.get() > 0 {
            ticks.tick().await;
        }
    }
}

/// `/metrics` and health for those who run the edge; never on the public listener.
struct Admin {
    registry: Registry,
    metrics: Metrics,
    storage: Arc<Storage>,
    draining: Arc<AtomicBool>,
    store: Arc<dyn Store>,
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        match session.req_header().uri.path() {
            "/metrics" => self.scrape(),
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.draining.load(Ordering::Relaxed) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            "/readyz" if self.store.current().version == 0 => {
                text(StatusCode::SERVICE_UNAVAILABLE, "no map yet\n")
            }
            "/readyz" => text(StatusCode::OK, "ready\n"),
            _ => text(StatusCode::NOT_FOUND, "try /metrics, /healthz or /readyz\n"),
        }
    }
}

impl Admin {
    fn scrape(&self) -> Response<Vec<u8>> {
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.stored_bytes.set(gauge(self.storage.stored_bytes()));
        self.metrics.filling_bytes.set(gauge(self.storage.filling_bytes()));
        self.metrics.map_version.set(gauge(self.store.current().version));
        let mut body = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut body) {
            Ok(()) => answer(StatusCode::OK, prometheus::TEXT_FORMAT, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

fn text(status: StatusCode, body: &str) -> Response<Vec<u8>> {
    answer(status, "text/plain", body.as_bytes().to_vec())
}

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    response
}
