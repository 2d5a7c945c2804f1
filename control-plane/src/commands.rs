//! The commands of an operator, over HTTP: `[control] listen`. Everything that is public is
//! answered by the edge from the map; what is here changes something, or tells more than the
//! public may know, and needs the admin token.
//!
//! - [`token`]: the admin token.
//! - [`routes`]: what can be asked.
//! - [`problem`]: what can be wrong with it.
//! - [`admin`]: metrics and health, for a control plane without an edge.

mod admin;
mod problem;
mod routes;
mod token;

use std::future::Future;
use std::net::SocketAddr;

use pitwall_upstream_map::Store;
use prometheus::Registry;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

pub use self::routes::openapi;
pub use self::token::{AdminToken, TokenTooShort};
use crate::engine::command::Command;

/// `[control]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Where commands are taken; in one process with an edge a free port on loopback, unless
    /// it is said.
    pub listen: Option<SocketAddr>,
    /// Metrics and health; in one process with an edge its admin listener has them.
    pub admin: Option<SocketAddr>,
}

/// Takes commands for a control plane that runs.
pub struct Commands {
    sender: mpsc::Sender<Command>,
    token: Option<AdminToken>,
    /// There while this control plane leads.
    fence: watch::Receiver<Option<u64>>,
}

impl Commands {
    pub(crate) fn new(
        sender: mpsc::Sender<Command>,
        token: Option<AdminToken>,
        fence: watch::Receiver<Option<u64>>,
    ) -> Self {
        Self { sender, token, fence }
    }

    /// Until `shutdown` completes.
    pub async fn serve(
        self,
        listener: std::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        if self.token.is_none() {
            tracing::info!("no admin token is configured: commands are refused");
        }
        axum::serve(listener, routes::router(self)).with_graceful_shutdown(shutdown).await
    }
}

/// Serves `/metrics`, `/healthz` and `/readyz` until `shutdown` completes.
pub async fn serve_admin(
    listener: std::net::TcpListener,
    registry: Registry,
    store: std::sync::Arc<dyn Store>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = admin::router(registry, store);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

#[cfg(test)]
mod tests;
