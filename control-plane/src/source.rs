//! A configured source: what all kinds share. The settings of a kind are its extractor's.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use pitwall_fetch::{FetchError, Policy, PrivateRange};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use url::Url;

use crate::check::{CheckRules, Turns};
use crate::extract::{self, Extractor};
use crate::settings::{FeedName, HeaderTable, HeaderText, HumanDuration, SourceName, error_at};

/// A place where streams are found: one `[[source]]`.
#[derive(Clone)]
pub struct Source {
    pub name: String,
    /// The feed that it finds, unless the extractor says otherwise.
    pub feed: Option<String>,
    pub label: Option<String>,
    pub note: Option<String>,
    /// Sent with every request to this source and to what it finds.
    pub headers: Vec<(String, String)>,
    /// How often it is asked when no token expires earlier.
    pub every: Duration,
    pub allow_private: Vec<IpNet>,
    /// Beside 80 and 443; the ports of configured URLs are among them.
    pub ports: Vec<u16>,
    /// Query parameters that are only a token.
    pub token_parameters: Vec<String>,
    /// How many requests it may be sent at once.
    pub connections: Option<NonZeroU32>,
    /// Higher plays first, however much better another one scores.
    pub priority: i32,
    /// How long what it finds lives, when neither the URL nor experience tells.
    pub ttl: Option<Duration>,
    pub check: CheckRules,
    pub(crate) turns: Turns,
    pub(crate) extractor: Arc<dyn Extractor>,
}

/// Keys of every `[[source]]`; all others belong to its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    name: SourceName,
    kind: Spanned<String>,
    feed: Option<FeedName>,
    label: Option<String>,
    note: Option<String>,
    #[serde(default)]
    headers: HeaderTable<HeaderText>,
    every: Option<HumanDuration>,
    #[serde(default)]
    allow_private: Vec<PrivateRange>,
    #[serde(default)]
    ports: Vec<std::num::NonZeroU16>,
    #[serde(default)]
    token_parameters: Vec<String>,
    connections: Option<NonZeroU32>,
    #[serde(default)]
    priority: i32,
    ttl: Option<HumanDuration>,
    #[serde(default)]
    check: CheckRules,
}

const COMMON: [&str; 14] = [
    "name",
    "kind",
    "feed",
    "label",
    "note",
    "headers",
    "every",
    "allow_private",
    "ports",
    "token_parameters",
    "connections",
    "priority",
    "ttl",
    "check",
];

const EVERY: Duration = Duration::from_mins(5);

impl Source {
    /// Reads one `[[source]]` table. Errors carry the span of what they are about.
    pub fn parse(table: Spanned<DeTable<'_>>) -> Result<Self, toml::de::Error> {
        let span = table.span();
        let (common, rest): (DeTable<'_>, DeTable<'_>) = table
            .into_inner()
            .into_iter()
            .partition(|(key, _)| COMMON.contains(&key.get_ref().as_ref()));
        let value = |table| Spanned::new(span.clone(), DeValue::Table(table));
        let common = Common::deserialize(ValueDeserializer::from(value(common)))?;
        let feed = common.feed.map(|feed| feed.0);
        let extractor = extract::configure(&common.kind, feed.as_deref(), value(rest))?;
        let mut ports: Vec<u16> = common.ports.into_iter().map(Into::into).collect();
        ports.extend(extractor.origins().iter().filter_map(Url::port));
        ports.sort_unstable();
        ports.dedup();
        Ok(Self {
            name: common.name.0,
            feed,
            label: common.label,
            note: common.note,
            headers: common.headers.0.into_iter().map(|(name, text)| (name, text.0)).collect(),
            every: common.every.map_or(EVERY, |every| every.0),
            allow_private: common.allow_private.into_iter().map(|range| range.0).collect(),
            ports,
            token_parameters: common.token_parameters,
            connections: common.connections,
            priority: common.priority,
            ttl: common.ttl.map(|ttl| ttl.0),
            check: common.check,
            turns: Turns::new(common.connections),
            extractor,
        })
    }

    /// Every `[[source]]` in the text of a file, for tools and tests.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, toml::de::Error> {
        let mut file = DeTable::parse(text)?.into_inner();
        let Some(sources) = file.remove("source") else { return Ok(Vec::new()) };
        let span = sources.span();
        let DeValue::Array(sources) = sources.into_inner() else {
            return Err(error_at(span, "write [[source]], not [source]"));
        };
        sources.into_iter().map(Self::parse_value).collect()
    }

    /// Like [`parse`](Self::parse), for an element of the array `source`.
    pub fn parse_value(value: Spanned<DeValue<'_>>) -> Result<Self, toml::de::Error> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Self::parse(Spanned::new(span, table)),
            _ => Err(error_at(span, "a source is a table")),
        }
    }

    pub fn kind(&self) -> &'static str {
        self.extractor.kind()
    }

    /// The feeds that it finds by its configuration alone.
    pub(crate) fn feeds(&self) -> Vec<String> {
        self.extractor.feeds(self.feed.as_deref())
    }

    /// How messages for the operator call the place of its keys.
    pub fn place(&self) -> String {
        format!("in source {:?}", self.name)
    }

    /// What the address policy forbids of its configured URLs whatever their names resolve to,
    /// each with the key that would allow it.
    pub fn denials(&self) -> Vec<String> {
        let (policy, place) = (self.policy(), self.place());
        let judged = self.extractor.origins().into_iter().map(|origin| policy.check(&origin));
        let denied = judged.filter_map(Result::err).filter(FetchError::is_denied);
        let mut denials: Vec<String> = denied.map(|error| error.operator(&place)).collect();
        denials.dedup();
        denials
    }

    /// Where requests of this source may lead.
    pub fn policy(&self) -> Policy {
        Policy { allow_private: self.allow_private.clone(), ports: self.ports.clone() }
    }
}

/// Without the headers, which hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("kind", &self.kind())
            .field("feed", &self.feed)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
