//! `kind = "browser"`: the playlists that a page requests while a browser shows it. Off unless
//! `[extract.browser]` is enabled: a Chromium needs more memory and CPU than all of Pitwall.
//!
//! ```toml
//! [[source]]
//! name = "app"
//! kind = "browser"
//! feed = "World feed"
//! url = "https://club.example/app/live"
//! click = ["button.consent", "button.play"] # each once, as soon as it is shown
//! match = "/live/"                          # of the playlists, those whose URL matches
//! wait = "20s"
//! ```
//!
//! - [`launch`]: starts a Chromium for each run, or uses one that the operator runs: [`endpoint`].
//! - [`cdp`]: the part of the DevTools protocol that is needed here.
//! - [`run`]: shows the page; [`click`]: presses what `click` names.
//! - [`monitor`]: the network requests of the page while it is shown; [`documents`]: its frames.
//! - [`selection`]: which of these requests are candidates, and with which headers.
//!
//! Multivariant playlists become candidates, or media playlists if there is none, by the URL before
//! redirects: the target of a redirect may expire earlier. The page reaches no host that the
//! source's address policy denies. Nothing hides from the page that the browser is headless.

mod captured_request;
mod cdp;
mod click;
mod documents;
mod endpoint;
mod launch;
mod monitor;
mod run;
mod selection;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use regex::Regex;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use url::Url;

use self::captured_request::CapturedRequest;
use self::run::BrowserRun;
use super::egress::LoopbackProxy;
use super::recorder::{RecordedRequest, RecordedResponse};
use super::{ExternalTool, ExtractContext, Extractor, ExtractorOutput, RunBranch, StepFailure};
use crate::settings::{HttpUrl, HumanDuration, error_at, from_text};

pub(super) struct BrowserExtractor {
    url: Url,
    click_selectors: Vec<String>,
    url_filter: Option<Regex>,
    watch_duration: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: HttpUrl,
    #[serde(default)]
    click: Vec<String>,
    #[serde(rename = "match")]
    only: Option<Pattern>,
    wait: Option<HumanDuration>,
}

struct Pattern(Regex);

from_text!(Pattern, |text| Regex::new(text)
    .map(Self)
    .map_err(|error| format!("not a pattern: {error}")));

/// How long a page is shown at most, unless the source sets `wait`.
const WATCH_DEFAULT_DURATION: Duration = Duration::from_secs(20);
/// Added to a run's deadline, for the browser to start and to end.
const BROWSER_LIFECYCLE_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn configure(
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let settings_span = settings.span();
    let Settings { url, click, only, wait } =
        Settings::deserialize(ValueDeserializer::from(settings))?;
    // A page's requests have no name that could be the feed's.
    feed.ok_or_else(|| error_at(settings_span, "missing field `feed`"))?;
    Ok(Arc::new(BrowserExtractor {
        url: url.0,
        click_selectors: click,
        url_filter: only.map(|only| only.0),
        watch_duration: wait.map_or(WATCH_DEFAULT_DURATION, |wait| wait.0),
    }))
}

#[async_trait]
impl Extractor for BrowserExtractor {
    fn kind(&self) -> &'static str {
        "browser"
    }

    fn configured_origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        self.watch_duration + BROWSER_LIFECYCLE_TIMEOUT
    }

    fn required_tool(&self) -> Option<ExternalTool> {
        Some(ExternalTool::Browser)
    }

    async fn extract(&self, context: &ExtractContext<'_>) -> ExtractorOutput {
        let mut span = context.trace.start_step(&RunBranch::default(), "browse");
        let captured = self.browse_or_replay(context).await;
        if let Ok(captured) = &captured {
            span.set_match_count(captured.len());
        }
        let captured = match span.finish(captured) {
            Ok(captured) => captured,
            Err(failure) => return ExtractorOutput::from_error(failure.at_step("browse")),
        };
        let mut span = context.trace.start_step(&RunBranch::default(), "playlists");
        let candidates =
            selection::select_candidates(&captured, self.url_filter.as_ref(), context.source);
        span.set_match_count(candidates.len());
        if let Some(first) = candidates.first() {
            span.set_output("playlist", first.playlist.as_str());
        }
        let found = match candidates.is_empty() {
            true => Err(StepFailure::permanent("the page asked for no playlist")),
            false => Ok(candidates),
        };
        match span.finish(found) {
            Ok(candidates) => ExtractorOutput { candidates, ..ExtractorOutput::default() },
            Err(failure) => ExtractorOutput::from_error(failure.at_step("playlists")),
        }
    }
}

impl BrowserExtractor {
    async fn browse_or_replay(
        &self,
        context: &ExtractContext<'_>,
    ) -> Result<Vec<CapturedRequest>, StepFailure> {
        let request = RecordedRequest::new("BROWSE", self.url.as_str());
        let live = async {
            let captured = self.capture_requests(context).await?;
            let body = serde_json::to_vec(&captured).map_err(|error| error.to_string())?;
            Ok(RecordedResponse {
                url: self.url.to_string(),
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                cookies: Vec::new(),
                body: Bytes::from(body),
            })
        };
        let response = context.recorder.run_exchange(&RunBranch::default(), request, live).await?;
        serde_json::from_slice(&response.body).map_err(|error| error.to_string().into())
    }

    async fn capture_requests(
        &self,
        context: &ExtractContext<'_>,
    ) -> Result<Vec<CapturedRequest>, StepFailure> {
        if let Some(missing) = context.tools.explain_missing(ExternalTool::Browser) {
            return Err(missing.into());
        }
        let egress = LoopbackProxy::start(context.fetcher.clone(), context.policy.clone()).await?;
        let browser = launch::launch_or_reach_browser(context, &egress).await?;
        let run = BrowserRun {
            url: &self.url,
            click_selectors: &self.click_selectors,
            headers: &context.source.headers,
            egress: &egress,
        };
        let captured = run.run(&browser.endpoint, self.watch_duration).await?;
        if captured.is_empty()
            && let Some(denial) = egress.denial_failure(context.source)
        {
            return Err(denial);
        }
        Ok(captured)
    }
}

#[cfg(test)]
mod tests;
