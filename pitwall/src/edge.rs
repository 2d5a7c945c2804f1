//! `pitwall proxy`: an edge in a process of its own. It reads the map from Redis and forwards
//! commands to a control plane.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use pitwall_fetch::OwnListeners;
use pitwall_proxy::config::EdgeConfig;
use pitwall_proxy::{Edge, EdgeSecrets, OpenApi, ProcessControls, ReloadRequestSender, Server};
use pitwall_upstream_map::Store;
use prometheus::Registry;
use tokio::sync::mpsc;

use crate::config::{Config, ConfigError};
use crate::reload::{ConfigLoader, ReloadBaseline, ReloadSetup, ReloadTask, RunningParts};
use crate::secret::{self, StartMode};
use crate::store::{AnyStore, add_follower_service};
use crate::terminal::print_text;
use crate::{control_plane, file_descriptors, logging, process_metrics, settings};

pub(crate) fn run(
    path: &Path,
    listen: Option<SocketAddr>,
    hangups: mpsc::Receiver<()>,
) -> anyhow::Result<()> {
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
    ensure_listenable(&config, mode)?;
    let tls_locations = settings::TlsSettingLocations::of(&config);
    let baseline = ReloadBaseline::of(&config)?;
    let own_listeners = config.own_listeners();
    let store = AnyStore::open(config.store, &keys, &config.state.dir, |_| true, false, &registry)?;
    let secrets = EdgeSecrets { sealer: keys.sealer(), access, admin_token: token.edge_token() };
    let edge = EdgeAssembly { config: &edge_config, own_listeners, tls_locations };
    let (reload_requests, requests) = mpsc::channel(1);
    let mut server =
        edge.assemble_server(secrets, store.to_dyn_store(), &registry, reload_requests)?;
    let parts = RunningParts { edge: Some(server.settings_handle()), control: None };
    let setup = ReloadSetup { load, hangups };
    let reload = ReloadTask::new(setup, &baseline, parts, requests, &registry)?;
    server.add_background_task("reload", 1, |stop| reload.run(stop));
    #[cfg(feature = "otlp")]
    crate::otlp::flush_at_stop(&mut server);
    if let AnyStore::Redis(store) = store {
        add_follower_service(store, &mut server);
    }
    print_text(&format!("The edge is on {url}"));
    server.run();
    Ok(())
}

/// What the server of an edge is made from, besides its secrets and its store.
pub(crate) struct EdgeAssembly<'a> {
    pub(crate) config: &'a pitwall_proxy::Config,
    pub(crate) own_listeners: OwnListeners,
    pub(crate) tls_locations: settings::TlsSettingLocations,
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
        let server = Server::new(config, edge, registry.clone(), admin);
        Ok(server.map_err(|error| self.tls_locations.config_error(&error))?)
    }
}

/// Checks that the edge's addresses can be listened on.
///
/// # Errors
/// An address cannot be bound.
pub(crate) fn ensure_listenable(config: &Config, mode: StartMode) -> Result<(), ConfigError> {
    for (key, address) in [("edge.listen", config.edge.listen), ("edge.admin", config.edge.admin)] {
        control_plane::bind_listener(key, address, &config.key_locations, mode)?;
    }
    Ok(())
}

/// The URL of the edge's public listener, to print.
pub(crate) fn listen_url(edge: &EdgeConfig) -> String {
    let scheme = if edge.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", edge.listen)
}
