//! `kind = "recipe"`: what a browser would do to find a playlist, declared step by step.
//!
//! ```toml
//! [[source]]
//! name = "club"
//! kind = "recipe"
//! for = [{ feed = "World feed", id = "world" }, { feed = "Onboard 7", id = "car-7" }]
//!
//! [[source.step]]
//! get = "https://club.example/watch/{{id}}"
//! [[source.step]]
//! iframe = "iframe#player"
//! save = "page"
//! [[source.step]]
//! select = "input[name=csrf]"
//! attribute = "value"
//! save = "csrf"
//! [[source.step]]
//! post = "/play"
//! form = { csrf = "{{csrf}}" }
//! [[source.step]]
//! pointer = "/stream/url"
//! save = "playlist"
//!
//! [source.result]
//! playlist = "{{playlist}}"
//! headers = { Referer = "{{page}}" }
//! ```
//!
//! Every step has one action:
//! - `get = URL`, `post = URL` with `form = {..}` or `json = {..}`, `iframe = CSS` (fetches what
//!   the iframe shows) change the current page; `save` keeps the URL that answered. `cookies =
//!   {..}` are set before, as a script of the page would.
//! - `select = CSS` (its text, an `attribute`, or with `html = true` all of it), `regex =
//!   PATTERN` (its one group; named groups are saved by their names), `pointer = JSON POINTER`
//!   read the current page, or the variable named by `from`. They must find something, unless
//!   there is a `default`.
//! - `header = NAME` and `cookie = NAME` read a header or a cookie of the current page.
//! - `decode = CODING`, or a list of them: base64, base64url, hex, percent, html, javascript, gzip.
//! - `script = JAVASCRIPT` computes; it sees `page`, `url` and `vars`, and yields its last value.
//! - `text = TEMPLATE` puts a text together.
//!
//! `save` keeps what was found in a variable. `foreach` in its place runs the steps below it once
//! for each match (of a pointer or script: for each item of an array), each run with its own
//! variables and all with the same cookies.
//!
//! `{{name}}` stands for a saved variable, a variable of the row, or `{{url}}`, the URL of the
//! current page, in URLs, forms, headers and the result; `{{name | percent}}` encodes it.
//! Relative URLs are relative to the current page. Cookies last for one run. Redirects are
//! followed, those that a page asks for with a meta element too. Requests say where they come
//! from (`Referer`, and `Origin` with `post`) as a browser does, unless `headers` of the step or
//! the source say otherwise; an empty value leaves a header out.
//!
//! `for` runs the recipe once for each row of variables, each with its own cookies; one row
//! failing does not hurt the others. `feed` and `label` come from the result, else from the
//! row, else from the source.

mod body;
mod decode;
mod find;
mod nesting;
mod page;
mod script;
mod step;
mod template;
mod visit;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _};
use pitwall_upstream_map::StreamId;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};
use url::Url;

pub use self::script::script_worker;
#[cfg(test)]
pub(crate) use self::script::worker_of_the_tests;
use self::step::{Name, Step};
use self::template::Template;
use self::visit::{Finds, Visit};
use super::{Context, ExtractError, Extractor, Found, Track};
use crate::settings::{HeaderTable, HumanDuration, Plain, error_at};

pub(crate) struct Recipe {
    steps: Vec<Arc<Step>>,
    result: ResultSettings,
    /// At least one, which may be empty.
    rows: Vec<Row>,
    timeout: Duration,
}

type Row = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    step: Vec<Spanned<step::Settings>>,
    result: Spanned<ResultSettings>,
    #[serde(default, rename = "for")]
    rows: Vec<Spanned<BTreeMap<Name, Plain>>>,
    /// Of one row.
    timeout: Option<HumanDuration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultSettings {
    playlist: Spanned<Template>,
    expires: Option<Spanned<Template>>,
    #[serde(default)]
    headers: HeaderTable<Spanned<Template>>,
    feed: Option<Spanned<Template>>,
    label: Option<Spanned<Template>>,
}

const TIMEOUT: Duration = Duration::from_secs(20);
/// Rows run at the same time: enough to be quick, few enough to be polite.
const AT_ONCE: usize = 4;
/// The largest page, in bytes, decoded.
const MAX_PAGE: usize = 2 << 20;

pub(super) fn configure(
    feed: Option<&str>,
    settings: Spanned<DeValue<'_>>,
) -> Result<Arc<dyn Extractor>, toml::de::Error> {
    let span = settings.span();
    let settings = Settings::deserialize(ValueDeserializer::from(settings))?;
    if settings.step.is_empty() {
        return Err(error_at(span, "a recipe needs at least one [[source.step]]"));
    }
    check_feeds(feed, &settings)?;
    let steps = settings.step.into_iter().map(|step| {
        let span = step.span();
        match Step::try_from(step.into_inner()) {
            Ok(step) => Ok(Spanned::new(span, step)),
            Err(why) => Err(error_at(span, why)),
        }
    });
    let steps = steps.collect::<Result<Vec<_>, _>>()?;
    check_variables(&steps, &settings.rows, settings.result.get_ref())?;
    let text = |(name, value): (Name, Plain)| (name.0, value.0);
    let mut rows: Vec<Row> = settings
        .rows
        .into_iter()
        .map(|row| row.into_inner().into_iter().map(text).collect())
        .collect();
    if rows.is_empty() {
        rows.push(Row::new());
    }
    Ok(Arc::new(Recipe {
        steps: steps.into_iter().map(|step| Arc::new(step.into_inner())).collect(),
        result: settings.result.into_inner(),
        rows,
        timeout: settings.timeout.map_or(TIMEOUT, |timeout| timeout.0),
    }))
}

/// Every run must know which feed it finds.
fn check_feeds(feed: Option<&str>, settings: &Settings) -> Result<(), toml::de::Error> {
    let mut anonymous = settings.rows.is_empty();
    for row in &settings.rows {
        match row.get_ref().get("feed") {
            Some(Plain(feed)) if StreamId::of_feed(feed).is_none() => {
                let message =
                    format!("the feed {feed:?} has no letter, digit or sign to make an id of");
                return Err(error_at(row.span(), message));
            }
            Some(_) => {}
            None => anonymous = true,
        }
    }
    if anonymous && feed.is_none() && settings.result.get_ref().feed.is_none() {
        let message = "missing field `feed`: in the source, in its result or in every row of `for`";
        return Err(error_at(settings.result.span(), message));
    }
    Ok(())
}

/// Steps run in order, so what each may refer to is known before any of them runs.
fn check_variables(
    steps: &[Spanned<Step>],
    rows: &[Spanned<BTreeMap<Name, Plain>>],
    result: &ResultSettings,
) -> Result<(), toml::de::Error> {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    if let Some(first) = rows.first() {
        known.extend(first.get_ref().keys().map(|name| name.0.as_str()));
        for row in rows {
            known.retain(|name| row.get_ref().contains_key(*name));
        }
    }
    for (index, step) in steps.iter().enumerate() {
        let describe = |why: String| format!("{}: {why}", step.get_ref().describe(index));
        let unready = |why: String| error_at(step.span(), describe(why));
        step.get_ref().check(&known).map_err(unready)?;
        known.extend(step.get_ref().yields());
    }
    let templates = [Some(&result.playlist), result.expires.as_ref()]
        .into_iter()
        .chain([result.feed.as_ref(), result.label.as_ref()])
        .flatten()
        .chain(result.headers.0.iter().map(|(_, value)| value));
    for template in templates {
        template.get_ref().check(&known).map_err(|why| error_at(template.span(), why))?;
    }
    Ok(())
}

#[async_trait]
impl Extractor for Recipe {
    fn kind(&self) -> &'static str {
        "recipe"
    }

    fn origins(&self) -> Vec<Url> {
        let playlist = self.result.playlist.get_ref().origin();
        self.steps.iter().filter_map(|step| step.origin()).chain(playlist).collect()
    }

    fn feeds(&self, feed: Option<&str>) -> Vec<String> {
        // Where the result names the feed, pages do.
        let rows = self.rows.iter().filter(|_| self.result.feed.is_none());
        let feeds = rows.filter_map(|row| row.get("feed").map(String::as_str).or(feed));
        feeds.map(str::to_owned).collect()
    }

    /// Rows have their own deadlines; this one is only for what they share.
    fn timeout(&self) -> Duration {
        let rounds = u32::try_from(self.rows.len().div_ceil(AT_ONCE)).unwrap_or(u32::MAX);
        self.timeout.saturating_mul(rounds) + Duration::from_secs(1)
    }

    async fn extract(&self, context: &Context<'_>) -> Found {
        let rows = self.rows.iter().enumerate();
        let runs: Vec<_> = rows.map(|(index, row)| self.row(context, index, row).boxed()).collect();
        let mut runs = futures::stream::iter(runs).buffered(AT_ONCE);
        let mut all = Found::default();
        while let Some(found) = runs.next().await {
            all.candidates.extend(found.candidates);
            all.failures.extend(found.failures);
            all.dropped += found.dropped;
        }
        all
    }
}

impl Recipe {
    /// What a row finds before its deadline is found, whatever else it was about to do.
    async fn row(&self, context: &Context<'_>, index: usize, row: &Row) -> Found {
        let feed = row.get("feed");
        let number = (index + 1).to_string();
        let name = match (feed, self.rows.len()) {
            (Some(feed), _) => Some(feed.as_str()),
            (None, 2..) => Some(number.as_str()),
            (None, _) => None,
        };
        let found = Mutex::new(Finds::default());
        let visit = Visit::new(self, context, &found, Track::row(index, name), row);
        let ended = tokio::time::timeout(self.timeout, visit.go()).await;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut found = found.in_order();
        if ended.is_err() {
            let deadline = humantime::format_duration(self.timeout);
            let message = format!("not finished within {deadline}");
            found.failures.push(ExtractError::new("run", message, true));
        }
        if let Some(feed) = feed {
            for failure in &mut found.failures {
                failure.step = format!("{feed}: {}", failure.step);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
