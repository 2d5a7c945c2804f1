//! The commands of an operator, over HTTP: `[control] listen`. Everything that is public is
//! answered by the edge from the map; what is here changes something, or tells more than the
//! public may know, and needs the admin token.
//!
//! - [`token`]: the admin token.
//! - [`routes`]: what can be asked; [`leader`]: of whom, when this one stands by.
//! - [`problem`]: what can be wrong with it.
//! - [`admin`]: metrics and health, for a control plane without an edge.

mod admin;
mod leader;
mod problem;
mod routes;
mod token;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::Authority;
use pitwall_fetch::Fetcher;
use pitwall_upstream_map::{Leadership, Store};
use prometheus::Registry;
use serde::{Deserialize, Deserializer};
use tokio::sync::mpsc;

pub use self::routes::openapi;
pub use self::token::{AdminToken, TokenTooShort};
use crate::engine::command::Command;
use crate::settings::from_text;

/// `[control]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Where commands are taken; in one process with an edge a free port on loopback, unless
    /// it is said.
    pub listen: Option<SocketAddr>,
    /// Where other control planes reach that, when it is not what it listens on.
    pub advertise: Option<Place>,
    /// Metrics and health; in one process with an edge its admin listener has them.
    pub admin: Option<SocketAddr>,
}

/// A host and a port, as others write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub String);

from_text!(Place, |text| match text.parse::<Authority>() {
    Ok(place) if place.port_u16().is_some_and(|port| port > 0) && !text.contains('@') => {
        Ok(Self(text.to_owned()))
    }
    _ => Err(format!("{text:?} is not a host and a port: control-1.example:8081")),
});

impl ControlConfig {
    /// What the others are told of a control plane that listens here. Nothing by default of an
    /// address that is another machine's to them: the admin token would go there.
    pub fn place(&self, listens: SocketAddr) -> Option<String> {
        let elsewhere = listens.ip().is_loopback() || listens.ip().is_unspecified();
        match &self.advertise {
            Some(place) => Some(place.0.clone()),
            None => (!elsewhere).then(|| listens.to_string()),
        }
    }
}

/// Takes commands for a control plane that runs.
pub struct Commands {
    sender: mpsc::Sender<Command>,
    token: Option<AdminToken>,
    /// Knows who leads.
    store: Arc<dyn Store>,
    fetcher: Arc<Fetcher>,
}

impl Commands {
    pub(crate) fn new(
        sender: mpsc::Sender<Command>,
        token: Option<AdminToken>,
        store: Arc<dyn Store>,
        fetcher: Arc<Fetcher>,
    ) -> Self {
        Self { sender, token, store, fetcher }
    }

    fn leads(&self) -> bool {
        self.store.leadership() == Leadership::Ours
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
    store: Arc<dyn Store>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = admin::router(registry, store);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

#[cfg(test)]
mod tests;
