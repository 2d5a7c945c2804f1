//! [`Origins`]: where each key of a configuration stands, for mistakes that only show once its
//! value is used: a file that is not there, an address that nobody has.

use std::collections::HashMap;
use std::fmt;

use toml::de::{DeTable, DeValue};

use super::{Invalid, Place};

/// Dotted keys (`edge.tls.cert`, `webhook.0.secret_file`) to where their values come from.
#[derive(Default)]
pub(crate) struct Origins(HashMap<String, Origin>);

enum Origin {
    /// `FILE:LINE`.
    Line(String),
    Environment(String),
}

impl Origins {
    pub(super) fn of_file(place: &Place<'_>, table: &DeTable<'_>) -> Self {
        let mut origins = Self::default();
        origins.collect(place, "", table);
        origins
    }

    /// A variable named `PITWALL_` and this path is where the value comes from.
    pub(super) fn set(&mut self, path: &str, variable: &str) {
        let key = path.to_lowercase().replace("__", ".");
        self.0.insert(key, Origin::Environment(variable.to_owned()));
    }

    fn collect(&mut self, place: &Place<'_>, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            match value.get_ref() {
                DeValue::Table(inner) => self.collect(place, &format!("{key}."), inner),
                DeValue::Array(items) => {
                    let tables = items.iter().enumerate();
                    let tables =
                        tables.filter_map(|(n, item)| Some((n, item, item.get_ref().as_table()?)));
                    for (n, item, inner) in tables {
                        let key = format!("{key}.{n}");
                        self.collect(place, &format!("{key}."), inner);
                        self.insert_line(key, place, item.span().start);
                    }
                }
                _ => {}
            }
            self.insert_line(key, place, name.span().start);
        }
    }

    fn insert_line(&mut self, key: String, place: &Place<'_>, offset: usize) {
        let line = format!("{}:{}", place.name, place.line(offset));
        self.0.insert(key, Origin::Line(line));
    }

    /// `FILE:LINE`, a variable of the environment, or nothing where a default holds.
    pub(crate) fn place(&self, key: &str) -> Option<String> {
        Some(match self.0.get(key)? {
            Origin::Line(line) => line.clone(),
            Origin::Environment(variable) => format!("environment {variable}"),
        })
    }

    /// What is wrong with the value of a key.
    pub(crate) fn invalid(&self, key: &str, message: impl fmt::Display) -> Invalid {
        match self.0.get(key) {
            Some(Origin::Line(line)) => Invalid::new(format!("{line}: {key}"), message),
            Some(Origin::Environment(variable)) => {
                Invalid::new(format!("environment {variable}"), message)
            }
            None => Invalid::new(key, message),
        }
    }
}
