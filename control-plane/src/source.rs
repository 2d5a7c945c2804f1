//! A source: the settings that all kinds share. The settings of one kind belong to its extractor.
//!
//! - [`check_rules`]: `[source.check]`, what the operator requires of a source's streams.
//! - [`check_limiter`]: limits the concurrent requests of all checks of a source.

mod check_limiter;
mod check_rules;

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use pitwall_fetch::{AddressPolicy, FetchError, OwnListeners, PrivateRange};
use serde::Deserialize;
use toml::Spanned;
use url::Url;

pub(crate) use self::check_limiter::{CheckLimiter, CheckPermit};
pub use self::check_rules::CheckRules;
use crate::settings::{FeedName, HeaderTable, HeaderText, HumanDuration, SourceName};

/// One `[[source]]` of the configuration.
#[derive(Clone)]
pub struct Source {
    pub name: String,
    /// The feed of every candidate for which the extractor names none.
    pub feed: Option<String>,
    pub label: Option<String>,
    pub note: Option<String>,
    /// Header fields sent with every request to this source and to the URLs that it yields.
    pub headers: Vec<(String, String)>,
    /// Longest time between two extractions; an earlier expiry of a token shortens it.
    pub every: Duration,
    /// Private address ranges that this source's requests may reach.
    pub allow_private: Vec<IpNet>,
    /// Allowed ports beside 80 and 443, the ports of the configured URLs included.
    pub ports: Vec<u16>,
    /// Query parameters that carry nothing but a token.
    pub token_parameters: Vec<String>,
    /// Maximum number of concurrent requests to this source.
    pub connections: Option<NonZeroU32>,
    /// A healthy upstream of a higher priority is active before any of a lower one, whatever their
    /// scores.
    pub priority: i32,
    /// Lifetime of a found URL when the URL states none and none was learned.
    pub ttl: Option<Duration>,
    pub check: CheckRules,
    pub(crate) check_limiter: CheckLimiter,
    /// The value of `kind`.
    pub kind: &'static str,
    /// The feeds that the configuration alone names, without an extraction.
    pub(crate) configured_feeds: Vec<String>,
    /// The origins that the configured URLs name; only scheme, host and port of each URL count.
    pub(crate) configured_origins: Vec<Url>,
}

/// The keys of every `[[source]]`; all other keys belong to its kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommonSettings {
    name: SourceName,
    pub(crate) kind: Spanned<String>,
    pub(crate) feed: Option<FeedName>,
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

pub(crate) const COMMON_KEYS: [&str; 14] = [
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

const DEFAULT_RUN_INTERVAL: Duration = Duration::from_mins(5);

impl Source {
    pub(crate) fn new(
        common: CommonSettings,
        kind: &'static str,
        configured_feeds: Vec<String>,
        configured_origins: Vec<Url>,
    ) -> Self {
        let mut ports: Vec<u16> = common.ports.into_iter().map(Into::into).collect();
        ports.extend(configured_origins.iter().filter_map(Url::port));
        ports.sort_unstable();
        ports.dedup();
        Self {
            name: common.name.0,
            feed: common.feed.map(|feed| feed.0),
            label: common.label,
            note: common.note,
            headers: common.headers.0.into_iter().map(|(name, text)| (name, text.0)).collect(),
            every: common.every.map_or(DEFAULT_RUN_INTERVAL, |every| every.0),
            allow_private: common.allow_private.into_iter().map(|range| range.0).collect(),
            ports,
            token_parameters: common.token_parameters,
            connections: common.connections,
            priority: common.priority,
            ttl: common.ttl.map(|ttl| ttl.0),
            check: common.check,
            check_limiter: CheckLimiter::new(common.connections),
            kind,
            configured_feeds,
            configured_origins,
        }
    }

    /// Where this source's keys stand, as messages to the operator say it.
    pub fn config_location(&self) -> String {
        format!("in source {:?}", self.name)
    }

    /// The configured URLs that are denied whatever addresses their names resolve to, by the
    /// address policy or because Pitwall listens there; each message names the key that would allow
    /// the URL, if one would.
    pub fn policy_denials(&self, own_listeners: &OwnListeners) -> Vec<String> {
        let (policy, location) = (self.fetch_policy(), self.config_location());
        let results = self.configured_origins.iter().map(|origin| {
            own_listeners.check_url(origin)?;
            policy.check_url(origin)
        });
        let denied = results.filter_map(Result::err).filter(FetchError::is_denied);
        let mut denials: Vec<String> = denied.map(|error| error.operator_text(&location)).collect();
        denials.dedup();
        denials
    }

    /// The address policy of requests to this source.
    pub fn fetch_policy(&self) -> AddressPolicy {
        AddressPolicy { allow_private: self.allow_private.clone(), ports: self.ports.clone() }
    }
}

/// Omits the headers, which hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("feed", &self.feed)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
