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
//! An entry's name is its feed, unless `rename` or the source's `feed` gives another one: entries
//! with different names are different streams, and an entry without a name is reported and skipped.
//! The headers of an entry (`#EXTVLCOPT`, `#KODIPROP`, `#EXTHTTP`, `url|Name=value`) are sent for
//! its stream; the source's headers of the same name win. Entries that are not HLS over HTTP, or
//! under DRM, are skipped.
//!
//! - [`list`]: the parser of IPTV lists.

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

use self::list::{IptvEntry, IptvList};
use super::error::list_names;
use super::headers::{build_header_map, merge_learned_headers};
use super::{
    Candidate, ExtractContext, ExtractError, Extractor, ExtractorOutput, RunBranch, StepFailure,
};
use crate::expiry;
use crate::settings::{FeedName, HttpUrl, HumanDuration, from_text};

pub(super) struct M3uExtractor {
    url: Url,
    only: EntryFilter,
    except: EntryFilter,
    rename_rules: Vec<RenameRule>,
    timeout: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: HttpUrl,
    #[serde(default)]
    only: EntryFilter,
    #[serde(default)]
    except: EntryFilter,
    #[serde(default)]
    rename: Vec<RenameRule>,
    timeout: Option<HumanDuration>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { group = \"(?i)motorsport\" }")]
struct EntryFilter {
    name: Option<Pattern>,
    group: Option<Pattern>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { name = \"^F1\", feed = \"World feed\" }"
)]
struct RenameRule {
    name: Pattern,
    feed: FeedName,
    label: Option<String>,
}

struct Pattern(Regex);

from_text!(Pattern, |text| Regex::new(text)
    .map(Self)
    .map_err(|error| format!("not a pattern: {error}")));

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// IPTV lists often have tens of thousands of entries.
const LIST_MAX_BYTES: usize = 32 << 20;

pub(super) fn configure(
    _: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let Settings { url, only, except, rename, timeout } =
        Settings::deserialize(ValueDeserializer::from(settings))?;
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.0);
    Ok(Arc::new(M3uExtractor { url: url.0, only, except, rename_rules: rename, timeout }))
}

#[async_trait]
impl Extractor for M3uExtractor {
    fn kind(&self) -> &'static str {
        "m3u"
    }

    fn configured_origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn extract(&self, context: &ExtractContext<'_>) -> ExtractorOutput {
        let list = match self.fetch_list(context).await {
            Ok(list) => list,
            Err(error) => return ExtractorOutput::failed(error),
        };
        let mut span = context.trace.start_step(&RunBranch::default(), "filter");
        let entries = list.entries.iter().filter(|entry| self.is_selected(entry));
        let candidates = entries.map(|entry| (entry.line, self.build_candidate(context, entry)));
        let (named, nameless): (Vec<_>, Vec<_>) =
            candidates.partition(|(_, candidate)| StreamId::of_feed(&candidate.feed).is_some());
        span.set_match_count(named.len());
        let lines = nameless.iter().map(|(line, _)| format!("line {line}"));
        let unusable: Vec<_> =
            ExtractorOutput::describe_nameless(nameless.len(), lines).into_iter().collect();
        let candidates = named.into_iter().enumerate();
        let candidates: Vec<_> = candidates
            .map(|(position, (_, candidate))| Candidate { position, ..candidate })
            .collect();
        // An empty list means that the source has no stream now; a filter that matches none of a
        // list's entries is a mistake in the configuration.
        let nothing_matched =
            candidates.is_empty() && unusable.is_empty() && !list.entries.is_empty();
        let result = match nothing_matched {
            true => Err(StepFailure::permanent("no entry matches `only` and `except`")
                .with_detail(describe_groups(&list))),
            false => Ok(()),
        };
        match span.finish(result) {
            Ok(()) => ExtractorOutput { candidates, unusable, ..ExtractorOutput::default() },
            Err(failure) => ExtractorOutput::failed(failure.at_step("filter")),
        }
    }
}

/// The groups of a list, or its names if it has no groups, so that the operator can correct a
/// filter that matches nothing.
fn describe_groups(list: &IptvList) -> String {
    let groups: BTreeSet<&String> = list.entries.iter().map(|entry| &entry.group).collect();
    match groups.iter().any(|group| !group.is_empty()) {
        true => format!("the list has the groups: {}", list_names(groups.into_iter())),
        false => {
            let names = list.entries.iter().map(|entry| &entry.name);
            format!("the list has no groups, but the names: {}", list_names(names))
        }
    }
}

impl M3uExtractor {
    async fn fetch_list(&self, context: &ExtractContext<'_>) -> Result<IptvList, ExtractError> {
        let mut span = context.trace.start_step(&RunBranch::default(), "get");
        let fetched = async {
            let headers = build_header_map(&context.source.headers)?;
            let request = Request::get(self.url.clone()).source_headers(headers);
            let response = context.fetch(&RunBranch::default(), request, LIST_MAX_BYTES).await?;
            match response.is_success() {
                true => Ok(response),
                false => Err(StepFailure::from_status(response.status)),
            }
        };
        let fetched = fetched.await;
        if let Ok(response) = &fetched {
            span.set_status(response.status);
        }
        let response = span.finish(fetched).map_err(|failure| failure.at_step("get"))?;
        let mut span = context.trace.start_step(&RunBranch::default(), "list");
        let list = IptvList::parse(&response.text(), Url::parse(&response.url).ok().as_ref());
        if let Ok(list) = &list {
            span.set_match_count(list.entries.len());
            span.set_note(format!(
                "{} left out: not HLS over HTTP, or under DRM",
                list.skipped_count
            ));
        }
        span.finish(list.map_err(StepFailure::from)).map_err(|failure| failure.at_step("list"))
    }

    fn is_selected(&self, entry: &IptvEntry) -> bool {
        let matches = |pattern: &Option<Pattern>, text: &str, default| {
            pattern.as_ref().map_or(default, |pattern| pattern.0.is_match(text))
        };
        matches(&self.only.name, &entry.name, true)
            && matches(&self.only.group, &entry.group, true)
            && !matches(&self.except.name, &entry.name, false)
            && !matches(&self.except.group, &entry.group, false)
    }

    fn build_candidate(&self, context: &ExtractContext<'_>, entry: &IptvEntry) -> Candidate {
        let source = context.source;
        let rename = self.rename_rules.iter().find(|rename| rename.name.0.is_match(&entry.name));
        let renamed = rename.map(|rename| rename.feed.0.clone());
        let label = rename.and_then(|rename| rename.label.clone());
        Candidate {
            position: 0,
            feed: renamed.or_else(|| source.feed.clone()).unwrap_or_else(|| entry.name.clone()),
            label: label.or_else(|| source.label.clone()),
            playlist: entry.url.clone(),
            headers: merge_learned_headers(&source.headers, entry.headers.iter().cloned()),
            expires_at: expiry::expiry_from_url(&entry.url),
        }
    }
}

#[cfg(test)]
mod tests;
