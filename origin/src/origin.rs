//! The public interface: [`OriginConfig`], and [`Origin`], which serves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use url::Url;

use crate::calendar::Calendar;
use crate::clock::Clock;
use crate::routes;
use crate::state::OriginState;
use crate::token::SigningKey;

/// Settings of an [`Origin`]. The default is what `pitwall demo` runs with.
#[derive(Clone)]
pub struct OriginConfig {
    /// Lifetime of a playlist token.
    pub token_ttl: Duration,
    /// Whether playlists and segments under /hls and /cdn require the embedded player's `Referer`.
    pub require_referer: bool,
    /// Number of segments, of 2 s each, in a media playlist.
    pub window_segments: u64,
    /// The key that signs tokens and CSRF values; with `None`, a random one per [`Origin`].
    pub signing_key: Option<[u8; 32]>,
    pub clock: Clock,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            token_ttl: Duration::from_secs(25),
            require_referer: true,
            window_segments: 8,
            signing_key: None,
            clock: Clock::system(),
        }
    }
}

/// A demo origin: its settings, signing key and season, which are fixed when it is created.
pub struct Origin {
    config: OriginConfig,
    signing_key: SigningKey,
    calendar: Calendar,
}

impl Origin {
    pub fn new(config: OriginConfig) -> Self {
        let signing_key = config.signing_key.map_or_else(SigningKey::random, SigningKey::new);
        let calendar = Calendar::starting(config.clock.unix_seconds());
        Self { config, signing_key, calendar }
    }

    /// Serves until `shutdown` is ready and the responses in flight are complete.
    ///
    /// # Errors
    /// When the listener's address cannot be read, or accepting fails.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let base = base_url(listener.local_addr()?).map_err(std::io::Error::other)?;
        tracing::info!(%base, "demo origin listening");
        axum::serve(listener, self.router(base)).with_graceful_shutdown(shutdown).await
    }

    /// The router of an origin whose base URL is `base`, for clients without a listener.
    pub fn router(&self, base: Url) -> Router {
        routes::build_router(OriginState {
            base: Arc::from(base.as_str().trim_end_matches('/')),
            signing_key: self.signing_key.clone(),
            clock: self.config.clock.clone(),
            calendar: self.calendar,
            token_ttl: self.config.token_ttl,
            window_segments: self.config.window_segments,
            require_referer: self.config.require_referer,
        })
    }
}

/// The base URL of a listener for local clients: an unspecified address becomes loopback.
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
