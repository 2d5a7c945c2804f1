//! `[store]`.

use pitwall_upstream_map::RedisAddress;
use serde::Deserialize;

use super::Invalid;

/// How a map gets from the control plane to the edges.
#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "Keys")]
pub(crate) enum StoreConfig {
    /// In one process.
    #[default]
    Memory,
    Redis {
        address: Box<RedisAddress>,
        prefix: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Keys {
    kind: Kind,
    url: Option<String>,
    sentinels: Vec<String>,
    prefix: Option<String>,
}

#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Memory,
    Redis,
}

impl StoreConfig {
    /// Is it one that other processes see as well, which `command` cannot do without?
    pub(crate) fn shared(&self, command: &str) -> Result<(), Invalid> {
        match self {
            Self::Redis { .. } => Ok(()),
            Self::Memory => {
                let why = "needs \"redis\": nothing in memory reaches another process";
                Err(Invalid::new("store.kind", format!("pitwall {command} {why}")))
            }
        }
    }
}

impl TryFrom<Keys> for StoreConfig {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys { kind, url, sentinels, prefix } = keys;
        if kind == Kind::Memory {
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
        let fine = |c: char| c.is_ascii_graphic() && c != '{' && c != '}';
        if prefix.is_empty() || !prefix.chars().all(fine) {
            return Err("store.prefix: one word without braces".to_owned());
        }
        Ok(Self::Redis { address: Box::new(address), prefix })
    }
}
