//! Edge and control plane in one process, on an embedded store.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use pitwall_control_plane::{self as control, ControlPlane, SetupError, Site, serve_admin};
use pitwall_fetch::Fetcher;
use pitwall_origin::{Origin, OriginConfig};
use pitwall_proxy::{Edge, OpenApi, Server};
use pitwall_upstream_map::{MemoryStore, Store};
use prometheus::Registry;

use crate::cli::say;
use crate::config::{Config, Invalid};
use crate::secret;

const DEMO: &str = include_str!("../../conf/demo.toml");

/// The origin's address as conf/demo.toml writes it; the demo puts the real one in its place.
const DEMO_ORIGIN: &str = "127.0.0.1:9000";

/// Two threads are plenty for polling and checking, and leave the rest to viewers.
const CONTROL_THREADS: usize = 2;

pub(crate) fn run(path: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut config = Config::load(path)?;
    config.edge.listen = listen.unwrap_or(config.edge.listen);
    let scheme = if config.edge.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", config.edge.listen);
    let server = assemble(config)?;
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
    let mut server = assemble_on(store.clone(), config)?;
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

fn assemble(config: Config) -> anyhow::Result<Server> {
    assemble_on(MemoryStore::new(), config)
}

fn assemble_on(store: Arc<MemoryStore>, config: Config) -> anyhow::Result<Server> {
    let sealer = secret::seal_keys(&config.access, &config.state.dir)?.sealer();
    let registry = Registry::new();
    let store: Arc<dyn Store> = store;
    let token = secret::admin_token(&config.access)?;
    let Config { edge, access, upstream, state, schedule, sources, .. } = config;
    let Config { extract, rank, control, webhooks, .. } = config;
    let mut edge_config = pitwall_proxy::Config { edge, access, upstream };
    let commands_listener = match control.listen {
        Some(address) => listener("control.listen", address)?,
        None => free_listener()?,
    };
    edge_config.edge.control = commands_listener.local_addr()?;
    let admin = control.admin.map(|address| listener("control.admin", address)).transpose()?;
    let mut own =
        vec![edge_config.edge.listen, edge_config.edge.admin, commands_listener.local_addr()?];
    own.extend(control.admin);
    let control = control::Config {
        schedule,
        sources,
        extract,
        state_dir: state.dir,
        check_every: control::Config::CHECK_EVERY,
        site: Site::new(edge_config.edge.site()),
        rank,
        webhooks,
    };
    let fetcher = Arc::new(Fetcher::new(edge_config.upstream.timeouts.into(), own));
    let control_plane =
        ControlPlane::new(control, fetcher, store.clone(), &registry).map_err(setup_error)?;
    let commands = control_plane.commands(token.commands()?);
    let openapi = OpenApi::with(control::openapi())?;
    let edge = Edge::new(&edge_config, sealer, store.clone(), openapi, &registry)?;
    let (store_for_admin, registry_for_admin) = (store, registry.clone());
    let mut server = Server::new(&edge_config.edge, edge, registry, token.edge())
        .map_err(|error| Invalid::new("edge", error))?;
    server.add_background("control plane", CONTROL_THREADS, |stop| control_plane.run(stop));
    server.add_background("commands", 1, |stop| async move {
        served(commands.serve(commands_listener, stop).await);
    });
    if let Some(admin) = admin {
        let (store, registry) = (store_for_admin, registry_for_admin);
        server.add_background("control admin", 1, |stop| async move {
            served(serve_admin(admin, registry, store, stop).await);
        });
    }
    Ok(server)
}

/// A file that was changed after it was checked is still the operator's.
fn setup_error(error: SetupError) -> anyhow::Error {
    match error {
        SetupError::Override(error) => Invalid::from(error).into(),
        SetupError::Webhook(error) => {
            Invalid::new(format!("webhook {:?}", error.name), error.why).into()
        }
        other => other.into(),
    }
}

fn served(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        crate::cli::complain(&anyhow::Error::new(error).context("commands"));
    }
}

fn listener(key: &str, address: SocketAddr) -> Result<TcpListener, Invalid> {
    TcpListener::bind(address).map_err(|error| Invalid::new(key, format!("{address}: {error}")))
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

fn free_listener() -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).context("no port is free")
}
