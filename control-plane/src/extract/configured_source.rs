//! A `[[source]]` as it is configured: a [`Source`] with the [`Extractor`] of its kind.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Deserialize as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{Extractor, configure_extractor};
use crate::settings::error_at;
use crate::source::{COMMON_KEYS, CommonSettings, Source};

/// One `[[source]]` of the configuration: what an extraction runs.
#[derive(Clone)]
pub struct ConfiguredSource {
    pub(in crate::extract) source: Source,
    pub(in crate::extract) extractor: Arc<dyn Extractor>,
    definition: blake3::Hash,
}

impl ConfiguredSource {
    /// Parses one `[[source]]` table.
    ///
    /// # Errors
    /// With the span of the invalid key or value.
    pub fn parse(table: Spanned<DeTable<'_>>) -> Result<Self, toml::de::Error> {
        let span = table.span();
        let definition = hash_definition(&table)?;
        let (common, rest): (DeTable<'_>, DeTable<'_>) = table
            .into_inner()
            .into_iter()
            .partition(|(key, _)| COMMON_KEYS.contains(&key.get_ref().as_ref()));
        let value = |table| Spanned::new(span.clone(), DeValue::Table(table));
        let common = CommonSettings::deserialize(ValueDeserializer::from(value(common)))?;
        let feed = common.feed.as_ref().map(|feed| feed.0.as_str());
        let own_keys: Vec<String> = rest.keys().map(|key| key.get_ref().to_string()).collect();
        let extractor = configure_extractor(&common.kind, feed, value(rest))
            .map_err(|error| name_common_keys(error, &own_keys))?;
        let feeds = extractor.configured_feeds(feed);
        let origins = extractor.configured_origins();
        let source = Source::new(common, extractor.kind(), feeds, origins);
        Ok(Self { source, extractor, definition })
    }

    /// Parses every `[[source]]` in the text of a file, for tools and tests.
    ///
    /// # Errors
    /// With the span of the invalid key or value.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, toml::de::Error> {
        let mut file = DeTable::parse(text)?.into_inner();
        let Some(sources) = file.remove("source") else { return Ok(Vec::new()) };
        let span = sources.span();
        let DeValue::Array(sources) = sources.into_inner() else {
            return Err(error_at(span, "write [[source]], not [source]"));
        };
        sources.into_iter().map(Self::parse_value).collect()
    }

    /// Parses the text of a file in `sources/`, which is one source.
    ///
    /// # Errors
    /// With the span of the invalid key or value.
    pub fn parse_source_file(text: &str) -> Result<Self, toml::de::Error> {
        let file = DeTable::parse(text)?;
        if let Some((key, _)) = file.get_ref().get_key_value("source") {
            let why = "a file in sources/ is one source: leave [[source]] out";
            return Err(error_at(key.span(), why));
        }
        Self::parse(file)
    }

    /// Like [`parse`](Self::parse), for one element of the array `source`.
    ///
    /// # Errors
    /// With the span of the invalid key or value.
    pub fn parse_value(value: Spanned<DeValue<'_>>) -> Result<Self, toml::de::Error> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Self::parse(Spanned::new(span, table)),
            _ => Err(error_at(span, "a source is a table")),
        }
    }

    /// Whether both are written with the same keys and values, whatever their order and layout.
    pub fn has_same_definition(&self, other: &Self) -> bool {
        self.definition == other.definition
    }
}

/// The parser of a kind knows that kind's keys alone: an unknown key may be one of every source that
/// is misspelt.
fn name_common_keys(error: toml::de::Error, own_keys: &[String]) -> toml::de::Error {
    let unknown = error.message().strip_prefix("unknown field `");
    let unknown = unknown.and_then(|rest| rest.split_once('`')).map(|(key, _)| key);
    let (Some(span), Some(_)) =
        (error.span(), unknown.filter(|it| own_keys.iter().any(|key| key == it)))
    else {
        return error;
    };
    let common = COMMON_KEYS.map(|key| format!("`{key}`")).join(", ");
    error_at(span, format!("{}, or one of any source: {common}", error.message()))
}

/// The hash of a source's keys and values, which hold secrets.
fn hash_definition(table: &Spanned<DeTable<'_>>) -> Result<blake3::Hash, toml::de::Error> {
    let value = Spanned::new(table.span(), DeValue::Table(table.get_ref().clone()));
    // The keys of a `toml::Table` are sorted.
    let table = toml::Table::deserialize(ValueDeserializer::from(value))?;
    Ok(blake3::hash(table.to_string().as_bytes()))
}

impl Deref for ConfiguredSource {
    type Target = Source;

    fn deref(&self) -> &Source {
        &self.source
    }
}

impl fmt::Debug for ConfiguredSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

#[cfg(test)]
mod tests;
