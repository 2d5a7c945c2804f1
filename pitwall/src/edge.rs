//! `pitwall proxy`: an edge, and nothing else. Its map comes through Redis, commands go to a control
//! plane.

use std::net::SocketAddr;
use std::path::Path;

use pitwall_proxy::config::EdgeConfig;
use pitwall_proxy::{Edge, OpenApi, Server};
use prometheus::Registry;

use crate::cli::say;
use crate::config::{Config, Invalid};
use crate::secret;
use crate::store::{AnyStore, follow_beside};

pub(crate) fn proxy(path: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut config = Config::load(path)?;
    config.store.shared("proxy")?;
    config.edge.listen = listen.unwrap_or(config.edge.listen);
    let url = url(&config.edge);
    let (registry, edge_config) = (Registry::new(), self::config(&config));
    let keys = secret::seal_keys(&config.access, &config.state.dir)?;
    let token = secret::admin_token(&config.access)?;
    let access = secret::access(&config.access)?;
    let store = AnyStore::open(config.store, &keys, &config.state.dir, &registry)?;
    let openapi = OpenApi::with(pitwall_control_plane::openapi())?;
    let edge = Edge::new(&edge_config, keys.sealer(), access, store.store(), openapi, &registry)?;
    let mut server = Server::new(&edge_config.edge, edge, registry, token.edge())
        .map_err(|error| Invalid::new("edge", error))?;
    if let AnyStore::Redis(store) = store {
        follow_beside(store, &mut server);
    }
    say(&format!("The edge is on {url}"));
    server.run();
    Ok(())
}

pub(crate) fn config(config: &Config) -> pitwall_proxy::Config {
    pitwall_proxy::Config {
        edge: config.edge.clone(),
        access: config.access.clone(),
        upstream: config.upstream.clone(),
    }
}

/// Where it listens, for people.
pub(crate) fn url(edge: &EdgeConfig) -> String {
    let scheme = if edge.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", edge.listen)
}
