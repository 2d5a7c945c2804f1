//! The configuration is read again while a process runs: on SIGHUP, when one of its files changes,
//! on `POST /reload` of an admin listener, and on the command `POST /api/reload`.
//!
//! - [`changes`]: what differs between two configurations, and what of it needs a restart.
//! - [`watched_files`]: whether a file has changed.
//!
//! A configuration is read and checked as a whole before any part of the process gets it: one with a
//! mistake changes nothing.

mod changes;
mod watched_files;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use http::{HeaderValue, Response, StatusCode, header};
use pitwall_upstream_map::documents::{ConfigChanges, ProblemDetails};
use prometheus::{IntGauge, Registry};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use self::changes::{ConfigFootprint, changes_between};
use self::watched_files::WatchedFiles;
use crate::config::Config;
use crate::secret;
use crate::{file_descriptors, logging, settings};

/// How often it is looked whether a file has changed. A change is taken up when it has not changed
/// further by the next look, so that several files can be replaced one after the other.
const FILE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Reads the configuration as the process did at its start.
pub(crate) type ConfigLoader = Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>;

/// Requests for a reload, as an admin listener receives them.
pub(crate) type ReloadRequest = oneshot::Sender<Response<Vec<u8>>>;

/// What a process needs to read its configuration again.
pub(crate) struct ReloadSetup {
    pub(crate) load: ConfigLoader,
    pub(crate) hangups: mpsc::Receiver<()>,
}

/// The parts of this process that follow the configuration.
#[derive(Default)]
pub(crate) struct RunningParts {
    pub(crate) edge: Option<pitwall_proxy::SettingsHandle>,
    pub(crate) control: Option<pitwall_control_plane::SettingsHandle>,
}

/// Reads the configuration again and hands it to the running parts.
struct Reloader {
    load: ConfigLoader,
    parts: RunningParts,
    metrics: ReloadMetrics,
    state: Mutex<ReloadState>,
}

struct ReloadState {
    /// The configuration that the process began with, which holds for what needs a restart.
    started: ConfigFootprint,
    /// The configuration in force.
    current: ConfigFootprint,
}

/// The task that waits for reasons to reload.
pub(crate) struct ReloadTask {
    reloader: Arc<Reloader>,
    hangups: mpsc::Receiver<()>,
    requests: mpsc::Receiver<ReloadRequest>,
    files: WatchedFiles,
}

/// Why the configuration is read again, for the log.
#[derive(Clone, Copy)]
enum ReloadTrigger {
    Hangup,
    FileChange,
    Request,
}

struct ReloadMetrics {
    is_successful: IntGauge,
    succeeded_at: IntGauge,
}

impl ReloadMetrics {
    /// The start counts as the first success.
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let metrics = Self {
            is_successful: gauge(
                "pitwall_config_last_reload_successful",
                "Whether the configuration could be used when it was last read.",
            )?,
            succeeded_at: gauge(
                "pitwall_config_last_reload_success_timestamp_seconds",
                "When a configuration was last read that could be used.",
            )?,
        };
        metrics.record(true);
        Ok(metrics)
    }

    fn record(&self, is_successful: bool) {
        self.is_successful.set(i64::from(is_successful));
        if is_successful {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let seconds = now.map_or(0, |now| now.as_secs());
            self.succeeded_at.set(i64::try_from(seconds).unwrap_or(i64::MAX));
        }
    }
}

impl ReloadTask {
    /// `config`: the one that the process begins with.
    ///
    /// # Errors
    /// A secret cannot be read, or a metric is already registered in `registry`.
    pub(crate) fn new(
        setup: ReloadSetup,
        config: &ReloadBaseline,
        parts: RunningParts,
        requests: mpsc::Receiver<ReloadRequest>,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let ReloadSetup { load, hangups } = setup;
        let ReloadBaseline { footprint, files } = config;
        let metrics = ReloadMetrics::register(registry).context("a metric cannot be registered")?;
        let state = ReloadState { started: footprint.clone(), current: footprint.clone() };
        let reloader = Reloader { load, parts, metrics, state: Mutex::new(state) };
        Ok(Self { reloader: Arc::new(reloader), hangups, requests, files: files.clone() })
    }

    /// Reloads until `stop` completes.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let work = async {
            let mut ticks = tokio::time::interval(FILE_POLL_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    Some(()) = self.hangups.recv() => {
                        self.reload(ReloadTrigger::Hangup).await;
                    }
                    Some(reply) = self.requests.recv() => {
                        let response = self.reload(ReloadTrigger::Request).await;
                        // The client may have left.
                        let _ = reply.send(response);
                    }
                    _ = ticks.tick() => {
                        if self.have_files_changed().await {
                            self.reload(ReloadTrigger::FileChange).await;
                        }
                    }
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop => {}
        }
    }

    /// Looks at the files beside the runtime, as a volume may hang.
    async fn have_files_changed(&mut self) -> bool {
        let mut files = self.files.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let has_changed = files.poll_changes();
            (files, has_changed)
        });
        let Ok((files, has_changed)) = looked.await else { return false };
        self.files = files;
        has_changed
    }

    async fn reload(&mut self, trigger: ReloadTrigger) -> Response<Vec<u8>> {
        let (reloader, mut files) = (self.reloader.clone(), self.files.clone());
        let reloaded = tokio::task::spawn_blocking(move || {
            let outcome = reloader.reload(trigger, &mut files);
            (files, outcome)
        });
        let outcome = match reloaded.await {
            Ok((files, outcome)) => {
                self.files = files;
                outcome
            }
            Err(_) => Err(anyhow::anyhow!("the reload panicked")),
        };
        match outcome {
            Ok(changes) => json_response(StatusCode::OK, "application/json", &changes),
            Err(error) => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                let problem = ProblemDetails::new("config-invalid", status, format!("{error:#}"));
                json_response(status, "application/problem+json", &problem)
            }
        }
    }
}

/// What is kept of the configuration that a process begins with.
pub(crate) struct ReloadBaseline {
    footprint: ConfigFootprint,
    files: WatchedFiles,
}

impl ReloadBaseline {
    /// # Errors
    /// The seal key cannot be read.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        Ok(Self { footprint: ConfigFootprint::of(config)?, files: WatchedFiles::of(config) })
    }
}

impl Reloader {
    /// `files`: what is watched, and from then on the files of the new configuration.
    fn reload(
        &self,
        trigger: ReloadTrigger,
        files: &mut WatchedFiles,
    ) -> anyhow::Result<ConfigChanges> {
        let seen = files.read_states();
        let reloaded =
            self.try_reload(|config| *files = WatchedFiles::for_next_config(config, &seen));
        if reloaded.is_err() {
            // These files are judged again when they change.
            files.accept(seen.clone());
        }
        self.metrics.record(reloaded.is_ok());
        let because = match trigger {
            ReloadTrigger::Hangup => "SIGHUP",
            ReloadTrigger::FileChange => "a file changed",
            ReloadTrigger::Request => "an operator asked for it",
        };
        match &reloaded {
            Ok(changes) => {
                tracing::info!(because, "the configuration was read again: {changes}");
                if !changes.needs_restart.is_empty() {
                    let keys = changes.needs_restart.join(", ");
                    tracing::warn!(keys, "these changes take effect after a restart");
                }
            }
            Err(error) => tracing::error!(
                because,
                "the configuration cannot be used, and the one before stays in force: {error:#}"
            ),
        }
        reloaded
    }

    fn try_reload(&self, on_loaded: impl FnOnce(&Config)) -> anyhow::Result<ConfigChanges> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut config = (self.load)()?;
        on_loaded(&config);
        let footprint = ConfigFootprint::of(&config)?;
        let token = secret::load_admin_token(&config.access, &config.key_locations)?;
        let access = secret::load_access(&config.access, &config.key_locations)?;
        if self.parts.edge.is_some() {
            file_descriptors::fit_connection_limit(&mut config.edge);
        }
        let prepared = match &self.parts.edge {
            Some(handle) => {
                let locations = settings::TlsSettingLocations::of(&config);
                let prepared =
                    handle.prepare(&settings::proxy_config(&config), access, token.edge_token());
                Some(prepared.map_err(|error| locations.config_error(&error.into()))?)
            }
            None => None,
        };
        if self.parts.control.is_some() {
            config.log_problems();
        }
        let log = std::mem::take(&mut config.log);
        let settings = settings::control_settings(config, &token)?;
        // Nothing fails from here on.
        logging::configure(&log);
        if let (Some(handle), Some(prepared)) = (&self.parts.edge, prepared) {
            handle.apply(prepared);
        }
        if let Some(handle) = &self.parts.control {
            handle.apply(settings);
        }
        let changes = changes_between(&state.started, &state.current, &footprint);
        state.current = footprint;
        Ok(changes)
    }
}

fn json_response(
    status: StatusCode,
    content_type: &'static str,
    body: &impl Serialize,
) -> Response<Vec<u8>> {
    // Serialisation of strings cannot fail.
    let mut body = serde_json::to_vec(body).unwrap_or_default();
    body.push(b'\n');
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
