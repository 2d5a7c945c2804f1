//! What other crates see: a configuration, and something that serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use url::Url;

use crate::clock::Clock;
use crate::routes::{self, Site};
use crate::schedule::Calendar;
use crate::token::Key;

/// How the origin behaves. The default is the demo's.
#[derive(Clone)]
pub struct OriginConfig {
    /// How long a playlist token is good for.
    pub token_ttl: Duration,
    /// Refuse playlists and segments without the embedded player's Referer.
    pub require_referer: bool,
    /// How many segments of 2 s a media playlist lists.
    pub window: u64,
    /// The key of tokens and forms; random per process when absent.
    pub key: Option<[u8; 32]>,
    pub clock: Clock,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            token_ttl: Duration::from_secs(25),
            require_referer: true,
            window: 8,
            key: None,
            clock: Clock::system(),
        }
    }
}

/// One origin: its key and its season live as long as it does.
pub struct Origin {
    config: OriginConfig,
    key: Key,
    calendar: Calendar,
}

impl Origin {
    pub fn new(config: OriginConfig) -> Self {
        let key = config.key.map_or_else(Key::random, Key::new);
        let calendar = Calendar::starting(config.clock.unix_seconds());
        Self { config, key, calendar }
    }

    /// Serves until `shutdown` is ready and the requests in flight are answered.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let base = base_url(listener.local_addr()?).map_err(std::io::Error::other)?;
        tracing::info!(%base, "demo origin listening");
        axum::serve(listener, self.router(base)).with_graceful_shutdown(shutdown).await
    }

    /// The routes, for an origin that clients reach at `base`.
    pub fn router(&self, base: Url) -> Router {
        routes::all(Site {
            base: Arc::from(base.as_str().trim_end_matches('/')),
            key: self.key.clone(),
            clock: self.config.clock.clone(),
            calendar: self.calendar,
            token_ttl: self.config.token_ttl,
            window: self.config.window,
            require_referer: self.config.require_referer,
        })
    }
}

/// Where a local client reaches `addr`; one that listens everywhere is reached on loopback.
fn base_url(mut addr: SocketAddr) -> Result<Url, url::ParseError> {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Url::parse(&format!("http://{addr}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for (addr, expected) in [
            ("127.0.0.1:9000", "http://127.0.0.1:9000/"),
            ("0.0.0.0:9000", "http://127.0.0.1:9000/"),
            ("[::]:9000", "http://[::1]:9000/"),
        ] {
            assert_eq!(base_url(addr.parse().unwrap()).unwrap().as_str(), expected);
        }
    }
}
