//! Extractors: a configured [`Source`] in, [`Candidate`]s out.
//!
//! - `static`: a playlist URL that never changes.
//! - [`recipe`]: pages, forms, cookies and patterns, declared step by step.
//!
//! A new kind is a file here and a line in [`configure`].

pub(crate) mod recipe;
mod r#static;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use jiff::Timestamp;
use pitwall_fetch::{FetchError, Fetcher, Policy};
use pitwall_upstream_map::StreamId;
use toml::Spanned;
use toml::de::DeValue;
use url::Url;

use crate::settings::error_at;
use crate::source::Source;

/// The code of one kind of source.
#[async_trait]
pub(crate) trait Extractor: Send + Sync {
    fn kind(&self) -> &'static str;

    /// Ports that its configured URLs name.
    fn ports(&self) -> Vec<u16>;

    /// How long a run may take.
    fn timeout(&self) -> Duration;

    async fn extract(&self, context: &Context<'_>) -> Found;
}

pub(crate) struct Context<'a> {
    pub(crate) source: &'a Source,
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) policy: Policy,
}

/// One found playlist URL, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its place among what its source found: streams are listed in this order.
    pub position: usize,
    pub feed: String,
    pub label: Option<String>,
    pub playlist: Url,
    pub headers: Vec<(String, String)>,
    pub expires_at: Option<Timestamp>,
}

/// What one run yielded. A run that finds some feeds and fails for others has both; one that
/// finds nothing without failing says that the source has nothing now.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) failures: Vec<ExtractError>,
    /// How many were found beyond those that are taken.
    pub(crate) dropped: usize,
}

/// Which step failed and why. Public answers show `step` and `message`, so neither holds a URL,
/// a token or a host; `detail` is for logs and the terminal.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ExtractError {
    pub step: String,
    pub message: String,
    pub detail: Option<String>,
    /// Might the same run succeed if it were tried again soon?
    pub retryable: bool,
}

/// The most that one source may find: more is a mistake, or an attack.
const MAX_CANDIDATES: usize = 200;

/// One match line per kind.
pub(crate) fn configure(
    kind: &Spanned<String>,
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    match kind.get_ref().as_str() {
        "static" => Ok(Arc::new(r#static::configure(feed, settings)?)),
        "recipe" => Ok(Arc::new(recipe::configure(feed, settings)?)),
        other => {
            let message =
                format!("{other:?} is not a kind of source: use \"static\" or \"recipe\"");
            Err(error_at(kind.span(), message))
        }
    }
}

/// Runs a source once, bounded in time and number, isolated from panics.
pub(crate) async fn run(source: &Source, fetcher: &Fetcher) -> Found {
    let context = Context { source, fetcher, policy: source.policy() };
    let deadline = source.extractor.timeout();
    let run = AssertUnwindSafe(source.extractor.extract(&context)).catch_unwind();
    let mut found = match tokio::time::timeout(deadline, run).await {
        Ok(Ok(found)) => found,
        Ok(Err(_)) => Found::failed(ExtractError::new("run", "the extractor panicked", false)),
        Err(_) => {
            let message = format!("not finished within {}", humantime::format_duration(deadline));
            Found::failed(ExtractError::new("run", message, true))
        }
    };
    // No failure: trying again would find as many.
    found.dropped = found.candidates.len().saturating_sub(MAX_CANDIDATES);
    found.candidates.truncate(MAX_CANDIDATES);
    found.candidates.retain(|candidate| StreamId::of_feed(&candidate.feed).is_some());
    found
}

/// Runs a source once, for `pitwall extract`. Feeds that failed beside others that were found
/// are logged.
pub async fn extract_once(
    source: &Source,
    fetcher: &Fetcher,
) -> Result<Vec<Candidate>, ExtractError> {
    let Found { candidates, failures, dropped } = run(source, fetcher).await;
    if dropped > 0 {
        tracing::warn!(source = source.name, dropped, "more streams found than are taken");
    }
    let mut failures = failures.into_iter();
    if candidates.is_empty()
        && let Some(first) = failures.next()
    {
        return Err(first);
    }
    for error in failures {
        tracing::warn!(source = source.name, %error, "part of the extraction failed");
    }
    Ok(candidates)
}

impl Found {
    pub(crate) fn failed(error: ExtractError) -> Self {
        Self { failures: vec![error], ..Self::default() }
    }
}

impl ExtractError {
    pub(crate) fn new(
        step: impl Into<String>,
        message: impl Into<String>,
        retryable: bool,
    ) -> Self {
        Self { step: step.into(), message: message.into(), detail: None, retryable }
    }

    pub(crate) fn fetch(step: impl Into<String>, error: &FetchError) -> Self {
        let (message, detail) = (FetchError::from(error.kind).to_string(), error.to_string());
        let detail = (detail != message).then_some(detail);
        Self { step: step.into(), message, detail, retryable: error.is_transient() }
    }
}

impl fmt::Display for ExtractError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.detail.as_ref().unwrap_or(&self.message))
    }
}

/// The URL without its query and the headers without their values: both hold tokens.
impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Candidate")
            .field("feed", &self.feed)
            .field("label", &self.label)
            .field("host", &self.playlist.host_str())
            .field("headers", &headers)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
