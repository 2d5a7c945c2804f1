//! [`ConfigChanges`]: the response of `POST /api/reload`.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// What has changed since the configuration was last read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConfigChanges {
    /// Keys that changed and are in force now.
    pub changed: Vec<String>,
    pub sources: SourceChanges,
    /// Keys that differ from those which the process began with, and take effect after a restart.
    pub needs_restart: Vec<String>,
}

/// Names of sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SourceChanges {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

impl fmt::Display for ConfigChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceChanges { added, changed, removed } = &self.sources;
        let parts = [
            ("changed", &self.changed),
            ("sources added", added),
            ("sources changed", changed),
            ("sources removed", removed),
            ("needs a restart", &self.needs_restart),
        ];
        let parts = parts.iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<_> =
            parts.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
        match parts.is_empty() {
            true => f.write_str("nothing has changed but, perhaps, what its files name"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}
