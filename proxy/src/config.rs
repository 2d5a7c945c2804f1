//! The edge's part of the configuration: `[edge]`, `[access]` and `[upstream]`.

mod allowed_host;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use pitwall_fetch::{PrivateRange, Timeouts};
use serde::de::{self, DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

pub use self::allowed_host::AllowedHost;
use crate::http::limits::LimitsConfig;
use crate::http::public_path::PublicPath;

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub edge: EdgeConfig,
    pub access: AccessConfig,
    pub upstream: UpstreamConfig,
}

/// `[edge]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeConfig {
    /// The public listener.
    pub listen: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// Worker threads; 0: as many as there are cores.
    pub threads: usize,
    /// The URL at which viewers reach the edge, where that is not its listen address.
    #[serde(default, deserialize_with = "deserialize_public_url")]
    pub public_url: Option<Url>,
    /// Where commands are forwarded to: the `[control] listen` of each control plane, of which one
    /// leads.
    #[serde(deserialize_with = "deserialize_control_addresses")]
    pub control: Vec<SocketAddr>,
    /// How long requests in flight may take after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    /// How long connections may last after a successor has taken over.
    #[serde(with = "humantime_serde")]
    pub upgrade_drain: Duration,
    pub cache: CacheConfig,
    pub playlist: PlaylistConfig,
    pub limits: LimitsConfig,
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<PrivateRange>,
    /// `None` for a plaintext listener.
    pub tls: Option<TlsConfig>,
}

/// `[edge.tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificate, followed by the intermediate certificates of its chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9180)),
            threads: 0,
            public_url: None,
            control: vec![SocketAddr::from(([127, 0, 0, 1], 8081))],
            drain: Duration::from_secs(20),
            upgrade_drain: Duration::from_mins(5),
            cache: CacheConfig::default(),
            playlist: PlaylistConfig::default(),
            limits: LimitsConfig::default(),
            trusted_proxies: Vec::new(),
            tls: None,
        }
    }
}

impl EdgeConfig {
    /// The base of absolute links, in documents for calendars and IPTV players. It is never the
    /// `Host` of a request, which a client can forge.
    pub fn site_url(&self) -> Url {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let mut address = self.listen;
        if address.ip().is_unspecified() {
            // An unspecified address cannot be connected to; `public_url` names one that can.
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        #[expect(clippy::expect_used, reason = "an address is a host and a port")]
        Url::parse(&format!("{scheme}://{address}")).expect("a URL of an address")
    }

    /// The path of [`public_url`](Self::public_url), which was judged as it was read.
    pub fn public_path(&self) -> PublicPath {
        self.public_url.as_ref().and_then(|url| PublicPath::of(url).ok()).unwrap_or_default()
    }
}

/// One address, or a list of them. An error names the index of the wrong entry.
fn deserialize_control_addresses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SocketAddr>, D::Error> {
    struct AddressesVisitor;

    impl<'de> Visitor<'de> for AddressesVisitor {
        type Value = Vec<SocketAddr>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address, or a list of addresses")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.parse().map_err(E::custom)?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut addresses = Vec::new();
            while let Some(address) = list.next_element_seed(AddressSeed(&addresses))? {
                addresses.push(address);
            }
            match addresses.is_empty() {
                true => Err(A::Error::custom("an empty list: name at least one control plane")),
                false => Ok(addresses),
            }
        }
    }

    /// Validates an entry while it is deserialised, so that an error has the line of that entry.
    /// Holds the entries before it.
    struct AddressSeed<'a>(&'a [SocketAddr]);

    impl<'de> DeserializeSeed<'de> for AddressSeed<'_> {
        type Value = SocketAddr;

        fn deserialize<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<SocketAddr, D::Error> {
            deserializer.deserialize_str(self)
        }
    }

    impl Visitor<'_> for AddressSeed<'_> {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an address at [{}]", self.0.len())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            let index = self.0.len();
            let address =
                text.parse().map_err(|error| E::custom(format!("[{index}] {text:?}: {error}")))?;
            match self.0.contains(&address) {
                true => Err(E::custom(format!("[{index}] {text:?} is in the list twice"))),
                false => Ok(address),
            }
        }
    }

    deserializer.deserialize_any(AddressesVisitor)
}

fn deserialize_public_url<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = pitwall_fetch::parse_url(&text).map_err(D::Error::custom)?;
    if url.query().is_some() {
        return Err(D::Error::custom("a URL with a query is the start of no other"));
    }
    PublicPath::of(&url).map_err(D::Error::custom)?;
    Ok(Some(url))
}

/// A size of which the number fits: parsing a larger one gives the largest.
fn deserialize_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    if size == ByteSize(u64::MAX) {
        return Err(D::Error::custom("it is more bytes than can be counted"));
    }
    Ok(size)
}

/// `[edge.cache]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Limit of complete objects together.
    #[serde(deserialize_with = "deserialize_size")]
    pub bytes: ByteSize,
    /// Limit of objects that are being fetched.
    #[serde(deserialize_with = "deserialize_size")]
    pub fill_bytes: ByteSize,
    /// Limit of one object: a larger one bypasses the cache.
    #[serde(deserialize_with = "deserialize_size")]
    pub max_object: ByteSize,
    /// `None`: objects are in memory only.
    pub disk: Option<DiskConfig>,
}

/// `[edge.cache] disk`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// The directory, which no other process may use.
    pub dir: PathBuf,
    /// Limit of all files together.
    #[serde(deserialize_with = "deserialize_size")]
    pub bytes: ByteSize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            bytes: ByteSize::mib(512),
            fill_bytes: ByteSize::mib(256),
            max_object: ByteSize::mib(64),
            disk: None,
        }
    }
}

/// `[edge.playlist]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlaylistConfig {
    /// How long a fetched playlist is fresh for other polls, at most. 0: only polls that wait for
    /// the same fetch share it.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// How much of a live playlist is published: 10 s to 24 h.
    #[serde(deserialize_with = "deserialize_window")]
    pub window: Duration,
}

impl Default for PlaylistConfig {
    fn default() -> Self {
        Self { max_age: Duration::from_millis(500), window: Duration::from_secs(300) }
    }
}

/// A window shorter than a player's buffer would stop playback, and one longer than a day is a
/// mistake.
fn deserialize_window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let window: Duration = humantime_serde::deserialize(deserializer)?;
    match window.as_secs() {
        10..=86_400 => Ok(window),
        _ => Err(D::Error::custom("between 10s and 24h")),
    }
}

/// `[access]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    pub mode: AccessMode,
    /// File with the access key, for mode `key`.
    pub key_file: Option<PathBuf>,
    /// File with the seal key; `None`: one in the state directory, made on first start.
    pub seal_key_file: Option<PathBuf>,
    /// File with the admin token; `None`: every command and purge is refused.
    pub admin_token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// Every client may watch.
    #[default]
    Open,
    /// Clients with the access key may watch.
    Key,
}

/// `[upstream]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Hosts that a plain `url=` may name.
    pub allow_hosts: Vec<AllowedHost>,
    /// Private address ranges that these hosts may resolve to.
    pub allow_private: Vec<PrivateRange>,
    pub timeouts: UpstreamTimeouts,
}

/// `[upstream] timeouts`, as [`Timeouts`].
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
