//! `kind = "browser"`: what a page asks for when a browser shows it. Off unless `[extract]` says
//! where a Chromium is: it weighs more than everything else together.
//!
//! ```toml
//! [[source]]
//! name = "app"
//! kind = "browser"
//! feed = "World feed"
//! url = "https://club.example/app/live"
//! click = ["button.consent", "button.play"] # each once, as soon as it is there
//! match = "/live/"                          # of the playlists, those whose URL matches
//! wait = "20s"
//! ```
//!
//! - [`launch`]: a Chromium of its own for each run, or one that somebody else runs: [`endpoint`].
//! - [`cdp`]: its DevTools protocol, as much of it as this needs.
//! - [`watch`]: what goes over the network while the page is shown.
//! - [`pick`]: which of that are playlists, and with which headers they were asked for.
//!
//! Master playlists are taken, else media playlists, by the URL that was asked for first: what
//! it redirects to may not live as long. The page gets no further than the source's policy. It
//! sees an honest browser without a window: nothing hides what it is.

mod cdp;
mod endpoint;
mod launch;
mod pick;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use regex::Regex;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use url::Url;

use self::watch::{Seen, Visit};
use super::outbound::Outbound;
use super::tape::{Answer, Ask};
use super::{Context, Extractor, Failure, Found, Tool, Track};
use crate::settings::{HttpUrl, HumanDuration, error_at, from_text};

pub(super) struct Browsing {
    url: Url,
    click: Vec<String>,
    only: Option<Regex>,
    wait: Duration,
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

/// How long a page is shown.
const WAIT: Duration = Duration::from_secs(20);
/// For the browser to start and to end.
const AROUND: Duration = Duration::from_secs(20);

pub(super) fn configure(
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let span = settings.span();
    let Settings { url, click, only, wait } =
        Settings::deserialize(ValueDeserializer::from(settings))?;
    // A page's requests have no names.
    feed.ok_or_else(|| error_at(span, "missing field `feed`"))?;
    let (only, wait) = (only.map(|only| only.0), wait.map_or(WAIT, |wait| wait.0));
    Ok(Arc::new(Browsing { url: url.0, click, only, wait }))
}

#[async_trait]
impl Extractor for Browsing {
    fn kind(&self) -> &'static str {
        "browser"
    }

    fn origins(&self) -> Vec<Url> {
        vec![self.url.clone()]
    }

    fn timeout(&self) -> Duration {
        self.wait + AROUND
    }

    fn needs(&self) -> Option<Tool> {
        Some(Tool::Browser)
    }

    async fn extract(&self, context: &Context<'_>) -> Found {
        let mut tracing = context.trace.begin(&Track::default(), "browse");
        let seen = self.seen(context).await;
        if let Ok(seen) = &seen {
            tracing.matched(seen.len());
        }
        let seen = match tracing.end(seen) {
            Ok(seen) => seen,
            Err(failure) => return Found::failed(failure.at("browse")),
        };
        let mut tracing = context.trace.begin(&Track::default(), "playlists");
        let candidates = pick::candidates(&seen, self.only.as_ref(), context.source);
        tracing.matched(candidates.len());
        if let Some(first) = candidates.first() {
            tracing.yielded("playlist", first.playlist.as_str());
        }
        let found = match candidates.is_empty() {
            true => Err(Failure::lasting("the page asked for no playlist")),
            false => Ok(candidates),
        };
        match tracing.end(found) {
            Ok(candidates) => Found { candidates, ..Found::default() },
            Err(failure) => Found::failed(failure.at("playlists")),
        }
    }
}

impl Browsing {
    async fn seen(&self, context: &Context<'_>) -> Result<Vec<Seen>, Failure> {
        let ask = Ask::new("BROWSE", self.url.as_str());
        let live = async {
            let seen = self.browse(context).await?;
            let body = serde_json::to_vec(&seen).map_err(|error| error.to_string())?;
            Ok(Answer {
                url: self.url.to_string(),
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                cookies: Vec::new(),
                body: Bytes::from(body),
            })
        };
        let answer = context.tape.exchange(&Track::default(), ask, live).await?;
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string().into())
    }

    async fn browse(&self, context: &Context<'_>) -> Result<Vec<Seen>, Failure> {
        if let Some(missing) = context.tools.missing(Tool::Browser) {
            return Err(missing.into());
        }
        let outbound = Outbound::open(context.fetcher.clone(), context.policy.clone()).await?;
        let browser = launch::launch(context, &outbound).await?;
        let visit = Visit {
            url: &self.url,
            click: &self.click,
            headers: &context.source.headers,
            outbound: &outbound,
        };
        let seen = visit.run(&browser.endpoint, self.wait).await?;
        if seen.is_empty()
            && let Some(refusal) = outbound.refusal(context.source)
        {
            return Err(refusal);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests;
