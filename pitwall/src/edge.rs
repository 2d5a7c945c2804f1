//! `pitwall proxy`: an edge in a process of its own. It reads the map from Redis and forwards
//! commands to a control plane.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use pitwall_fetch::OwnListeners;
use pitwall_proxy::config::EdgeConfig;
use pitwall_proxy::{
    DrainReason, Edge, EdgeListeners, EdgeSecrets, OpenApi, ProcessControls, ReloadRequestSender,
    Server,
};
use pitwall_upstream_map::{StateDirectory, Store};
use prometheus::Registry;
use tokio::sync::mpsc;

use crate::config::{Config, ConfigError};
use crate::handover::{Handover, HandoverParts, Startup};
use crate::reload::{ConfigLoader, ReloadBaseline, ReloadSetup, ReloadTask, RunningParts};
use crate::secret::{self, StartMode};
use crate::signals::Signals;
use crate::store::{AnyStore, add_follower_service};
use crate::terminal::print_text;
use crate::{file_descriptors, logging, process_metrics, settings};

pub(crate) fn run(
    path: &Path,
    listen: Option<SocketAddr>,
    Signals { hangups, upgrades }: Signals,
) -> anyhow::Result<()> {
    let mut startup = Startup::begin()?;
    let path = path.to_owned();
    let load: ConfigLoader = Box::new(move || {
        let mut config = Config::load(&path)?;
        config.store.require_shared("proxy")?;
        config.edge.listen = listen.unwrap_or(config.edge.listen);
        config.reject_edge_listener_collisions()?;
        Ok(config)
    });
    let mut config = load()?;
    logging::configure(&config.log);
    let url = listen_url(&config.edge);
    file_descriptors::fit_connection_limit(&mut config.edge);
    config.log_state_problems();
    let (registry, edge_config) = (Registry::new(), settings::proxy_config(&config));
    process_metrics::register(&registry)?;
    let mode = StartMode::Start;
    let keys =
        secret::load_seal_keys(&config.access, &config.state.dir, &config.key_locations, mode)?;
    let token = secret::load_admin_token(&config.access, &config.key_locations)?;
    let access = secret::load_access(&config.access, &config.key_locations)?;
    let state = startup.claim_state(&config.state.dir, &config.key_locations)?;
    let sockets = EdgeSockets::listen(&config, &mut startup)?;
    let tls_locations = settings::TlsSettingLocations::of(&config);
    let baseline = ReloadBaseline::of(&config)?;
    let own_listeners = config.own_listeners();
    let store = AnyStore::open(config.store, &keys, &state, |_| true, false, &registry)?;
    let secrets = EdgeSecrets { sealer: keys.sealer(), access, admin_token: token.edge_token() };
    let announcement = startup.announcement(store.to_dyn_store());
    let listeners = sockets.announced_by(announcement.announce());
    let edge = EdgeAssembly { config: &edge_config, own_listeners, tls_locations, listeners };
    let (reload_requests, requests) = mpsc::channel(1);
    let mut server =
        edge.assemble_server(secrets, store.to_dyn_store(), &registry, reload_requests)?;
    let parts = RunningParts { edge: Some(server.settings_handle()), control: None };
    let setup = ReloadSetup { load, hangups };
    let reload = ReloadTask::new(setup, &baseline, parts, requests, &registry)?;
    server.add_background_task("reload", 1, |stop| reload.run(stop));
    #[cfg(feature = "otlp")]
    crate::otlp::flush_at_stop(&mut server);
    let handover = StateHandover { upgrades, store: store.to_dyn_store(), state };
    handover.add_to_server(startup, &mut server, &registry)?;
    if let AnyStore::Redis(store) = store {
        add_follower_service(store, &mut server);
    }
    print_text(&format!("The edge is on {url}"));
    server.run();
    Ok(())
}

/// The sockets of an edge.
pub(crate) struct EdgeSockets {
    public: TcpListener,
    admin: TcpListener,
}

impl EdgeSockets {
    /// # Errors
    /// An address cannot be listened on.
    pub(crate) fn listen(config: &Config, startup: &mut Startup) -> Result<Self, ConfigError> {
        let locations = &config.key_locations;
        Ok(Self {
            public: startup.listen("edge.listen", config.edge.listen, locations)?,
            admin: startup.listen("edge.admin", config.edge.admin, locations)?,
        })
    }

    /// `announcement`: what precedes the first connection.
    pub(crate) fn announced_by(
        self,
        announcement: impl Future<Output = ()> + Send + 'static,
    ) -> EdgeListeners {
        let Self { public, admin } = self;
        EdgeListeners { public, admin, before_listening: Box::pin(announcement) }
    }
}

/// What an edge hands over to a successor, beside its sockets.
pub(crate) struct StateHandover {
    pub(crate) upgrades: mpsc::Receiver<()>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) state: StateDirectory,
}

impl StateHandover {
    /// # Errors
    /// A metric is registered already, or the executable cannot be found.
    pub(crate) fn add_to_server(
        self,
        startup: Startup,
        server: &mut Server,
        registry: &Registry,
    ) -> anyhow::Result<()> {
        let Self { upgrades, store, state } = self;
        let (drain_signal, draining) = (server.drain_signal(), server.drain_signal());
        let make_way = Box::new(move || drain_signal.start_drain(DrainReason::HandOver));
        let parts = HandoverParts { upgrades, store, state, make_way };
        let handover = Handover::new(startup, parts, registry)?;
        server.add_background_task("hand-over", 1, |stop| {
            handover.run(async move {
                // A process that was told to stop has no successor.
                tokio::select! {
                    _ = draining.wait_until_draining() => {}
                    () = stop => {}
                }
            })
        });
        Ok(())
    }
}

/// What the server of an edge is made from, besides its secrets and its store.
pub(crate) struct EdgeAssembly<'a> {
    pub(crate) config: &'a pitwall_proxy::Config,
    pub(crate) own_listeners: OwnListeners,
    pub(crate) tls_locations: settings::TlsSettingLocations,
    pub(crate) listeners: EdgeListeners,
}

impl EdgeAssembly<'_> {
    /// # Errors
    /// A metric is registered already, or the certificate cannot be used.
    pub(crate) fn assemble_server(
        self,
        secrets: EdgeSecrets,
        store: Arc<dyn Store>,
        registry: &Registry,
        reload_requests: ReloadRequestSender,
    ) -> anyhow::Result<Server> {
        let config = &self.config.edge;
        let openapi =
            OpenApi::with_commands(pitwall_control_plane::openapi(), &config.public_path())?;
        let edge = Edge::new(self.config, secrets, store, openapi, self.own_listeners, registry)?;
        let admin = ProcessControls { reload_requests, log_filter: logging::log_filter_handle() };
        let server = Server::new(config, edge, registry.clone(), admin, self.listeners);
        Ok(server.map_err(|error| self.tls_locations.config_error(&error))?)
    }
}

/// The URL of the edge's public listener, to print.
pub(crate) fn listen_url(edge: &EdgeConfig) -> String {
    let scheme = if edge.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", edge.listen)
}
