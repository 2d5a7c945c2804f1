//! The edge's part of the configuration: `[edge]`, `[access]` and `[upstream]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use pitwall_fetch::{PrivateRange, Timeouts};
use serde::Deserialize;

use crate::target::AllowedHost;
use crate::tls::TlsConfig;

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub edge: EdgeConfig,
    pub access: AccessConfig,
    pub upstream: UpstreamConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeConfig {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// 0: as many as there are cores.
    pub threads: usize,
    /// How long running transfers may take after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    pub cache: CacheConfig,
    pub playlist: PlaylistConfig,
    /// Without it the listener is plaintext.
    pub tls: Option<TlsConfig>,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9180)),
            threads: 0,
            drain: Duration::from_secs(20),
            cache: CacheConfig::default(),
            playlist: PlaylistConfig::default(),
            tls: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Complete objects.
    pub bytes: ByteSize,
    /// Objects still being fetched.
    pub fill_bytes: ByteSize,
    /// Larger ones are passed through, never refused.
    pub max_object: ByteSize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            bytes: ByteSize::mib(512),
            fill_bytes: ByteSize::mib(256),
            max_object: ByteSize::mib(64),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlaylistConfig {
    /// How old an answer may be and still be given to the next poll. 0: shared in flight only.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
}

impl Default for PlaylistConfig {
    fn default() -> Self {
        Self { max_age: Duration::from_millis(500) }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// Made in the state directory when it is not named.
    pub seal_key_file: Option<PathBuf>,
    /// Without it nobody gives commands.
    pub admin_token_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Hosts that a plain `url=` may name.
    pub allow_hosts: Vec<AllowedHost>,
    /// Private ranges that they may resolve to.
    pub allow_private: Vec<PrivateRange>,
    pub timeouts: UpstreamTimeouts,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTimeouts {
    #[serde(with = "humantime_serde")]
    pub connect: Duration,
    #[serde(with = "humantime_serde")]
    pub first_byte: Duration,
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        let Timeouts { connect, first_byte, idle } = Timeouts::default();
        Self { connect, first_byte, idle }
    }
}

impl From<UpstreamTimeouts> for Timeouts {
    fn from(UpstreamTimeouts { connect, first_byte, idle }: UpstreamTimeouts) -> Self {
        Self { connect, first_byte, idle }
    }
}
