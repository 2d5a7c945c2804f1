//! Operator commands over HTTP: `[control] listen`. The edge answers every public request from the
//! map; the commands here change something or reveal more than is public, and need the admin token.
//!
//! - [`authorization`]: whether a command is the operator's; [`token`]: the admin token.
//! - [`routes`]: the commands; [`file_routes`]: those that read and change files; [`tool_routes`]:
//!   those that try something out; [`reload_route`]: reads the configuration again; [`forwarding`]:
//!   passes them on to the leader.
//! - [`problem`]: errors as problem details; [`problem_responses`]: their descriptions.
//! - [`admin`]: metrics, health, reload and log level, for a control plane without an edge.

mod admin;
mod authorization;
mod file_routes;
mod forwarding;
mod problem;
mod problem_responses;
mod reload_route;
mod routes;
mod token;
mod tool_routes;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::Authority;
use pitwall_fetch::{Fetcher, Timeouts};
use pitwall_upstream_map::{Leadership, Store};
use serde::{Deserialize, Deserializer};
use tokio::sync::{mpsc, watch};

pub use self::admin::{AdminEndpointState, LogFilter};
use self::authorization::CommandAuthorizer;
pub use self::reload_route::ReloadRequestSender;
pub use self::routes::{COMMAND_LOG_TARGET, openapi};
pub use self::token::{AdminToken, TokenTooShort};
use crate::clock::Clock;
use crate::config_files::{OverrideFileEditor, SourceFiles};
use crate::model::command::Command;
use crate::settings::from_text;
use crate::trial::TrialRuns;
use crate::webhooks::NotificationTester;

/// `[control]` of the configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Address of the command server; by default, in one process with an edge, a free port on
    /// loopback.
    pub listen: Option<SocketAddr>,
    /// Address at which other control planes reach the command server, when it is not `listen`.
    pub advertise: Option<AdvertisedAddress>,
    /// Address of metrics and health; in one process with an edge, the edge's admin listener has
    /// them.
    pub admin: Option<SocketAddr>,
    /// Whether commands may change files in `sources/` and the override file of the schedule.
    pub edit_files: FileEditingFlag,
}

/// `edit_files`: `true` unless the operator says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct FileEditingFlag(pub bool);

impl Default for FileEditingFlag {
    fn default() -> Self {
        Self(true)
    }
}

/// What commands work with beside the engine.
pub(crate) struct CommandDependencies {
    pub(crate) sources: SourceFiles,
    pub(crate) overrides: OverrideFileEditor,
    pub(crate) trials: Arc<TrialRuns>,
    pub(crate) notification_test: NotificationTester,
    pub(crate) reload_requests: ReloadRequestSender,
}

/// A host and a port, such as `control-1.example:8081`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedAddress(pub String);

from_text!(AdvertisedAddress, |text| match text.parse::<Authority>() {
    Ok(authority) if authority.port_u16().is_some_and(|port| port > 0) && !text.contains('@') => {
        Ok(Self(text.to_owned()))
    }
    _ => Err(format!("{text:?} is not a host and a port: control-1.example:8081")),
});

impl ControlConfig {
    /// The address that the lease names for a control plane that listens on `listen`. `None` for a
    /// loopback or unspecified address without `advertise`: on another machine it would be another
    /// server.
    pub fn advertised_address(&self, listen: SocketAddr) -> Option<String> {
        let is_unreachable = listen.ip().is_loopback() || listen.ip().is_unspecified();
        match &self.advertise {
            Some(address) => Some(address.0.clone()),
            None => (!is_unreachable).then(|| listen.to_string()),
        }
    }
}

/// The HTTP server of operator commands to a running control plane.
pub struct CommandServer {
    command_sender: mpsc::Sender<Command>,
    authorizer: CommandAuthorizer,
    tools: Arc<CommandDependencies>,
    /// Knows which control plane leads.
    store: Arc<dyn Store>,
    /// For the leader alone. The leader may listen where an edge of this machine does not fetch
    /// from, and a mark in the command keeps it from going in a circle.
    fetcher: Fetcher,
}

impl CommandServer {
    pub(crate) fn new(
        command_sender: mpsc::Sender<Command>,
        tools: CommandDependencies,
        admin_token: watch::Receiver<Option<AdminToken>>,
        clock: Clock,
        store: Arc<dyn Store>,
    ) -> Self {
        let authorizer = CommandAuthorizer::new(admin_token, clock);
        Self {
            command_sender,
            authorizer,
            tools: Arc::new(tools),
            store,
            fetcher: Fetcher::new(Timeouts::default(), Vec::new()),
        }
    }

    fn is_leader(&self) -> bool {
        self.store.leadership() == Leadership::Leader
    }

    /// Serves until `shutdown` completes.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub async fn serve(
        self,
        listener: std::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        if !self.authorizer.has_token() {
            tracing::info!("no admin token is configured: commands are refused");
        }
        let router = routes::router(self).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, router).with_graceful_shutdown(shutdown).await
    }
}

/// Serves `/metrics`, `/healthz`, `/readyz`, `/reload` and `/log/level` until `shutdown` completes.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve_admin(
    listener: std::net::TcpListener,
    endpoints: AdminEndpointState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = admin::router(endpoints);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

#[cfg(test)]
mod tests;
