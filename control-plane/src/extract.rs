//! Extractors: a [`ConfiguredSource`] in, [`Candidate`]s out.
//!
//! Source kinds, one module each; a new kind is a module here and an entry in [`EXTRACTOR_KINDS`]:
//! - `static`: a playlist URL that never changes.
//! - [`m3u`]: an IPTV list, filtered.
//! - [`yt_dlp`], [`streamlink`]: what these programs find on a page. [`program`] runs them, and
//!   [`egress`] is the only network path that they have.
//! - [`browser`]: what a page requests while a Chromium shows it.
//! - [`recipe`]: pages, forms, cookies and patterns, declared step by step.
//!
//! Shared by all kinds:
//! - [`runner`]: deadlines, concurrency limits and panic isolation; [`config`]: `[extract]`.
//! - [`candidate`]: the output of a run; [`error`]: which step failed and why.
//! - [`trace`]: what each step did, with secrets masked by [`mask`].
//! - [`recorder`]: HTTP exchanges recorded and replayed; [`drift`]: the first step that differs
//!   from a recording, compared by [`shape`].
//! - [`tools`]: external programs that may not be installed; [`run_directory`]: the only directory
//!   that such a program may write to.
//! - [`headers`]: header lists overlaid and validated.
//! - [`gzip`]: compressed files; [`charset`](crate::charset) decodes what is in other encodings.

mod browser;
mod candidate;
mod config;
mod configured_source;
mod drift;
mod egress;
pub(crate) mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod headers;
mod m3u;
mod mask;
mod program;
pub(crate) mod recipe;
mod recorder;
mod run_directory;
mod runner;
mod shape;
mod r#static;
mod streamlink;
mod tools;
mod trace;
mod yt_dlp;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pitwall_fetch::{AddressPolicy, CookieJar, Fetcher, Request};
use toml::Spanned;
use toml::de::DeValue;
use url::Url;

pub use self::candidate::Candidate;
pub(crate) use self::candidate::ExtractorOutput;
pub use self::config::{BrowserConfig, ExtractConfig};
pub use self::configured_source::ConfiguredSource;
pub use self::drift::{Drift, find_first_drift};
pub use self::error::ExtractError;
pub(crate) use self::error::StepFailure;
pub(crate) use self::mask::{is_secret_name, mask_value};
pub use self::recipe::run_script_worker;
use self::recorder::{HttpRecorder, RecordedRequest, RecordedResponse};
pub use self::recorder::{Recording, RecordingError};
pub use self::runner::{Extraction, ExtractionRunner};
use self::tools::{ExternalTool, ExternalTools};
use self::trace::Trace;
pub use self::trace::{RunBranch, TracedStep};
use crate::settings::error_at;
use crate::source::Source;

/// The value of a source's `kind`, and the function that reads the settings of that kind.
const EXTRACTOR_KINDS: [(&str, ExtractorFactory); 6] = [
    ("static", r#static::configure),
    ("recipe", recipe::configure),
    ("m3u", m3u::configure),
    ("yt-dlp", yt_dlp::configure),
    ("streamlink", streamlink::configure),
    ("browser", browser::configure),
];

/// Validates a source's `feed` and the keys that only its kind has.
type ExtractorFactory =
    fn(Option<&str>, Spanned<DeValue<'_>>) -> Result<Arc<dyn Extractor>, toml::de::Error>;

/// The code of one source kind: a [`Source`] in, [`Candidate`]s out.
#[async_trait]
pub(crate) trait Extractor: Send + Sync {
    fn kind(&self) -> &'static str;

    /// The origins that the configured URLs name; only scheme, host and port of each URL count.
    fn configured_origins(&self) -> Vec<Url>;

    /// The feeds that the configuration alone names, before any list or page is read. `feed` is the
    /// source's own `feed` key.
    fn configured_feeds(&self, feed: Option<&str>) -> Vec<String> {
        feed.map(str::to_owned).into_iter().collect()
    }

    /// The deadline of one run.
    fn timeout(&self) -> Duration;

    /// The program or browser without which the extractor cannot run.
    fn required_tool(&self) -> Option<ExternalTool> {
        None
    }

    async fn extract(&self, context: &ExtractContext<'_>) -> ExtractorOutput;
}

/// What one run of an [`Extractor`] works with.
pub(crate) struct ExtractContext<'a> {
    pub(crate) source: &'a Source,
    pub(crate) fetcher: &'a Arc<Fetcher>,
    pub(crate) tools: &'a ExternalTools,
    pub(crate) policy: AddressPolicy,
    pub(crate) recorder: &'a HttpRecorder,
    pub(crate) trace: &'a Trace,
}

fn configure_extractor(
    kind: &Spanned<String>,
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let name = kind.get_ref();
    match EXTRACTOR_KINDS.iter().find(|(known, _)| known == name) {
        Some((_, configure)) => configure(feed, settings),
        None => {
            let kinds: Vec<String> =
                EXTRACTOR_KINDS.iter().map(|(known, _)| format!("{known:?}")).collect();
            let message = format!("{name:?} is not a kind of source: use {}", kinds.join(", "));
            Err(error_at(kind.span(), message))
        }
    }
}

impl ExtractContext<'_> {
    /// Fetches through the [`HttpRecorder`]. A response with any status is `Ok`; only a missing
    /// response is a failure. `limit` bounds the body of a successful response, in bytes.
    async fn fetch_recorded(
        &self,
        branch: &RunBranch,
        request: Request<'_>,
        limit: usize,
    ) -> Result<RecordedResponse, StepFailure> {
        let recorded_request = RecordedRequest::new(request.method.as_str(), request.url.as_str());
        let jar = request.cookies;
        let live = async {
            let sent = self.fetcher.send(&self.policy, request).await;
            let response =
                sent.map_err(|error| StepFailure::from_source_fetch(&error, self.source))?;
            let status = response.status();
            let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
            let headers = response.headers().iter();
            let headers =
                headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
            let mut recorded = RecordedResponse {
                url: response.url().to_string(),
                status: status.as_u16(),
                headers: headers.collect(),
                cookies: jar.map(|jar| cookie_pairs(jar, response.url())).unwrap_or_default(),
                body: bytes::Bytes::new(),
            };
            // The body of an error response only explains the failure: its first
            // `ERROR_BODY_MAX_BYTES` are enough.
            recorded.body = match status.is_success() {
                true => response.bytes(limit).await?,
                false => response.read_prefix(ERROR_BODY_MAX_BYTES).await.unwrap_or_default(),
            };
            Ok(recorded)
        };
        let response = self.recorder.run_exchange(branch, recorded_request, live).await?;
        // A replayed response carries the cookies that its redirects set when it was recorded.
        if self.recorder.is_replay()
            && let (Some(jar), Ok(url)) = (jar, Url::parse(&response.url))
        {
            response.cookies.iter().for_each(|cookie| jar.set(cookie, &url));
        }
        Ok(response)
    }
}

const ERROR_BODY_MAX_BYTES: usize = 64 << 10;

/// The cookies that `jar` would send to `url`, as `name=value`.
fn cookie_pairs(jar: &CookieJar, url: &Url) -> Vec<String> {
    let Some(header) = jar.cookie_field(url) else { return Vec::new() };
    let Ok(text) = header.to_str() else { return Vec::new() };
    text.split("; ").map(str::to_owned).collect()
}

#[cfg(test)]
pub(crate) mod tests;
