//! Edge and control plane in one process.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use pitwall_origin::{Origin, OriginConfig};
use pitwall_proxy::{Edge, OpenApi, Server};
use pitwall_upstream_map::{MemoryStore, Store};
use prometheus::Registry;

use crate::cli::say;
use crate::config::Config;
use crate::secret::{self, Purpose, SealKeys};
use crate::store::AnyStore;
use crate::{control, descriptors, edge};

const DEMO: &str = include_str!("../../conf/demo.toml");

/// The origin's address as conf/demo.toml writes it; the demo puts the real one in its place.
const DEMO_ORIGIN: &str = "127.0.0.1:9000";

pub(crate) fn run(path: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut config = Config::load(path)?;
    config.edge.listen = listen.unwrap_or(config.edge.listen);
    let url = edge::url(&config.edge);
    let server = assemble(config, Purpose::Start)?;
    say(&format!("Pitwall is on {url}"));
    server.run();
    Ok(())
}

pub(crate) fn demo(listen: Option<SocketAddr>, token_ttl: u64) -> anyhow::Result<()> {
    let origin = free_listener()?;
    let address = origin.local_addr()?;
    let text = DEMO.replace(DEMO_ORIGIN, &address.to_string());
    let mut config = Config::parse("conf/demo.toml", &text, [])?;
    // What the last demo's origin told is worth nothing to the next.
    let state = tempfile::tempdir().context("cannot make a state directory")?;
    config.state.dir = state.path().to_owned();
    config.edge.listen = listen.unwrap_or(config.edge.listen);
    config.edge.admin = free_listener()?.local_addr()?;
    // Nobody balances load over a demo.
    config.edge.drain = Duration::ZERO;
    let url = format!("http://{}", config.edge.listen);
    let store = MemoryStore::new();
    let keys =
        secret::seal_keys(&config.access, &config.state.dir, &config.origins, Purpose::Start)?;
    let any = AnyStore::Memory(store.clone());
    let mut server = assemble_on(&any, config, &keys, Registry::new(), Purpose::Start)?;
    server.add_background("origin", 1, move |stop| async move {
        if let Err(error) = serve_origin(origin, token_ttl, stop).await {
            crate::cli::complain(&error);
        }
    });
    server.add_background("greeting", 1, move |stop| async move {
        let mut changes = store.changes();
        let playing = async {
            while store.current().streams.is_empty() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            say(&format!("A session is live: {url}\nCtrl-C ends it."));
        };
        tokio::select! {
            () = playing => {}
            () = stop => {}
        }
    });
    server.run();
    drop(state);
    Ok(())
}

pub(crate) fn origin(listen: SocketAddr, token_ttl: u64) -> anyhow::Result<()> {
    descriptors::raise();
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    say(&format!("The origin is on http://{}", listener.local_addr()?));
    runtime.block_on(async {
        let stop = async {
            // Without a signal handler there is only SIGKILL, which needs no help.
            let _ = tokio::signal::ctrl_c().await;
        };
        serve_origin(listener, token_ttl, stop).await
    })
}

/// All that runs, opened and read but not started. A check does the same, so that it finds whatever
/// a start would be refused for.
pub(crate) fn assemble(config: Config, purpose: Purpose) -> anyhow::Result<Server> {
    let keys = secret::seal_keys(&config.access, &config.state.dir, &config.origins, purpose)?;
    let registry = Registry::new();
    match purpose {
        Purpose::Check => config.separate_any()?,
        Purpose::Start => {
            config.separate_all()?;
            config.report_flaws();
        }
    }
    let is_source = |name: &str| config.sources.iter().any(|source| source.name == name);
    let store =
        AnyStore::open(config.store.clone(), &keys, &config.state.dir, is_source, &registry)?;
    assemble_on(&store, config, &keys, registry, purpose)
}

fn assemble_on(
    store: &AnyStore,
    mut config: Config,
    keys: &SealKeys,
    registry: Registry,
    purpose: Purpose,
) -> anyhow::Result<Server> {
    if purpose == Purpose::Start {
        descriptors::fit(&mut config.edge);
    }
    let token = secret::admin_token(&config.access, &config.origins)?;
    let access = secret::access(&config.access, &config.origins)?;
    edge::listens(&config, purpose)?;
    let listeners = control::Listeners {
        commands: match config.control.listen {
            Some(address) => {
                control::listener("control.listen", address, &config.origins, purpose)?
            }
            None => free_listener()?,
        },
        admin: control::admin_listener(&config, purpose)?,
    };
    let (mut edge_config, listens) = (edge::config(&config), listeners.commands.local_addr()?);
    edge_config.edge.control = vec![listens];
    let place = config.control.place(listens);
    let edge_origins = edge::Places::of(&config);
    let control = control::Control::new(config, store.store(), listeners, &token, &registry)?;
    let openapi = OpenApi::with(pitwall_control_plane::openapi())?;
    let edge = Edge::new(&edge_config, keys.sealer(), access, store.store(), openapi, &registry)?;
    let mut server = Server::new(&edge_config.edge, edge, registry, token.edge())
        .map_err(|error| edge_origins.invalid(&error))?;
    store.run_beside(place, &mut server);
    control.run_beside(&mut server);
    Ok(server)
}

async fn serve_origin(
    listener: TcpListener,
    token_ttl: u64,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let config =
        OriginConfig { token_ttl: Duration::from_secs(token_ttl), ..OriginConfig::default() };
    Origin::new(config).serve(listener, stop).await.context("the origin failed")
}

pub(crate) fn free_listener() -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).context("no port is free")
}
