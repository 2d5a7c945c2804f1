//! [`StoreConfig`]: `[store]`.

use pitwall_upstream_map::RedisAddress;
use serde::Deserialize;

use super::ConfigError;

/// The store that carries the map from the control plane to the edges.
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "StoreSection")]
pub(crate) enum StoreConfig {
    /// In memory, for an edge and a control plane in one process.
    #[default]
    Memory,
    Redis {
        address: Box<RedisAddress>,
        prefix: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoreSection {
    kind: StoreKind,
    url: Option<String>,
    sentinels: Vec<String>,
    prefix: Option<String>,
}

#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoreKind {
    #[default]
    Memory,
    Redis,
}

impl StoreConfig {
    /// Checks that the store is shared between processes, as `pitwall {command}` needs.
    ///
    /// # Errors
    /// The store is in memory.
    pub(crate) fn require_shared(&self, command: &str) -> Result<(), ConfigError> {
        match self {
            Self::Redis { .. } => Ok(()),
            Self::Memory => {
                let why = "needs \"redis\": nothing in memory reaches another process";
                Err(ConfigError::new("store.kind", format!("pitwall {command} {why}")))
            }
        }
    }
}

impl TryFrom<StoreSection> for StoreConfig {
    type Error = String;

    fn try_from(keys: StoreSection) -> Result<Self, String> {
        let StoreSection { kind, url, sentinels, prefix } = keys;
        if kind == StoreKind::Memory {
            let given = [
                ("url", url.is_some()),
                ("sentinels", !sentinels.is_empty()),
                ("prefix", prefix.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((key, _)) => Err(format!("store.{key} needs store.kind = \"redis\"")),
                None => Ok(Self::Memory),
            };
        }
        let url = url.ok_or("store.kind = \"redis\" needs store.url")?;
        let address = RedisAddress::parse(&url, &sentinels)
            .map_err(|error| format!("{}: {error}", error.key))?;
        let prefix = prefix.unwrap_or_else(|| "pitwall".to_owned());
        let is_allowed = |c: char| c.is_ascii_graphic() && c != '{' && c != '}';
        if prefix.is_empty() || !prefix.chars().all(is_allowed) {
            return Err("store.prefix: one word without braces".to_owned());
        }
        Ok(Self::Redis { address: Box::new(address), prefix })
    }
}
