//! Listeners, background services, and how it all stops.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::L4BufferSettings;
use pingora::listeners::ListenerConfig;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use pingora_proxy::http_proxy;
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{Admin, AdminToken};
use crate::config::EdgeConfig;
use crate::connection::{Connections, OneByOne};
use crate::drain::Draining;
use crate::edge::Edge;
use crate::metrics::Metrics;
use crate::tls::{BadCertificate, Certificate};

/// How long an HTTP/2 connection without a stream is kept.
const IDLE: Duration = Duration::from_secs(60);

/// The process: the edge on its listeners, and whatever runs beside it.
pub struct Server {
    inner: pingora::server::Server,
    signals: Signals,
}

#[derive(Debug, thiserror::Error)]
pub enum CannotListen {
    #[error("edge.tls: {0}")]
    Certificate(#[from] BadCertificate),
    #[error("edge.tls: {0}")]
    Tls(#[from] Box<pingora::Error>),
}

impl Server {
    /// Pingora panics in [`run`](Self::run) where it cannot bind: whoever calls this has found that
    /// the addresses can be listened on.
    pub fn new(
        config: &EdgeConfig,
        edge: Edge,
        registry: Registry,
        admin_token: Option<AdminToken>,
    ) -> Result<Self, CannotListen> {
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let conf = ServerConf {
            threads,
            work_stealing: true,
            // After the listeners are closed; what is running is usually done long before.
            grace_period_seconds: Some(config.drain.as_secs()),
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
            rooms: edge.rooms().clone(),
            registry,
            draining: edge.draining(),
            token: admin_token,
        };
        let (audience, events) = (edge.rooms().audience.clone(), edge.events());
        let store = edge.rooms().store.clone();
        // No HTTP/2 without TLS: Pingora waits for its preface on every connection, without a
        // timeout, and browsers only speak it over TLS.
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(IDLE);
        let (limits, clients) = (edge.limits(), edge.clients());
        let mut proxy = http_proxy(&inner.configuration, edge);
        proxy.server_options = Some(options);
        let certificate = config.tls.as_ref().map(Certificate::load).transpose()?;
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let connections = Connections::to(proxy, limits, clients, tls);
        let mut service = Service::new("edge".to_owned(), connections);
        // Thousands of viewers are idle between two segments. Requests are read into a buffer that
        // lives as long as they do, and answers gathered by the connection: these are not needed.
        let buffers = L4BufferSettings::new(64, 64);
        service.set_connection_filter(Arc::new(OneByOne));
        service.add_listener(ListenerConfig::tcp(config.listen.to_string()).l4_buffer(buffers));
        inner.add_service(service);
        let mut service = Service::new("admin".to_owned(), admin);
        service.add_tcp(&config.admin.to_string());
        service.threads = Some(1);
        inner.add_service(service);
        let drained = Drained { metrics: signals.metrics.clone() };
        let mut server = Self { inner, signals };
        server.add_background("drain", 1, |stop| async move {
            stop.await;
            drained.wait().await;
            // Pingora sleeps through its whole grace period, whether anything runs or not.
            std::process::exit(0);
        });
        server.add_background("audience", 1, |stop| async move {
            tokio::select! {
                () = audience.tell_of_it() => {}
                () = events.follow(store) => {}
                () = stop => {}
            }
        });
        if let Some(certificate) = certificate {
            server.add_background("certificate", 1, |stop| async move {
                tokio::select! {
                    () = certificate.follow() => {}
                    () = stop => {}
                }
            });
        }
        Ok(server)
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

/// SIGTERM drains: unready first, still serving; then the listeners close, and the process ends
/// with its last transfer. SIGINT is somebody at a terminal, who wants to be gone.
struct Signals {
    draining: Draining,
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
        self.draining.set();
        if self.drain < Duration::from_secs(1) {
            return ShutdownSignal::FastShutdown;
        }
        tokio::select! {
            // A load balancer looks at /readyz every few seconds.
            () = tokio::time::sleep(NOTICE.min(self.drain / 4)) => ShutdownSignal::GracefulTerminate,
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}

/// How long an edge serves on after it said that it is going.
const NOTICE: Duration = Duration::from_secs(2);

struct Drained {
    metrics: Metrics,
}

impl Drained {
    async fn wait(&self) {
        // Often enough that nobody waits for it, seldom enough to cost nothing. Twice, as a
        // request may be between the listener and its first phase.
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        let mut quiet = 0;
        while quiet < 2 {
            ticks.tick().await;
            quiet = if self.metrics.in_flight.get() > 0 { 0 } else { quiet + 1 };
        }
    }
}
