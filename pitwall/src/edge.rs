//! `pitwall proxy`: an edge, and nothing else. Its map comes through Redis, commands go to a control
//! plane.

use std::net::SocketAddr;
use std::path::Path;

use pitwall_proxy::config::EdgeConfig;
use pitwall_proxy::server::CannotListen;
use pitwall_proxy::{Edge, OpenApi, Server};
use prometheus::Registry;

use crate::cli::say;
use crate::config::{Config, Invalid};
use crate::secret::{self, Purpose};
use crate::store::{AnyStore, follow_beside};
use crate::{control, descriptors};

pub(crate) fn proxy(path: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut config = Config::load(path)?;
    config.store.shared("proxy")?;
    config.edge.listen = listen.unwrap_or(config.edge.listen);
    let url = url(&config.edge);
    config.separate_edge()?;
    descriptors::fit(&mut config.edge);
    config.report_state();
    let (registry, edge_config) = (Registry::new(), self::config(&config));
    let purpose = Purpose::Start;
    let keys = secret::seal_keys(&config.access, &config.state.dir, &config.origins, purpose)?;
    let token = secret::admin_token(&config.access, &config.origins)?;
    let access = secret::access(&config.access, &config.origins)?;
    listens(&config, purpose)?;
    let places = Places::of(&config);
    let store = AnyStore::open(config.store, &keys, &config.state.dir, |_| true, &registry)?;
    let openapi = OpenApi::with(pitwall_control_plane::openapi())?;
    let edge = Edge::new(&edge_config, keys.sealer(), access, store.store(), openapi, &registry)?;
    let mut server = Server::new(&edge_config.edge, edge, registry, token.edge())
        .map_err(|error| places.invalid(&error))?;
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

/// Can the edge's addresses be listened on?
pub(crate) fn listens(config: &Config, purpose: Purpose) -> Result<(), Invalid> {
    for (key, address) in [("edge.listen", config.edge.listen), ("edge.admin", config.edge.admin)] {
        control::listener(key, address, &config.origins, purpose)?;
    }
    Ok(())
}

/// Where the keys stand that a server is made of, once the configuration is used up.
pub(crate) struct Places(Option<(std::path::PathBuf, [Invalid; 2])>);

impl Places {
    pub(crate) fn of(config: &Config) -> Self {
        let tls = config.edge.tls.as_ref();
        Self(tls.map(|tls| {
            let at = |key| config.origins.invalid(key, "");
            (tls.key.clone(), [at("edge.tls.cert"), at("edge.tls.key")])
        }))
    }

    pub(crate) fn invalid(self, error: &CannotListen) -> Invalid {
        let text = error.to_string();
        let Some((key, [of_cert, of_key])) = self.0 else { return Invalid::new("edge", text) };
        let text = text.strip_prefix("edge.tls: ").unwrap_or(&text).to_owned();
        let of = if text.starts_with(&format!("{}:", key.display())) { of_key } else { of_cert };
        of.with(text)
    }
}

/// Where it listens, for people.
pub(crate) fn url(edge: &EdgeConfig) -> String {
    let scheme = if edge.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", edge.listen)
}
