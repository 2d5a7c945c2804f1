//! [`Server`]: the edge's listeners, its background tasks, and its shutdown.

pub mod connection;
pub mod file_descriptors;
pub mod tls;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::listeners::L4BufferSettings;
use pingora::listeners::ListenerConfig;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, ShutdownSignal, ShutdownSignalWatch, ShutdownWatch};
use pingora::services::background::{BackgroundService, background_service};
use pingora::services::listening::Service;
use pingora_proxy::http_proxy;
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{AdminService, ProcessControls};
use crate::config::{Config, EdgeConfig};
use crate::drain::DrainSignal;
use crate::edge::Edge;
use crate::edge_settings::{CurrentSettings, EdgeSettings};
use crate::http::access::AccessControl;
use crate::http::admin_token::AdminToken;
use crate::metrics::Metrics;
use crate::server::connection::{ConnectionHandler, SequentialAcceptFilter};
use crate::server::tls::{Certificate, CertificateError, LoadedCertificate};
use crate::upstream::denials::DenialLog;

/// How long an HTTP/2 connection without an open stream is kept alive.
const HTTP2_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How many bytes of a stream's body wait in HTTP/2's own buffer for a client that does not read: a connection of a hundred
/// streams holds a hundred times as many, which no budget of the cache counts once the body was written whole.
const HTTP2_SEND_BUFFER_BYTES: usize = 128 * 1024;

/// How long the tasks beside the edge may take to save what they know when the process stops.
const TASKS_END_TIMEOUT: Duration = Duration::from_secs(3);

/// The edge on its listeners, with the tasks that run beside it.
pub struct Server {
    inner: pingora::server::Server,
    signals: ShutdownSignals,
    tasks: BackgroundTasks,
    settings_handle: SettingsHandle,
}

/// Gives a running edge other [`EdgeSettings`] and another certificate.
#[derive(Clone)]
pub struct SettingsHandle {
    settings: CurrentSettings,
    denials: DenialLog,
    /// `None` for a plaintext listener, which stays one.
    certificate: Option<Arc<Certificate>>,
}

/// Settings that were checked and are ready to be applied.
pub struct PreparedSettings {
    settings: EdgeSettings,
    certificate: Option<LoadedCertificate>,
}

impl SettingsHandle {
    /// # Errors
    /// The certificate cannot be used.
    pub fn prepare(
        &self,
        config: &Config,
        access: AccessControl,
        admin_token: Option<AdminToken>,
    ) -> Result<PreparedSettings, CertificateError> {
        let tls = config.edge.tls.as_ref().filter(|_| self.certificate.is_some());
        Ok(PreparedSettings {
            certificate: tls.map(LoadedCertificate::load).transpose()?,
            settings: EdgeSettings::new(config, access, admin_token, self.denials.clone()),
        })
    }

    pub fn apply(&self, prepared: PreparedSettings) {
        if let (Some(certificate), Some(loaded)) = (&self.certificate, prepared.certificate) {
            certificate.replace(loaded);
        }
        self.settings.replace(prepared.settings);
    }
}

/// Why the listeners cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("edge.tls: {0}")]
    Certificate(#[from] CertificateError),
    #[error("edge.tls: {0}")]
    Tls(#[from] Box<pingora::Error>),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl Server {
    /// Sets up the listeners and background tasks. Pingora panics in [`run`](Self::run) where it
    /// cannot bind, so the caller has checked that the addresses can be listened on.
    ///
    /// # Errors
    /// The certificate of `[edge.tls]` cannot be used, or its gauge is registered already.
    pub fn new(
        config: &EdgeConfig,
        edge: Edge,
        registry: Registry,
        admin_tools: ProcessControls,
    ) -> Result<Self, ListenError> {
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let conf = ServerConf {
            threads,
            work_stealing: true,
            // Counts from when the listeners are closed; the drain task ends the process earlier,
            // with its last request.
            grace_period_seconds: Some(config.drain.as_secs()),
            graceful_shutdown_timeout_seconds: Some(1),
            ..ServerConf::default()
        };
        let mut inner = pingora::server::Server::new_with_opt_and_conf(None, conf);
        inner.bootstrap();
        let loaded = config.tls.as_ref().map(LoadedCertificate::load).transpose()?;
        let certificate = loaded.map(|loaded| Certificate::new(loaded, &registry)).transpose()?;
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let tasks = BackgroundTasks::default();
        let signals = ShutdownSignals {
            drain_signal: edge.drain_signal(),
            metrics: edge.metrics().clone(),
            drain_timeout: config.drain,
            tasks: tasks.clone(),
        };
        let admin = AdminService {
            state: edge.state().clone(),
            registry,
            drain_signal: edge.drain_signal(),
            tools: admin_tools,
        };
        let (viewers, events) = (edge.state().viewers.clone(), edge.event_broadcaster());
        let store = edge.state().store.clone();
        // HTTP/2 without TLS stays off: Pingora would wait for its preface on every connection,
        // without a timeout, and browsers speak HTTP/2 only over TLS.
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(HTTP2_IDLE_TIMEOUT);
        let (limiter, settings) = (edge.client_limiter(), edge.state().settings.clone());
        let denials = edge.denial_log();
        let mut proxy = http_proxy(&inner.configuration, edge);
        proxy.server_options = Some(options);
        // With Pingora's limits of streams and header lists.
        let mut http2 = default_h2_options();
        http2.max_send_buffer_size(HTTP2_SEND_BUFFER_BYTES);
        proxy.h2_options = Some(http2);
        let connections = ConnectionHandler::new(proxy, limiter, settings.clone(), tls);
        let mut service = Service::new("edge".to_owned(), connections);
        // Pingora's socket buffers are as small as can be, as thousands of connections are idle
        // between two segments: `Connection` buffers requests and responses only while there are
        // any.
        let buffers = L4BufferSettings::new(64, 64);
        service.set_connection_filter(Arc::new(SequentialAcceptFilter));
        service.add_listener(ListenerConfig::tcp(config.listen.to_string()).l4_buffer(buffers));
        inner.add_service(service);
        let mut service = Service::new("admin".to_owned(), admin);
        service.add_tcp(&config.admin.to_string());
        service.threads = Some(1);
        inner.add_service(service);
        let drain_waiter = DrainWaiter { metrics: signals.metrics.clone(), tasks: tasks.clone() };
        inner.add_service(background_service("drain", drain_waiter));
        let settings_handle =
            SettingsHandle { settings, denials, certificate: certificate.clone() };
        let mut server = Self { inner, signals, tasks, settings_handle };
        server.add_background_task("audience", 1, |stop| async move {
            tokio::select! {
                () = viewers.run_feedback_loop() => {}
                () = events.watch_store(store) => {}
                () = stop => {}
            }
        });
        if let Some(certificate) = certificate {
            server.add_background_task("certificate", 1, |stop| async move {
                tokio::select! {
                    () = certificate.reload_on_change() => {}
                    () = stop => {}
                }
            });
        }
        Ok(server)
    }

    /// For other settings while the edge runs.
    pub fn settings_handle(&self) -> SettingsHandle {
        self.settings_handle.clone()
    }

    /// Runs `task` beside the edge on `threads` threads of its own. `task` gets a future that
    /// resolves when the process stops.
    pub fn add_background_task<F, T>(&mut self, name: &str, threads: usize, task: F)
    where
        F: FnOnce(StopFuture) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let start: BackgroundTask = Box::new(|stop| Box::pin(task(stop)));
        self.tasks.running.send_modify(|running| *running += 1);
        let (start, tasks) = (Mutex::new(Some(start)), self.tasks.clone());
        let mut service = background_service(name, BackgroundTaskService { start, tasks });
        service.threads = Some(threads);
        self.inner.add_service(service);
    }

    /// Serves until SIGTERM or SIGINT.
    ///
    /// # Panics
    /// A listener's address cannot be bound.
    pub fn run(self) {
        self.inner.run(RunArgs { shutdown_signal: Box::new(self.signals) });
    }
}

/// Resolves when the process stops.
pub type StopFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type BackgroundTask =
    Box<dyn FnOnce(StopFuture) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The tasks that run beside the edge. Pingora ends the process without waiting for them.
#[derive(Clone, Default)]
struct BackgroundTasks {
    stopping: Arc<watch::Sender<bool>>,
    running: Arc<watch::Sender<usize>>,
}

impl BackgroundTasks {
    /// Stops the tasks and waits until they have ended.
    async fn stop(&self) {
        self.stopping.send_replace(true);
        let mut running = self.running.subscribe();
        // Waiting fails only when the sender is dropped, and `self` holds it.
        let ended = tokio::time::timeout(TASKS_END_TIMEOUT, running.wait_for(|count| *count == 0));
        if ended.await.is_err() {
            let seconds = TASKS_END_TIMEOUT.as_secs();
            tracing::warn!(seconds, "not all has been saved: something has not ended in time");
        }
    }
}

struct BackgroundTaskService {
    start: Mutex<Option<BackgroundTask>>,
    tasks: BackgroundTasks,
}

#[async_trait]
impl BackgroundService for BackgroundTaskService {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let start = self.start.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(start) = start else { return };
        let mut stopping = self.tasks.stopping.subscribe();
        let stop = Box::pin(async move {
            // Waiting fails when the server is dropped, which is a stop as well.
            tokio::select! {
                _ = shutdown.wait_for(|stopping| *stopping) => {}
                _ = stopping.wait_for(|stopping| *stopping) => {}
            }
        });
        start(stop).await;
        self.tasks.running.send_modify(|running| *running -= 1);
    }
}

/// SIGTERM drains: the edge is unready first, but serves; then its listeners close, and the process
/// ends with its last request in flight. SIGINT comes from a terminal and stops the process at
/// once. In every case the tasks beside the edge end first, as they save what they know.
struct ShutdownSignals {
    drain_signal: DrainSignal,
    metrics: Metrics,
    drain_timeout: Duration,
    tasks: BackgroundTasks,
}

#[async_trait]
impl ShutdownSignalWatch for ShutdownSignals {
    async fn recv(&self) -> ShutdownSignal {
        let signal = self.wait_for_signal().await;
        if let ShutdownSignal::FastShutdown = signal {
            self.tasks.stop().await;
        }
        signal
    }
}

impl ShutdownSignals {
    async fn wait_for_signal(&self) -> ShutdownSignal {
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
        tracing::info!(running = self.metrics.requests_in_flight.get(), "draining");
        self.drain_signal.start_drain();
        if self.drain_timeout < Duration::from_secs(1) {
            return ShutdownSignal::FastShutdown;
        }
        tokio::select! {
            // A load balancer probes /readyz every few seconds and must see it fail before the
            // listeners close.
            () = tokio::time::sleep(UNREADY_GRACE_PERIOD.min(self.drain_timeout / 4)) => ShutdownSignal::GracefulTerminate,
            _ = interrupt.recv() => ShutdownSignal::FastShutdown,
        }
    }
}

/// How long an unready edge accepts connections before its listeners close.
const UNREADY_GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Ends a draining process with its last request in flight: Pingora sleeps through its whole grace
/// period even when there is none.
struct DrainWaiter {
    metrics: Metrics,
    tasks: BackgroundTasks,
}

#[async_trait]
impl BackgroundService for DrainWaiter {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // Waiting fails when the server is dropped, which is a stop as well.
        let _ = shutdown.wait_for(|stopping| *stopping).await;
        self.wait_until_idle().await;
        self.tasks.stop().await;
        std::process::exit(0);
    }
}

impl DrainWaiter {
    async fn wait_until_idle(&self) {
        // Idle is two ticks in a row without a request, as one may be between the listener and its
        // first phase, in which it is counted.
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        let mut idle_ticks = 0;
        while idle_ticks < 2 {
            ticks.tick().await;
            idle_ticks = if self.metrics.requests_in_flight.get() > 0 { 0 } else { idle_ticks + 1 };
        }
    }
}
