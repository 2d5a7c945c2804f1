//! [`ConfigKeyLocations`]: where each key of a configuration was set, for errors that appear only when
//! its value is used, such as a missing file or an address that cannot be bound.

use std::collections::HashMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

use super::{ConfigError, TomlFile};

/// Where values come from, by dotted key (`edge.tls.cert`, `webhook.0.secret_file`).
#[derive(Default)]
pub(crate) struct ConfigKeyLocations(HashMap<String, ConfigKeyLocation>);

enum ConfigKeyLocation {
    /// `FILE:LINE`.
    FileLine(String),
    /// The variable's name.
    Environment(String),
}

/// The key that a variable sets. `path`: its name without `PITWALL_`.
pub(crate) fn key_of_variable(path: &str) -> String {
    path.to_lowercase().replace("__", ".")
}

impl ConfigKeyLocations {
    pub(super) fn of_file(file: &TomlFile<'_>, table: &DeTable<'_>) -> Self {
        let mut locations = Self::default();
        locations.collect_table(file, "", table);
        locations
    }

    /// Records that the value of a key comes from an environment variable. `path`: the variable's
    /// name without `PITWALL_`.
    pub(super) fn record_environment_variable(&mut self, path: &str, variable: &str) {
        let key = key_of_variable(path);
        self.0.insert(key, ConfigKeyLocation::Environment(variable.to_owned()));
    }

    fn collect_table(&mut self, file: &TomlFile<'_>, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.collect_table(file, &format!("{key}."), inner),
                DeValue::Array(items) => {
                    let tables = items.iter().enumerate();
                    let tables =
                        tables.filter_map(|(n, item)| Some((n, item, item.get_ref().as_table()?)));
                    for (n, item, inner) in tables {
                        let key = format!("{key}.{n}");
                        self.collect_table(file, &format!("{key}."), inner);
                        self.insert_line(key, file, item.span().start);
                    }
                }
                _ => {}
            }
            self.insert_line(key, file, name.span().start);
        }
    }

    fn insert_line(&mut self, key: String, file: &TomlFile<'_>, offset: usize) {
        let location = format!("{}:{}", file.name, file.line_number(offset));
        self.0.insert(key, ConfigKeyLocation::FileLine(location));
    }

    /// `FILE:LINE`, or the environment variable; `None` where the key has its default.
    pub(crate) fn location_of(&self, key: &str) -> Option<String> {
        Some(match self.0.get(key)? {
            ConfigKeyLocation::FileLine(line) => line.clone(),
            ConfigKeyLocation::Environment(variable) => format!("environment {variable}"),
        })
    }

    /// An error about the value of a key, with the key's location.
    pub(crate) fn error_for_key(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        match self.0.get(key) {
            Some(ConfigKeyLocation::FileLine(line)) => {
                ConfigError::new(format!("{line}: {key}"), message)
            }
            Some(ConfigKeyLocation::Environment(variable)) => {
                ConfigError::new(format!("environment {variable}"), message)
            }
            None => ConfigError::new(key, message),
        }
    }
}
