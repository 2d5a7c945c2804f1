//! [`Server`]: the edge's listeners, its background tasks, and its shutdown.

mod application;
mod background_tasks;
pub mod connection;
pub mod file_descriptors;
mod listening;
mod shutdown;
pub mod tls;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pingora::listeners::L4BufferSettings;
use pingora::server::RunArgs;
use pingora::server::configuration::ServerConf;
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use prometheus::Registry;

use self::application::EdgeApplication;
use self::background_tasks::BackgroundTasks;
pub use self::background_tasks::{StopFuture, TaskEnd};
pub use self::listening::BeforeListening;
use self::listening::{ListeningService, SequentialAcceptFilter};
use self::shutdown::{Drain, DrainWaiter, ShutdownSignals};
use crate::admin::{AdminService, ProcessControls};
use crate::config::{Config, EdgeConfig};
use crate::drain::DrainSignal;
use crate::edge::Edge;
use crate::edge_settings::{CurrentSettings, EdgeSettings};
use crate::http::access::AccessControl;
use crate::http::admin_token::AdminToken;
use crate::server::connection::ConnectionHandler;
use crate::server::tls::{Certificate, CertificateError, LoadedCertificate};
use crate::upstream::denials::DenialLog;

/// How much later than a drain has to end Pingora ends the process, should the drain not do it.
const DRAIN_BACKSTOP: Duration = Duration::from_secs(10);

/// The sockets of an edge, on which it accepts nothing before it runs.
pub struct EdgeListeners {
    pub public: TcpListener,
    pub admin: TcpListener,
    /// What has to be done before viewers are accepted.
    pub before_listening: BeforeListening,
}

/// The edge on its listeners, with the tasks that run beside it.
pub struct Server {
    inner: pingora::server::Server,
    drain: Drain,
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
    #[error("the sockets cannot be used: {0}")]
    Socket(#[from] std::io::Error),
}

impl Server {
    /// Sets up the listeners and background tasks.
    ///
    /// # Errors
    /// The certificate of `[edge.tls]`, or a socket, cannot be used, or the gauge of the certificate is
    /// registered already.
    pub fn new(
        config: &EdgeConfig,
        edge: Edge,
        registry: Registry,
        admin_tools: ProcessControls,
        listeners: EdgeListeners,
    ) -> Result<Self, ListenError> {
        listeners.public.set_nonblocking(true)?;
        listeners.admin.set_nonblocking(true)?;
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let conf = ServerConf {
            threads,
            work_stealing: true,
            // Counts from when the listeners are closed; the drain task ends the process earlier.
            grace_period_seconds: Some(
                config.drain.max(config.upgrade_drain).saturating_add(DRAIN_BACKSTOP).as_secs(),
            ),
            graceful_shutdown_timeout_seconds: Some(1),
            ..ServerConf::default()
        };
        let mut inner = pingora::server::Server::new_with_opt_and_conf(None, conf);
        inner.bootstrap();
        let loaded = config.tls.as_ref().map(LoadedCertificate::load).transpose()?;
        let certificate = loaded.map(|loaded| Certificate::new(loaded, &registry)).transpose()?;
        let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let drain = Drain {
            signal: edge.drain_signal(),
            metrics: edge.metrics().clone(),
            limiter: edge.client_limiter(),
            tasks: BackgroundTasks::default(),
            accept_filter: SequentialAcceptFilter::default(),
            stop_timeout: config.drain,
            hand_over_timeout: config.upgrade_drain,
        };
        let admin = AdminService {
            state: edge.state().clone(),
            registry,
            drain_signal: edge.drain_signal(),
            tools: admin_tools,
        };
        let (viewers, events) = (edge.state().viewers.clone(), edge.event_broadcaster());
        let store = edge.state().store.clone();
        let (limiter, settings) = (edge.client_limiter(), edge.state().settings.clone());
        let denials = edge.denial_log();
        let application = EdgeApplication::new(edge);
        let connections = ConnectionHandler::new(application, limiter, settings.clone(), tls);
        let mut service = Service::new("edge".to_owned(), connections);
        // Pingora's socket buffers are as small as can be, as thousands of connections are idle
        // between two segments: `Connection` buffers requests and responses only while there are
        // any.
        let buffers = L4BufferSettings::new(64, 64);
        service.set_connection_filter(Arc::new(drain.accept_filter.clone()));
        let service = ListeningService::new(service, listeners.public, buffers)
            .before_listening(listeners.before_listening);
        inner.add_service(service);
        let mut service = Service::new("admin".to_owned(), admin);
        service.threads = Some(1);
        let buffers = L4BufferSettings::default();
        inner.add_service(ListeningService::new(service, listeners.admin, buffers));
        inner.add_service(background_service("drain", DrainWaiter(drain.clone())));
        let settings_handle =
            SettingsHandle { settings, denials, certificate: certificate.clone() };
        let mut server = Self { inner, drain, settings_handle };
        server.add_task_until(TaskEnd::LastViewer, "audience", 1, |stop| async move {
            tokio::select! {
                () = viewers.run_feedback_loop() => {}
                () = events.watch_store(store) => {}
                () = stop => {}
            }
        });
        if let Some(certificate) = certificate {
            server.add_task_until(TaskEnd::LastViewer, "certificate", 1, |stop| async move {
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

    /// The signal with which the edge makes way for a successor.
    pub fn drain_signal(&self) -> DrainSignal {
        self.drain.signal.clone()
    }

    /// Runs `task` beside the edge on `threads` threads of its own, until the process stops or a
    /// successor has taken over. `task` gets a future that resolves then.
    pub fn add_background_task<F, T>(&mut self, name: &str, threads: usize, task: F)
    where
        F: FnOnce(StopFuture) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        self.add_task_until(TaskEnd::HandOver, name, threads, task);
    }

    /// Runs `task` beside the edge, until `end`.
    pub fn add_task_until<F, T>(&mut self, end: TaskEnd, name: &str, threads: usize, task: F)
    where
        F: FnOnce(StopFuture) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let mut service = background_service(name, self.drain.tasks.service(end, task));
        service.threads = Some(threads);
        self.inner.add_service(service);
    }

    /// Serves until SIGTERM, SIGINT or a hand-over.
    pub fn run(self) {
        self.inner.run(RunArgs { shutdown_signal: Box::new(ShutdownSignals(self.drain)) });
    }
}
