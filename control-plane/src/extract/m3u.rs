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
//! its stream, and so is a user name and password of its URL; the source's headers of the same name
//! win. Entries that are not HLS over HTTP, or under DRM, are left out; those that the filters take
//! are reported, and it is a failure if no entry remains.
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

#[cfg(any(test, feature = "fuzzing"))]
pub use self::list::fuzzing::m3u;
use self::list::{IptvEntry, IptvList, MAX_ENTRIES};
use super::error::{describe_left_out, list_names};
use super::headers::{build_header_map, merge_learned_headers};
use super::recorder::RecordedResponse;
use super::{
    Candidate, ExtractContext, ExtractError, Extractor, ExtractorOutput, RunBranch, StepFailure,
};
use crate::charset;
use crate::compressed;
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
/// The files of an archive that are lists.
const LIST_EXTENSIONS: [&str; 2] = [".m3u", ".m3u8"];

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
            Err(error) => return ExtractorOutput::from_error(error),
        };
        let mut span = context.trace.start_step(&RunBranch::default(), "filter");
        let entries =
            list.entries.iter().filter(|entry| self.is_selected(&entry.name, &entry.group));
        let candidates = entries.map(|entry| (entry.line, self.build_candidate(context, entry)));
        let (named, nameless): (Vec<_>, Vec<_>) =
            candidates.partition(|(_, candidate)| StreamId::of_feed(&candidate.feed).is_some());
        span.set_match_count(named.len());
        let lines = nameless.iter().map(|(line, _)| format!("line {line}"));
        let left_out =
            list.left_out.iter().filter(|entry| self.is_selected(&entry.name, &entry.group));
        let left_out = describe_left_out(left_out.map(|entry| entry.reason))
            .map(|message| ExtractError::new("filter", message, false));
        let nameless = ExtractorOutput::nameless_error(nameless.len(), lines);
        let cut = list.is_cut.then(|| {
            let message = format!("only the first {MAX_ENTRIES} entries of the list are read");
            ExtractError::new("list", message, false)
        });
        let unusable: Vec<_> = nameless.into_iter().chain(left_out).chain(cut).collect();
        let candidates = named.into_iter().enumerate();
        let candidates: Vec<_> = candidates
            .map(|(position, (_, candidate))| Candidate { position, ..candidate })
            .collect();
        // An empty list means that the source has no stream now; a filter that matches none of a
        // list's entries is a mistake in the configuration.
        let list_is_empty = list.entries.is_empty() && list.left_out.is_empty();
        let nothing_matched = candidates.is_empty() && unusable.is_empty() && !list_is_empty;
        let result = match nothing_matched {
            true => Err(StepFailure::permanent("no entry matches `only` and `except`")
                .with_detail(describe_groups(&list))),
            false => Ok(()),
        };
        match span.finish(result) {
            Ok(()) => ExtractorOutput { candidates, unusable, ..ExtractorOutput::default() },
            Err(failure) => ExtractorOutput::from_error(failure.at_step("filter")),
        }
    }
}

/// The groups of a list, or its names if it has no groups, so that the operator can correct a
/// filter that matches nothing.
fn describe_groups(list: &IptvList) -> String {
    let entries = list.entries.iter().map(|entry| (&entry.name, &entry.group));
    let left_out = list.left_out.iter().map(|entry| (&entry.name, &entry.group));
    let all = || entries.clone().chain(left_out.clone());
    let groups: BTreeSet<&String> = all().map(|(_, group)| group).collect();
    match groups.iter().any(|group| !group.is_empty()) {
        true => format!("the list has the groups: {}", list_names(groups.into_iter())),
        false => {
            let names = all().map(|(name, _)| name);
            format!("the list has no groups, but the names: {}", list_names(names))
        }
    }
}

/// Parses the body of a response, which may be a compressed file.
fn parse_list(response: &RecordedResponse) -> Result<IptvList, String> {
    let body = compressed::decompress(&response.body, &LIST_EXTENSIONS, LIST_MAX_BYTES)?;
    let content_type = response.header("content-type");
    let text = charset::decode_body(&body, content_type);
    Ok(IptvList::parse(&text, Url::parse(&response.url).ok().as_ref())?)
}

impl M3uExtractor {
    async fn fetch_list(&self, context: &ExtractContext<'_>) -> Result<IptvList, ExtractError> {
        let mut span = context.trace.start_step(&RunBranch::default(), "get");
        let fetched = async {
            let headers = build_header_map(&context.source.headers)?;
            let request = Request::get(self.url.clone()).with_source_headers(headers);
            let response =
                context.fetch_recorded(&RunBranch::default(), request, LIST_MAX_BYTES).await?;
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
        let list = parse_list(&response);
        if let Ok(list) = &list {
            span.set_match_count(list.entries.len());
            if let Some(note) = describe_left_out(list.left_out.iter().map(|entry| entry.reason)) {
                span.set_note(note);
            }
        }
        span.finish(list.map_err(StepFailure::from)).map_err(|failure| failure.at_step("list"))
    }

    fn is_selected(&self, name: &str, group: &str) -> bool {
        let has_name = |pattern: &Pattern| pattern.0.is_match(name);
        // An entry of several groups is in each of them.
        let has_group = |pattern: &Pattern| {
            pattern.0.is_match(group) || group.split(';').any(|one| pattern.0.is_match(one.trim()))
        };
        self.only.name.as_ref().is_none_or(has_name)
            && self.only.group.as_ref().is_none_or(has_group)
            && !self.except.name.as_ref().is_some_and(has_name)
            && !self.except.group.as_ref().is_some_and(has_group)
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
