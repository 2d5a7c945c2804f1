//! `pitwall proxy`: an edge in a process of its own. It reads the map from Redis and forwards
//! commands to a control plane.

use std::net::SocketAddr;
use std::path::Path;

use pitwall_proxy::config::EdgeConfig;
use pitwall_proxy::server::ListenError;
use pitwall_proxy::{Edge, OpenApi, Server};
use prometheus::Registry;

use crate::config::{Config, ConfigError};
use crate::secret::{self, StartMode};
use crate::store::{AnyStore, add_follower_service};
use crate::terminal::print_text;
use crate::{control_plane, file_descriptors, logging, process_metrics};

pub(crate) fn run(path: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut config = Config::load(path)?;
    logging::configure(&config.log);
    config.store.require_shared("proxy")?;
    config.edge.listen = listen.unwrap_or(config.edge.listen);
    let url = listen_url(&config.edge);
    config.reject_edge_listener_collisions()?;
    file_descriptors::fit_connection_limit(&mut config.edge);
    config.log_state_problems();
    let (registry, edge_config) = (Registry::new(), self::proxy_config(&config));
    process_metrics::register(&registry)?;
    let mode = StartMode::Start;
    let keys =
        secret::load_seal_keys(&config.access, &config.state.dir, &config.key_locations, mode)?;
    let token = secret::load_admin_token(&config.access, &config.key_locations)?;
    let access = secret::load_access(&config.access, &config.key_locations)?;
    ensure_listenable(&config, mode)?;
    let tls_locations = TlsKeyLocations::of(&config);
    let own_listeners = config.own_listeners();
    let store = AnyStore::open(config.store, &keys, &config.state.dir, |_| true, &registry)?;
    let public_path = edge_config.edge.public_path();
    let openapi = OpenApi::with_commands(pitwall_control_plane::openapi(), &public_path)?;
    let edge = Edge::new(
        &edge_config,
        keys.sealer(),
        access,
        store.to_dyn_store(),
        openapi,
        own_listeners,
        &registry,
    )?;
    let mut server =
        Server::new(&edge_config.edge, edge, registry, token.edge_token(), logging::filter())
            .map_err(|error| tls_locations.config_error(&error))?;
    #[cfg(feature = "otlp")]
    crate::otlp::flush_at_stop(&mut server);
    if let AnyStore::Redis(store) = store {
        add_follower_service(store, &mut server);
    }
    print_text(&format!("The edge is on {url}"));
    server.run();
    Ok(())
}

/// The sections that configure the edge.
pub(crate) fn proxy_config(config: &Config) -> pitwall_proxy::Config {
    pitwall_proxy::Config {
        edge: config.edge.clone(),
        access: config.access.clone(),
        upstream: config.upstream.clone(),
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

/// The locations of the keys in `[edge.tls]`, for errors that occur after the configuration was
/// consumed. Holds the key file's path and a template error for `cert` and for `key`; `None`
/// without TLS.
pub(crate) struct TlsKeyLocations(Option<(std::path::PathBuf, [ConfigError; 2])>);

impl TlsKeyLocations {
    pub(crate) fn of(config: &Config) -> Self {
        let tls = config.edge.tls.as_ref();
        Self(tls.map(|tls| {
            let error_for = |key| config.key_locations.error_for_key(key, "");
            (tls.key.clone(), [error_for("edge.tls.cert"), error_for("edge.tls.key")])
        }))
    }

    /// The error with the location of the key that it is about.
    pub(crate) fn config_error(self, error: &ListenError) -> ConfigError {
        let text = error.to_string();
        let Some((key, [cert_error, key_error])) = self.0 else {
            return ConfigError::new("edge", text);
        };
        let text = text.strip_prefix("edge.tls: ").unwrap_or(&text).to_owned();
        let is_about_key = text.starts_with(&format!("{}:", key.display()));
        let error = if is_about_key { key_error } else { cert_error };
        error.with_message(text)
    }
}

/// The URL of the edge's public listener, to print.
pub(crate) fn listen_url(edge: &EdgeConfig) -> String {
    let scheme = if edge.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", edge.listen)
}
