//! `kind = "m3u"`: an IPTV list, of which some entries are taken.
//!
//! ```toml
//! [[source]]
//! name = "provider"
//! kind = "m3u"
//! url = "https://provider.example/list.m3u"
//! only = { group = "(?i)motorsport", name = "^F1" }       # patterns; what both match is taken
//! except = { name = "(?i)replay" }
//! rename = [{ name = "F1 .*Main", feed = "World feed" }]  # the first that matches
//! ```
//!
//! An entry's name is its feed, unless `rename` or the source's `feed` says otherwise: entries with
//! other names are other streams, and one without any is told and left out. Its own
//! headers (`#EXTVLCOPT`, `#KODIPROP`, `#EXTHTTP`, `url|Name=value`) go along with it; those of
//! the source win. Entries that are not HLS over HTTP, or under DRM, are left out.

mod list;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pitwall_fetch::Request;
use pitwall_upstream_map::StreamId;
use regex::Regex;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use url::Url;

use self::list::{Entry, List};
use super::error::listing;
use super::headers::{sendable, taken_over};
use super::{Candidate, Context, ExtractError, Extractor, Failure, Found, Track};
use crate::expiry;
use crate::settings::{FeedName, HttpUrl, HumanDuration, from_text};

pub(super) struct M3u {
    url: Url,
    only: Match,
    except: Match,
    rename: Vec<Rename>,
    timeout: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: HttpUrl,
    #[serde(default)]
    only: Match,
    #[serde(default)]
    except: Match,
    #[serde(default)]
    rename: Vec<Rename>,
    timeout: Option<HumanDuration>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { group = \"(?i)motorsport\" }")]
struct Match {
    name: Option<Pattern>,
    group: Option<Pattern>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { name = \"^F1\", feed = \"World feed\" }"
)]
struct Rename {
    name: Pattern,
    feed: FeedName,
    label: Option<String>,
}

struct Pattern(Regex);

from_text!(Pattern, |text| Regex::new(text)
    .map(Self)
    .map_err(|error| format!("not a pattern: {error}")));

const TIMEOUT: Duration = Duration::from_secs(30);
/// Lists of tens of thousands of entries are usual.
const MAX_LIST: usize = 32 << 20;

pub(super) fn configure(
    _: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let Settings { url, only, except, rename, timeout } =
        Settings::deserialize(ValueDeserializer::from(settings))?;
    let timeout = timeout.map_or(TIMEOUT, |timeout| timeout.0);
    Ok(Arc::new(M3u { url: url.0, only, except, rename, timeout }))
}

#[async_trait]
impl Extractor for M3u {
    fn kind(&self) -> &'static str {
        "m3u"
    }

    fn origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn extract(&self, context: &Context<'_>) -> Found {
        let list = match self.list(context).await {
            Ok(list) => list,
            Err(error) => return Found::failed(error),
        };
        let mut tracing = context.trace.begin(&Track::default(), "filter");
        let entries = list.entries.iter().filter(|entry| self.wants(entry));
        let candidates = entries.map(|entry| (entry.line, self.candidate(context, entry)));
        let (named, nameless): (Vec<_>, Vec<_>) =
            candidates.partition(|(_, candidate)| StreamId::of_feed(&candidate.feed).is_some());
        tracing.matched(named.len());
        let lines = nameless.iter().map(|(line, _)| format!("line {line}"));
        let unusable: Vec<_> = Found::nameless(nameless.len(), lines).into_iter().collect();
        let candidates = named.into_iter().enumerate();
        let candidates: Vec<_> = candidates
            .map(|(position, (_, candidate))| Candidate { position, ..candidate })
            .collect();
        // An empty list is an answer; a filter that matches nothing is a mistake.
        let none = candidates.is_empty() && unusable.is_empty() && !list.entries.is_empty();
        let result = match none {
            true => {
                Err(Failure::lasting("no entry matches `only` and `except`").detail(groups(&list)))
            }
            false => Ok(()),
        };
        match tracing.end(result) {
            Ok(()) => Found { candidates, unusable, ..Found::default() },
            Err(failure) => Found::failed(failure.at("filter")),
        }
    }
}

/// What a filter could have been meant for.
fn groups(list: &List) -> String {
    let groups: BTreeSet<&String> = list.entries.iter().map(|entry| &entry.group).collect();
    match groups.iter().any(|group| !group.is_empty()) {
        true => format!("the list has the groups: {}", listing(groups.into_iter())),
        false => {
            let names = list.entries.iter().map(|entry| &entry.name);
            format!("the list has no groups, but the names: {}", listing(names))
        }
    }
}

impl M3u {
    async fn list(&self, context: &Context<'_>) -> Result<List, ExtractError> {
        let mut tracing = context.trace.begin(&Track::default(), "get");
        let fetched = async {
            let headers = sendable(&context.source.headers)?;
            let request = Request::get(self.url.clone()).source_headers(headers);
            let answer = context.fetch(&Track::default(), request, MAX_LIST).await?;
            match answer.is_success() {
                true => Ok(answer),
                false => Err(Failure::status(answer.status)),
            }
        };
        let fetched = fetched.await;
        if let Ok(answer) = &fetched {
            tracing.status(answer.status);
        }
        let answer = tracing.end(fetched).map_err(|failure| failure.at("get"))?;
        let mut tracing = context.trace.begin(&Track::default(), "list");
        let list = List::parse(&answer.text(), Url::parse(&answer.url).ok().as_ref());
        if let Ok(list) = &list {
            tracing.matched(list.entries.len());
            tracing.says(format!("{} left out: not HLS over HTTP, or under DRM", list.left_out));
        }
        tracing.end(list.map_err(Failure::from)).map_err(|failure| failure.at("list"))
    }

    fn wants(&self, entry: &Entry) -> bool {
        let is = |pattern: &Option<Pattern>, text: &str, otherwise| {
            pattern.as_ref().map_or(otherwise, |pattern| pattern.0.is_match(text))
        };
        is(&self.only.name, &entry.name, true)
            && is(&self.only.group, &entry.group, true)
            && !is(&self.except.name, &entry.name, false)
            && !is(&self.except.group, &entry.group, false)
    }

    fn candidate(&self, context: &Context<'_>, entry: &Entry) -> Candidate {
        let source = context.source;
        let rename = self.rename.iter().find(|rename| rename.name.0.is_match(&entry.name));
        let renamed = rename.map(|rename| rename.feed.0.clone());
        let label = rename.and_then(|rename| rename.label.clone());
        Candidate {
            position: 0,
            feed: renamed.or_else(|| source.feed.clone()).unwrap_or_else(|| entry.name.clone()),
            label: label.or_else(|| source.label.clone()),
            playlist: entry.url.clone(),
            headers: taken_over(&source.headers, entry.headers.iter().cloned()),
            expires_at: expiry::of_url(&entry.url),
        }
    }
}

#[cfg(test)]
mod tests;
