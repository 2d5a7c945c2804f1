//! Extractors: a configured [`Source`] in, [`Candidate`]s out.
//!
//! The kinds, a file each; a new one is a file here and a line in [`KINDS`]:
//! - `static`: a playlist URL that never changes.
//! - `m3u`: an IPTV list, filtered.
//! - `yt-dlp`, `streamlink`: what these programs find on a [`page`](program::page); [`program`]
//!   runs them, and [`outbound`] is their only way out.
//! - `browser`: what a page asks for when a Chromium shows it.
//! - [`recipe`]: pages, forms, cookies and patterns, declared step by step.
//!
//! What they share:
//! - [`runner`]: deadlines, bounds, panics; [`config`]: `[extract]`.
//! - [`candidate`]: what is found; [`error`]: which step failed and why.
//! - [`trace`]: what each step did, with secrets masked by [`mask`].
//! - [`tape`]: the exchange recorded and replayed; [`drift`]: what changed since, by [`shape`].
//! - [`tools`]: what is needed and may not be installed; [`scratch`]: where it may write.
//! - [`headers`]: laid over each other.

mod browser;
mod candidate;
mod config;
mod drift;
pub(crate) mod error;
mod headers;
mod m3u;
mod mask;
mod outbound;
mod program;
pub(crate) mod recipe;
mod runner;
mod scratch;
mod shape;
mod r#static;
mod streamlink;
mod tape;
mod tools;
mod trace;
mod yt_dlp;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pitwall_fetch::{Fetcher, Jar, Policy, Request};
use toml::Spanned;
use toml::de::DeValue;
use url::Url;

pub use self::candidate::Candidate;
pub(crate) use self::candidate::Found;
pub use self::config::{BrowserConfig, ExtractConfig};
pub use self::drift::{Drift, first_drift};
pub use self::error::ExtractError;
pub(crate) use self::error::Failure;
pub use self::recipe::script_worker;
pub use self::runner::{Extraction, Runner};
use self::tape::{Answer, Ask, Tape};
pub use self::tape::{Recording, RecordingError};
use self::tools::{Tool, Tools};
use self::trace::Trace;
pub use self::trace::{TracedStep, Track};
use crate::settings::error_at;
use crate::source::Source;

/// One line per kind.
const KINDS: [(&str, Configure); 6] = [
    ("static", r#static::configure),
    ("recipe", recipe::configure),
    ("m3u", m3u::configure),
    ("yt-dlp", yt_dlp::configure),
    ("streamlink", streamlink::configure),
    ("browser", browser::configure),
];

/// Judges the keys of a kind: the source's feed, and what is no key of every source.
type Configure =
    fn(Option<&str>, Spanned<DeValue<'_>>) -> Result<Arc<dyn Extractor>, toml::de::Error>;

/// The code of one kind of source.
#[async_trait]
pub(crate) trait Extractor: Send + Sync {
    fn kind(&self) -> &'static str;

    /// Where its configured URLs lead, as far as they name it: scheme, host and port count.
    fn origins(&self) -> Vec<Url>;

    /// The feeds that it finds by its configuration alone, whatever lists and pages bring.
    /// `feed`: the source's own.
    fn feeds(&self, feed: Option<&str>) -> Vec<String> {
        feed.map(str::to_owned).into_iter().collect()
    }

    /// How long a run may take.
    fn timeout(&self) -> Duration;

    /// What it cannot do without.
    fn needs(&self) -> Option<Tool> {
        None
    }

    async fn extract(&self, context: &Context<'_>) -> Found;
}

/// What a run works with.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a Source,
    pub(crate) fetcher: &'a Arc<Fetcher>,
    pub(crate) tools: &'a Tools,
    pub(crate) policy: Policy,
    pub(crate) tape: &'a Tape,
    pub(crate) trace: &'a Trace,
}

pub(crate) fn configure(
    kind: &Spanned<String>,
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let name = kind.get_ref();
    match KINDS.iter().find(|(known, _)| known == name) {
        Some((_, configure)) => configure(feed, settings),
        None => {
            let kinds: Vec<String> = KINDS.iter().map(|(known, _)| format!("{known:?}")).collect();
            let message = format!("{name:?} is not a kind of source: use {}", kinds.join(", "));
            Err(error_at(kind.span(), message))
        }
    }
}

impl Context<'_> {
    /// Fetches through the tape. Any status is an answer; only the lack of one is a failure.
    async fn fetch(
        &self,
        track: &Track,
        request: Request<'_>,
        limit: usize,
    ) -> Result<Answer, Failure> {
        let ask = Ask::new(request.method.as_str(), request.url.as_str());
        let jar = request.cookies;
        let live = async {
            let sent = self.fetcher.send(&self.policy, request).await;
            let response = sent.map_err(|error| Failure::of_fetch(&error, self.source))?;
            let status = response.status();
            let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
            let headers = response.headers().iter();
            let headers =
                headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
            let mut answer = Answer {
                url: response.url().to_string(),
                status: status.as_u16(),
                headers: headers.collect(),
                cookies: jar.map(|jar| cookies(jar, response.url())).unwrap_or_default(),
                body: bytes::Bytes::new(),
            };
            // Of an error page only as much as helps to understand it.
            answer.body = match status.is_success() {
                true => response.bytes(limit).await?,
                false => response.prefix(ERROR_PAGE).await.unwrap_or_default(),
            };
            Ok(answer)
        };
        let answer = self.tape.exchange(track, ask, live).await?;
        // What was heard again brings along the cookies that came on the way.
        if self.tape.is_replay()
            && let (Some(jar), Ok(url)) = (jar, Url::parse(&answer.url))
        {
            answer.cookies.iter().for_each(|cookie| jar.add_cookie_str(cookie, &url));
        }
        Ok(answer)
    }
}

const ERROR_PAGE: usize = 64 << 10;

/// What a visitor holds for a URL, as `name=value`.
fn cookies(jar: &Jar, url: &Url) -> Vec<String> {
    use pitwall_fetch::CookieStore as _;
    let Some(header) = jar.cookies(url) else { return Vec::new() };
    let Ok(text) = header.to_str() else { return Vec::new() };
    text.split("; ").map(str::to_owned).collect()
}

#[cfg(test)]
pub(crate) mod tests;
