//! The control plane's tasks and listeners: beside an edge, or in a process of its own
//! (`pitwall control-plane`).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use pitwall_control_plane::{
    AdminEndpointState, CommandServer, ControlPlane, ControlPlaneConfig, PublicUrl, SettingsHandle,
    SetupError, serve_admin,
};
use pitwall_fetch::Fetcher;
use pitwall_proxy::{ReloadRequestSender, Server};
use pitwall_upstream_map::{StateDirectory, Store};
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::config::{Config, ConfigError};
use crate::handover::{Announcement, Handover, HandoverParts, Startup};
use crate::reload::{ConfigLoader, ReloadBaseline, ReloadSetup, ReloadTask, RunningParts};
use crate::secret::{self, AdminToken, StartMode};
use crate::signals::Signals;
use crate::store::AnyStore;
use crate::terminal::print_text;
use crate::{file_descriptors, logging, process_metrics, settings};

/// Threads of the control plane: enough to poll and check sources, and in one process with an edge
/// the other cores are left to viewers.
const WORKER_THREADS: usize = 2;
const DEFAULT_LISTEN_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);
const DEFAULT_ADMIN_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9181);

/// A control plane with its command server and listeners, ready to run.
pub(crate) struct ControlPlaneServer {
    control_plane: ControlPlane,
    commands: CommandServer,
    listeners: ControlListeners,
    endpoints: AdminEndpointState,
}

pub(crate) struct ControlListeners {
    pub(crate) commands: TcpListener,
    pub(crate) admin: Option<TcpListener>,
}

impl ControlListeners {
    /// `commands`: the address at which commands are taken.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub(crate) fn listen(
        config: &Config,
        commands: SocketAddr,
        startup: &mut Startup,
    ) -> Result<Self, ConfigError> {
        let locations = &config.key_locations;
        let admin = config.control.admin;
        Ok(Self {
            commands: startup.listen("control.listen", commands, locations)?,
            admin: admin
                .map(|admin| startup.listen("control.admin", admin, locations))
                .transpose()?,
        })
    }
}

/// The store of a control plane, and where it keeps its own state.
pub(crate) struct StoreAndState {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) state: StateDirectory,
}

/// What runs beside a control plane in a process of its own.
struct ControlTasks {
    reload: ReloadTask,
    handover: Handover,
    /// True once a successor has taken over.
    handed_over: watch::Receiver<bool>,
    announcement: Announcement,
}

pub(crate) fn run(path: &Path, Signals { hangups, upgrades }: Signals) -> anyhow::Result<()> {
    let mut startup = Startup::begin()?;
    let path = path.to_owned();
    let load: ConfigLoader = Box::new(move || {
        let mut config = Config::load(&path)?;
        config.store.require_shared("control-plane")?;
        config.control.admin.get_or_insert(DEFAULT_ADMIN_ADDRESS);
        config.control.listen.get_or_insert(DEFAULT_LISTEN_ADDRESS);
        config.reject_control_listener_collisions()?;
        Ok(config)
    });
    let config = load()?;
    logging::configure(&config.log);
    let address = config.control.listen.unwrap_or(DEFAULT_LISTEN_ADDRESS);
    let mode = StartMode::Start;
    file_descriptors::raise_open_file_limit();
    config.log_problems();
    let keys =
        secret::load_seal_keys(&config.access, &config.state.dir, &config.key_locations, mode)?;
    let token = secret::load_admin_token(&config.access, &config.key_locations)?;
    let registry = Registry::new();
    process_metrics::register(&registry)?;
    let state = startup.claim_state(&config.state.dir, &config.key_locations)?;
    let is_source = |name: &str| config.sources.iter().any(|source| source.name == name);
    let store = AnyStore::open(config.store.clone(), &keys, &state, is_source, false, &registry)?;
    let advertised = config.control.advertised_address(address);
    let listeners = ControlListeners::listen(&config, address, &mut startup)?;
    let baseline = ReloadBaseline::of(&config)?;
    let (reload_requests, requests) = mpsc::channel(1);
    let store_handle = store.to_dyn_store();
    let control = ControlPlaneServer::new(
        config,
        StoreAndState { store: store_handle.clone(), state: state.clone() },
        listeners,
        &token,
        &registry,
        reload_requests,
    )?;
    let parts = RunningParts { control: Some(control.settings_handle()), edge: None };
    let setup = ReloadSetup { load, hangups };
    let reload = ReloadTask::new(setup, &baseline, parts, requests, &registry)?;
    let announcement = startup.announcement(store_handle.clone());
    let make_way = watch::Sender::new(false);
    let handed_over = make_way.subscribe();
    let parts = HandoverParts {
        upgrades,
        store: store_handle,
        state,
        make_way: Box::new(move || {
            make_way.send_replace(true);
        }),
    };
    let handover = Handover::new(startup, parts, &registry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("no threads")?;
    print_text(&format!("The control plane takes commands on http://{address}"));
    let tasks = ControlTasks { reload, handover, handed_over, announcement };
    runtime.block_on(control.run_with_store(store, advertised, tasks))
}

impl ControlPlaneServer {
    pub(crate) fn new(
        mut config: Config,
        StoreAndState { store, state }: StoreAndState,
        listeners: ControlListeners,
        token: &AdminToken,
        registry: &Registry,
        reload_requests: ReloadRequestSender,
    ) -> anyhow::Result<Self> {
        config.control.listen = Some(listeners.commands.local_addr()?);
        let own_listeners = config.own_listeners();
        let fetcher = Arc::new(Fetcher::new(config.upstream.timeouts.into(), own_listeners));
        let extract = config.extract.clone();
        let public_url = PublicUrl::new(config.edge.site_url());
        let config = ControlPlaneConfig {
            settings: settings::control_settings(config, token)?,
            extract,
            state_dir: state,
            check_interval: ControlPlaneConfig::DEFAULT_CHECK_INTERVAL,
            public_url,
        };
        let control_plane = ControlPlane::new(config, fetcher, store.clone(), registry).map_err(
            |error| match error {
                SetupError::Override(error) => ConfigError::from(error).into(),
                other => anyhow::Error::from(other),
            },
        )?;
        let commands = control_plane.command_server(reload_requests.clone());
        let endpoints = AdminEndpointState {
            registry: registry.clone(),
            store,
            admin_token: control_plane.admin_token(),
            reload_requests,
            log_filter: logging::log_filter_handle(),
        };
        Ok(Self { control_plane, commands, listeners, endpoints })
    }

    /// For other settings while the control plane runs.
    pub(crate) fn settings_handle(&self) -> SettingsHandle {
        self.control_plane.settings_handle()
    }

    /// Runs the control plane, its command server and its admin listener beside an edge, each on
    /// threads of its own, until the server stops.
    pub(crate) fn add_background_services(self, server: &mut Server) {
        let Self { control_plane, commands, listeners, endpoints } = self;
        server.add_background_task("control plane", WORKER_THREADS, |stop| control_plane.run(stop));
        server.add_background_task("commands", 1, |stop| async move {
            log_serve_error(commands.serve(listeners.commands, stop).await);
        });
        if let Some(admin) = listeners.admin {
            server.add_background_task("control admin", 1, |stop| async move {
                log_serve_error(serve_admin(admin, endpoints, stop).await);
            });
        }
    }

    /// Runs the control plane until SIGTERM, SIGINT or a hand-over.
    ///
    /// `advertised`: the host and port at which other control planes reach the command server.
    async fn run_with_store(
        self,
        any: AnyStore,
        advertised: Option<String>,
        control_tasks: ControlTasks,
    ) -> anyhow::Result<()> {
        let Self { control_plane, commands, listeners, endpoints } = self;
        let mut terminate = signal(SignalKind::terminate())?;
        let stopping = watch::Sender::new(false);
        let stop = || wait_for_stop(stopping.subscribe());
        let mut tasks = tokio::task::JoinSet::new();
        if let AnyStore::Redis(redis) = any {
            tasks.spawn(redis.clone().run_sync(stop()));
            tasks.spawn(redis.run_leader_election(advertised, stop()));
        }
        tasks.spawn(control_plane.run(stop()));
        let ControlTasks { reload, handover, mut handed_over, announcement } = control_tasks;
        tasks.spawn(reload.run(stop()));
        tasks.spawn(handover.run(stop()));
        announcement.announce().await;
        let serving = commands.serve(listeners.commands, stop());
        tasks.spawn(async { log_serve_error(serving.await) });
        if let Some(admin) = listeners.admin {
            let serving = serve_admin(admin, endpoints, stop());
            tasks.spawn(async { log_serve_error(serving.await) });
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            _ = handed_over.wait_for(|handed_over| *handed_over) => {}
        }
        stopping.send_replace(true);
        while tasks.join_next().await.is_some() {}
        Ok(())
    }
}

fn wait_for_stop(mut stopping: watch::Receiver<bool>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        // Waiting fails when the sender is dropped, which is a stop as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    })
}

fn log_serve_error(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        crate::terminal::print_error(&anyhow::Error::new(error).context("commands"));
    }
}
