//! An edge and a control plane in one process (`run`, `demo`), and the demo's origin (`origin`).

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use pitwall_origin::{Origin, OriginConfig};
use pitwall_proxy::{EdgeSecrets, Server};
use pitwall_upstream_map::{MemoryStore, StateDirectory, Store};
use prometheus::Registry;
use tokio::sync::mpsc;

use crate::config::{Config, ConfigError, environment_variables, key_of_variable};
use crate::edge::{EdgeSockets, StateHandover};
use crate::handover::Startup;
use crate::reload::{ConfigLoader, ReloadBaseline, ReloadSetup, ReloadTask, RunningParts};
use crate::secret::{self, SealKeys, StartMode};
use crate::signals::Signals;
use crate::store::AnyStore;
use crate::terminal::print_text;
use crate::{control_plane, edge, file_descriptors, logging, process_metrics, settings};

/// Where commands are taken that only the edge of this process sends.
const ANY_LOOPBACK_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const DEMO_CONFIG: &str = include_str!("../../conf/demo.toml");

/// The origin's address in conf/demo.toml, which the demo replaces with the actual one.
const DEMO_ORIGIN_ADDRESS: &str = "127.0.0.1:9000";

/// The keys that no environment variable sets in a demo, and why.
const DEMO_FIXED_KEYS: [(&str, &str); 8] = [
    ("store.kind", MEMORY_ONLY),
    ("store.url", MEMORY_ONLY),
    ("store.sentinels", MEMORY_ONLY),
    ("store.prefix", MEMORY_ONLY),
    ("schedule.providers", OWN_SCHEDULE),
    ("schedule.jolpica_url", OWN_SCHEDULE),
    ("schedule.openf1_url", OWN_SCHEDULE),
    ("schedule.allow_private", OWN_SCHEDULE),
];
const MEMORY_ONLY: &str = "the demo keeps its map in memory";
const OWN_SCHEDULE: &str =
    "the demo has the schedule of its own origin, in which a session is live";

/// How many feeds `conf/demo.toml` has.
const DEMO_FEEDS: usize = 4;

pub(crate) fn run(
    path: &Path,
    listen: Option<SocketAddr>,
    Signals { hangups, upgrades }: Signals,
) -> anyhow::Result<()> {
    let mut startup = Startup::begin()?;
    let path = path.to_owned();
    let load: ConfigLoader = Box::new(move || {
        let mut config = Config::load(&path)?;
        config.edge.listen = listen.unwrap_or(config.edge.listen);
        config.reject_listener_collisions()?;
        Ok(config)
    });
    let config = load()?;
    logging::configure(&config.log);
    let url = edge::listen_url(&config.edge);
    let keys = load_seal_keys(&config, StartMode::Start)?;
    config.log_problems();
    let registry = Registry::new();
    check_secrets(&config)?;
    let state = startup.claim_state(&config.state.dir, &config.key_locations)?;
    let store = open_store(&config, &keys, &state, &registry)?;
    let setup = ReloadSetup { load, hangups };
    let parts = ServerParts { config, keys, state: state.clone(), registry: registry.clone() };
    let mut server = parts.assemble(&store, &mut startup, Some(setup))?;
    let handover = StateHandover { upgrades, store: store.to_dyn_store(), state };
    handover.add_to_server(startup, &mut server, &registry)?;
    print_text(&format!("Pitwall is on {url}"));
    server.run();
    Ok(())
}

/// `pitwall demo`: an edge, a control plane and an origin on free ports, with a session that is
/// live.
pub(crate) fn run_demo(
    listen: Option<SocketAddr>,
    token_ttl: u64,
    hangups: mpsc::Receiver<()>,
) -> anyhow::Result<()> {
    let origin = bind_free_port()?;
    let address = origin.local_addr()?;
    let text = DEMO_CONFIG.replace(DEMO_ORIGIN_ADDRESS, &address.to_string());
    // A temporary directory, as state that was learned from one demo's origin is wrong for the
    // next.
    let state_dir = tempfile::tempdir().context("cannot make a state directory")?;
    let defaults = (state_dir.path().to_owned(), bind_free_port()?.local_addr()?);
    let load: ConfigLoader = Box::new(move || {
        let environment = environment_variables().collect();
        let mut config = load_demo_config(&text, environment, || Ok(defaults.clone()))?;
        config.edge.listen = listen.unwrap_or(config.edge.listen);
        config.reject_listener_collisions()?;
        Ok(config)
    });
    let config = load()?;
    logging::configure(&config.log);
    let url = edge::listen_url(&config.edge);
    let store = MemoryStore::new();
    let keys = load_seal_keys(&config, StartMode::Start)?;
    let any_store = AnyStore::Memory(store.clone());
    let setup = ReloadSetup { load, hangups };
    let state = StateDirectory::from(config.state.dir.clone());
    let parts = ServerParts { config, keys, state, registry: Registry::new() };
    let mut server = parts.assemble(&any_store, &mut Startup::begin()?, Some(setup))?;
    server.add_background_task("origin", 1, move |stop| async move {
        if let Err(error) = serve_origin(origin, token_ttl, stop).await {
            crate::terminal::print_error(&error);
        }
    });
    server.add_background_task("greeting", 1, move |stop| async move {
        let mut changes = store.subscribe_versions();
        let mut wait_for_streams = async |count| {
            while store.map().streams.len() < count {
                changes.changed().await.ok()?;
            }
            let ids = store.map().streams.keys().map(ToString::to_string).collect::<Vec<_>>();
            Some(ids.join(","))
        };
        let greet_when_live = async {
            wait_for_streams(1).await?;
            print_text(&format!("A session is live: {url}\nCtrl-C ends it."));
            let all = wait_for_streams(DEMO_FEEDS).await?;
            print_text(&format!("All its feeds on one clock: {url}/watch?s={all}"));
            Some(())
        };
        tokio::select! {
            _ = greet_when_live => {}
            () = stop => {}
        }
    });
    server.run();
    drop(state_dir);
    Ok(())
}

/// The demo's configuration with the environment variables, which win over it.
///
/// `make_defaults`: the state directory and admin address of a demo that sets neither.
///
/// # Errors
/// A variable is invalid, or sets what the demo cannot work without.
fn load_demo_config(
    text: &str,
    environment: Vec<(String, String)>,
    make_defaults: impl FnOnce() -> anyhow::Result<(PathBuf, SocketAddr)>,
) -> anyhow::Result<Config> {
    for (variable, value) in &environment {
        let key = variable.strip_prefix("PITWALL_").map(key_of_variable).unwrap_or_default();
        if let Some((_, why)) = DEMO_FIXED_KEYS.iter().find(|(fixed, _)| *fixed == key)
            && !(key == "store.kind" && value == "memory")
        {
            let why = format!("{why}: unset it, or start pitwall run with a configuration");
            return Err(ConfigError::new(format!("environment {variable}"), why).into());
        }
    }
    let mut config = Config::parse("conf/demo.toml", text, environment)?;
    let is_default = |key| config.key_locations.location_of(key).is_none();
    let (state_dir, admin) = make_defaults()?;
    let defaults = ["state.dir", "edge.admin", "edge.drain"].map(is_default);
    if defaults[0] {
        config.state.dir = state_dir;
    }
    if defaults[1] {
        config.edge.admin = admin;
    }
    if defaults[2] {
        // No load balancer has to notice that a demo stops.
        config.edge.drain = Duration::ZERO;
    }
    Ok(config)
}

/// `pitwall origin`: the demo's origin, until SIGINT.
pub(crate) fn run_origin(listen: SocketAddr, token_ttl: u64) -> anyhow::Result<()> {
    file_descriptors::raise_open_file_limit();
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    print_text(&format!("The origin is on http://{}", listener.local_addr()?));
    runtime.block_on(async {
        let stop = async {
            // Waiting fails when the signal handler cannot be installed: the origin then stops at
            // once.
            let _ = tokio::signal::ctrl_c().await;
        };
        serve_origin(listener, token_ttl, stop).await
    })
}

/// Opens and reads all that a server needs, without starting it, so that a check finds every error
/// for which a start would fail.
pub(crate) fn check_server(config: Config) -> anyhow::Result<()> {
    let keys = load_seal_keys(&config, StartMode::Check)?;
    config.reject_definite_listener_collisions()?;
    let registry = Registry::new();
    let state = StateDirectory::from(config.state.dir.clone());
    let store = open_store(&config, &keys, &state, &registry)?;
    let parts = ServerParts { config, keys, state, registry };
    parts.assemble(&store, &mut Startup::of_check(), None).map(drop)
}

/// Reads the secrets and the certificate, so that what is wrong with them is found before a process
/// that runs makes way.
fn check_secrets(config: &Config) -> anyhow::Result<()> {
    secret::load_admin_token(&config.access, &config.key_locations)?;
    secret::load_access(&config.access, &config.key_locations)?;
    Ok(())
}

fn load_seal_keys(config: &Config, mode: StartMode) -> Result<SealKeys, ConfigError> {
    secret::load_seal_keys(&config.access, &config.state.dir, &config.key_locations, mode)
}

fn open_store(
    config: &Config,
    keys: &SealKeys,
    state: &StateDirectory,
    registry: &Registry,
) -> anyhow::Result<AnyStore> {
    let is_source = |name: &str| config.sources.iter().any(|source| source.name == name);
    AnyStore::open(config.store.clone(), keys, state, is_source, true, registry)
}

/// What a server is made from, besides its store.
struct ServerParts {
    config: Config,
    keys: SealKeys,
    state: StateDirectory,
    registry: Registry,
}

impl ServerParts {
    /// `reload`: `None` for a check.
    fn assemble(
        self,
        store: &AnyStore,
        startup: &mut Startup,
        reload: Option<ReloadSetup>,
    ) -> anyhow::Result<Server> {
        let Self { mut config, keys, state, registry } = self;
        if reload.is_some() {
            file_descriptors::fit_connection_limit(&mut config.edge);
        }
        process_metrics::register(&registry)?;
        let token = secret::load_admin_token(&config.access, &config.key_locations)?;
        let access = secret::load_access(&config.access, &config.key_locations)?;
        let sockets = EdgeSockets::listen(&config, startup)?;
        let listeners = control_plane::ControlListeners::listen(
            &config,
            config.control.listen.unwrap_or(ANY_LOOPBACK_PORT),
            startup,
        )?;
        let command_address = listeners.commands.local_addr()?;
        let advertised = config.control.advertised_address(command_address);
        config.control.listen = Some(command_address);
        config.edge.control = vec![command_address];
        let own_listeners = config.own_listeners();
        let edge_config = settings::proxy_config(&config);
        let tls_locations = settings::TlsSettingLocations::of(&config);
        let baseline = ReloadBaseline::of(&config)?;
        let (reload_requests, requests) = mpsc::channel(1);
        let control = control_plane::ControlPlaneServer::new(
            config,
            control_plane::StoreAndState { store: store.to_dyn_store(), state },
            listeners,
            &token,
            &registry,
            reload_requests.clone(),
        )?;
        let secrets =
            EdgeSecrets { sealer: keys.sealer(), access, admin_token: token.edge_token() };
        let announcement = startup.announcement(store.to_dyn_store());
        let listeners = sockets.announced_by(announcement.announce());
        let edge =
            edge::EdgeAssembly { config: &edge_config, own_listeners, tls_locations, listeners };
        let mut server =
            edge.assemble_server(secrets, store.to_dyn_store(), &registry, reload_requests)?;
        if let Some(setup) = reload {
            let parts = RunningParts {
                edge: Some(server.settings_handle()),
                control: Some(control.settings_handle()),
            };
            let reload = ReloadTask::new(setup, &baseline, parts, requests, &registry)?;
            server.add_background_task("reload", 1, |stop| reload.run(stop));
        }
        #[cfg(feature = "otlp")]
        crate::otlp::flush_at_stop(&mut server);
        store.add_background_services(advertised, &mut server);
        control.add_background_services(&mut server);
        Ok(server)
    }
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

/// Listens on any free port of the loopback interface.
pub(crate) fn bind_free_port() -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).context("no port is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let environment =
            variables.iter().map(|(name, value)| (format!("PITWALL_{name}"), (*value).to_owned()));
        load_demo_config(DEMO_CONFIG, environment.collect(), || {
            Ok(("/made/for/this/demo".into(), SocketAddr::from(([127, 0, 0, 1], 7))))
        })
    }

    #[test]
    fn a_demo_obeys_the_environment() {
        let describe = |config: Config| {
            let edge = &config.edge;
            let (dir, drain) = (config.state.dir.display(), edge.drain.as_secs());
            format!("{} {} {dir} {drain} {:?}", edge.listen, edge.admin, config.access.mode)
        };
        for (variables, expected) in [
            (&[][..], "127.0.0.1:8080 127.0.0.1:7 /made/for/this/demo 0 Open"),
            (&[("LOG", "debug")], "127.0.0.1:8080 127.0.0.1:7 /made/for/this/demo 0 Open"),
            (
                &[
                    ("EDGE__LISTEN", "127.0.0.1:1"),
                    ("EDGE__ADMIN", "127.0.0.1:2"),
                    ("EDGE__DRAIN", "3s"),
                    ("STATE__DIR", "/kept"),
                    ("ACCESS__MODE", "key"),
                ],
                "127.0.0.1:1 127.0.0.1:2 /kept 3 Key",
            ),
            (&[("STORE__KIND", "memory")], "127.0.0.1:8080 127.0.0.1:7 /made/for/this/demo 0 Open"),
        ] {
            assert_eq!(describe(load(variables).unwrap()), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_demo_refuses_what_it_cannot_work_with() {
        for (variable, value, expected) in [
            ("STORE__KIND", "redis", "environment PITWALL_STORE__KIND: the demo keeps its map"),
            ("STORE__URL", "redis://a", "environment PITWALL_STORE__URL: the demo keeps its map"),
            ("SCHEDULE__PROVIDERS", "[]", "environment PITWALL_SCHEDULE__PROVIDERS: the demo has"),
            ("SCHEDULE__OPENF1_URL", "http://a/", "environment PITWALL_SCHEDULE__OPENF1_URL: the"),
            ("EDGE__LISTEN", "x", "environment PITWALL_EDGE__LISTEN: "),
            ("EDGE__CACHE__BITES", "1", "environment PITWALL_EDGE__CACHE__BITES: "),
        ] {
            let error = load(&[(variable, value)]).err().unwrap();
            assert!(error.is::<ConfigError>());
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
