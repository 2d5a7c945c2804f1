//! The control plane: beside an edge, or in a process of its own (`pitwall control-plane`).

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use pitwall_control_plane::{
    self as control_plane, Commands, ControlPlane, SetupError, Site, serve_admin,
};
use pitwall_fetch::Fetcher;
use pitwall_proxy::Server;
use pitwall_upstream_map::Store;
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::say;
use crate::config::{Config, Invalid, Origins};
use crate::descriptors;
use crate::secret::{self, Purpose, Token};
use crate::store::AnyStore;

/// Two threads are plenty for polling and checking, and leave the rest to viewers.
const THREADS: usize = 2;
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9181);

pub(crate) struct Control {
    plane: ControlPlane,
    commands: Commands,
    listeners: Listeners,
    store: Arc<dyn Store>,
    registry: Registry,
}

pub(crate) struct Listeners {
    pub(crate) commands: TcpListener,
    pub(crate) admin: Option<TcpListener>,
}

pub(crate) fn run(path: &Path) -> anyhow::Result<()> {
    let mut config = Config::load(path)?;
    config.store.shared("control-plane")?;
    config.control.admin.get_or_insert(ADMIN);
    let address = *config.control.listen.get_or_insert(LISTEN);
    config.separate_control()?;
    let purpose = Purpose::Start;
    descriptors::raise();
    config.report_flaws();
    let keys = secret::seal_keys(&config.access, &config.state.dir, &config.origins, purpose)?;
    let token = secret::admin_token(&config.access, &config.origins)?;
    let registry = Registry::new();
    let is_source = |name: &str| config.sources.iter().any(|source| source.name == name);
    let store =
        AnyStore::open(config.store.clone(), &keys, &config.state.dir, is_source, &registry)?;
    let admin = admin_listener(&config, purpose)?;
    let place = config.control.place(address);
    let commands = listener("control.listen", address, &config.origins, purpose)?;
    let listeners = Listeners { commands, admin };
    let control = Control::new(config, store.store(), listeners, &token, &registry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("no threads")?;
    say(&format!("The control plane takes commands on http://{address}"));
    runtime.block_on(control.run_with(store, place))
}

impl Control {
    pub(crate) fn new(
        config: Config,
        store: Arc<dyn Store>,
        listeners: Listeners,
        token: &Token,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let Config { edge, upstream, state, schedule, sources, .. } = config;
        let Config { extract, rank, control, webhooks, origins, .. } = config;
        let hooks: Vec<String> = webhooks.iter().map(|webhook| webhook.name.0.clone()).collect();
        // Nothing of ours is fetched from.
        let mut own = vec![edge.listen, edge.admin, listeners.commands.local_addr()?];
        own.extend(control.admin);
        let config = control_plane::Config {
            schedule,
            sources,
            extract,
            state_dir: state.dir,
            check_every: control_plane::Config::CHECK_EVERY,
            site: Site::new(edge.site()),
            rank,
            webhooks,
        };
        let fetcher = Arc::new(Fetcher::new(upstream.timeouts.into(), own));
        let plane = ControlPlane::new(config, fetcher, store.clone(), registry).map_err(
            |error| match error {
                SetupError::Override(error) => Invalid::from(error).into(),
                SetupError::Webhook(error) => {
                    let n = hooks.iter().position(|name| *name == error.name).unwrap_or_default();
                    let why = format!("{}: {}", error.path.display(), error.why);
                    origins.invalid(&format!("webhook.{n}.secret_file"), why).into()
                }
                other => anyhow::Error::from(other),
            },
        )?;
        let commands = plane.commands(token.commands()?);
        Ok(Self { plane, commands, listeners, store, registry: registry.clone() })
    }

    /// Each on threads of its own, until the server stops.
    pub(crate) fn run_beside(self, server: &mut Server) {
        let Self { plane, commands, listeners, store, registry } = self;
        server.add_background("control plane", THREADS, |stop| plane.run(stop));
        server.add_background("commands", 1, |stop| async move {
            served(commands.serve(listeners.commands, stop).await);
        });
        if let Some(admin) = listeners.admin {
            server.add_background("control admin", 1, |stop| async move {
                served(serve_admin(admin, registry, store, stop).await);
            });
        }
    }

    /// Until the process is told to stop; takes commands at `place`.
    async fn run_with(self, any: AnyStore, place: Option<String>) -> anyhow::Result<()> {
        let Self { plane, commands, listeners, store, registry } = self;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopping = watch::Sender::new(false);
        let stop = || stopped(stopping.subscribe());
        let mut tasks = tokio::task::JoinSet::new();
        if let AnyStore::Redis(redis) = any {
            tasks.spawn(redis.clone().follow(stop()));
            tasks.spawn(redis.lead(place, stop()));
        }
        tasks.spawn(plane.run(stop()));
        let serving = commands.serve(listeners.commands, stop());
        tasks.spawn(async { served(serving.await) });
        if let Some(admin) = listeners.admin {
            let serving = serve_admin(admin, registry, store, stop());
            tasks.spawn(async { served(serving.await) });
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        stopping.send_replace(true);
        while tasks.join_next().await.is_some() {}
        Ok(())
    }
}

fn stopped(mut stopping: watch::Receiver<bool>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        // Whoever would say so being gone is a stop as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    })
}

fn served(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        crate::cli::complain(&anyhow::Error::new(error).context("commands"));
    }
}

/// A check takes another port where this one is taken: most likely by the Pitwall that runs.
pub(crate) fn listener(
    key: &str,
    address: SocketAddr,
    origins: &Origins,
    purpose: Purpose,
) -> Result<TcpListener, Invalid> {
    let listener = match TcpListener::bind(address) {
        Err(error) if purpose == Purpose::Check && error.kind() == ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        }
        listener => listener,
    };
    listener.map_err(|error| origins.invalid(key, format!("cannot listen on {address}: {error}")))
}

pub(crate) fn admin_listener(
    config: &Config,
    purpose: Purpose,
) -> Result<Option<TcpListener>, Invalid> {
    let listener = |address| listener("control.admin", address, &config.origins, purpose);
    config.control.admin.map(listener).transpose()
}
