//! The edge's part of the configuration: `[edge]`, `[access]` and `[upstream]`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use pitwall_fetch::{PrivateRange, Timeouts};
use serde::de::{self, DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::limits::LimitsConfig;
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
    /// What viewers call us, where that is not the address we listen on.
    #[serde(default, deserialize_with = "public_url")]
    pub public_url: Option<Url>,
    /// Where commands go: the `[control] listen` of every control plane, of which one leads.
    #[serde(deserialize_with = "control")]
    pub control: Vec<SocketAddr>,
    /// How long running transfers may take after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
    pub cache: CacheConfig,
    pub playlist: PlaylistConfig,
    pub limits: LimitsConfig,
    /// Their word on whose request it is counts.
    pub trusted_proxies: Vec<PrivateRange>,
    /// Without it the listener is plaintext.
    pub tls: Option<TlsConfig>,
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
            cache: CacheConfig::default(),
            playlist: PlaylistConfig::default(),
            limits: LimitsConfig::default(),
            trusted_proxies: Vec::new(),
            tls: None,
        }
    }
}

impl EdgeConfig {
    /// Where absolute links lead, for documents that leave the site. Never what a request says
    /// its host is.
    pub fn site(&self) -> Url {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let mut address = self.listen;
        if address.ip().is_unspecified() {
            // Nobody else can be reached under it; a public URL says how we can.
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        #[expect(clippy::expect_used, reason = "an address is a host and a port")]
        Url::parse(&format!("{scheme}://{address}")).expect("a URL of an address")
    }
}

/// One address, or a list of them. What is wrong with one is said with its place in the list.
fn control<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    struct Addresses;

    impl<'de> Visitor<'de> for Addresses {
        type Value = Vec<SocketAddr>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address, or a list of addresses")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.parse().map_err(E::custom)?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut addresses = Vec::new();
            while let Some(address) = list.next_element_seed(Entry(&addresses))? {
                addresses.push(address);
            }
            match addresses.is_empty() {
                true => Err(A::Error::custom("an empty list: name at least one control plane")),
                false => Ok(addresses),
            }
        }
    }

    /// Judged while it is read, so that an error has the line of the entry.
    struct Entry<'a>(&'a [SocketAddr]);

    impl<'de> DeserializeSeed<'de> for Entry<'_> {
        type Value = SocketAddr;

        fn deserialize<D: Deserializer<'de>>(
            self,
            deserializer: D,
        ) -> Result<SocketAddr, D::Error> {
            deserializer.deserialize_str(self)
        }
    }

    impl Visitor<'_> for Entry<'_> {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an address at [{}]", self.0.len())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            let at = self.0.len();
            let address =
                text.parse().map_err(|why| E::custom(format!("[{at}] {text:?}: {why}")))?;
            match self.0.contains(&address) {
                true => Err(E::custom(format!("[{at}] {text:?} is in the list twice"))),
                false => Ok(address),
            }
        }
    }

    deserializer.deserialize_any(Addresses)
}

fn public_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = pitwall_fetch::parse_url(&text).map_err(D::Error::custom)?;
    if url.query().is_some() {
        return Err(D::Error::custom("a URL with a query is the start of no other"));
    }
    if url.path() != "/" {
        let path = url.path();
        return Err(D::Error::custom(format!(
            "Pitwall is at the root of a name: leave {path} out"
        )));
    }
    Ok(Some(url))
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
    /// How much of a live playlist is shown.
    #[serde(deserialize_with = "window")]
    pub window: Duration,
}

impl Default for PlaylistConfig {
    fn default() -> Self {
        Self { max_age: Duration::from_millis(500), window: Duration::from_secs(300) }
    }
}

/// Players stop where less is shown than they keep, and what is longer than a day is no window.
fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let window: Duration = humantime_serde::deserialize(deserializer)?;
    match window.as_secs() {
        10..=86_400 => Ok(window),
        _ => Err(D::Error::custom("between 10s and 24h")),
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    pub mode: AccessMode,
    /// What viewers show once, where the mode asks for it.
    pub key_file: Option<PathBuf>,
    /// Made in the state directory when it is not named.
    pub seal_key_file: Option<PathBuf>,
    /// Without one nobody may change anything over the network.
    pub admin_token_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// Whoever reaches this may watch.
    #[default]
    Open,
    /// Whoever has the key.
    Key,
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
