//! `kind = "recipe"`: the steps by which a browser would find a playlist, declared one by one.
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
//! - `get = URL`, `post = URL` with `form = {..}` or `json = {..}`, and `iframe = CSS` (fetches the
//!   document of the iframe) change the current page; `save` stores the URL that answered.
//!   `cookies = {..}` are set before the request, as a script of the page would.
//! - `select = CSS` (the text of the element, an `attribute` of the element, or its HTML with
//!   `html = true`), `regex = PATTERN` (its one group; named groups are saved under their names)
//!   and `pointer = JSON POINTER` (RFC 6901) read the current page, or the variable named by
//!   `from`. A step that matches nothing fails, unless it has a `default`.
//! - `header = NAME` and `cookie = NAME` read a header or a cookie of the current page.
//! - `decode = CODING`, or a list of them: base64, base64url, hex, percent, html, javascript, gzip.
//! - `script = JAVASCRIPT` computes a value from `page`, `url` and `vars`: that of its last
//!   expression.
//! - `text = TEMPLATE` renders a template.
//!
//! `save` stores the output of a step in a variable. `foreach` instead of `save` runs the steps
//! below it once for each match (of a pointer or script: for each item of an array); each of these
//! branches has its own variables, and all share their cookies.
//!
//! `{{name}}` stands for a saved variable, a variable of the row, or `{{url}}`, the URL of the
//! current page, in URLs, forms, headers and the result; `{{name | percent}}` percent-encodes it.
//! Relative URLs are resolved against the current page. Cookies last for one run. HTTP redirects
//! and redirects of a meta element are followed. Requests carry `Referer`, and with `post` also
//! `Origin`, as a browser's do, unless `headers` of the step or the source set them; an empty value
//! removes a header.
//!
//! `for` runs the recipe once for each row of variables, each row with its own cookies; a row that
//! fails does not affect the others. `feed` and `label` come from the result, else from the row,
//! else from the source.
//!
//! - [`step`]: a step and its settings; [`template`]: texts with variables.
//! - [`run`]: executes the steps.
//! - [`page`], [`body`]: the current page, and the body of a `post`.
//! - [`matcher`], [`nesting`]: finds texts in a page; refuses pages nested too deeply to parse.
//! - [`decode`], [`script`]: decodes texts and evaluates JavaScript.

mod body;
mod decode;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod matcher;
mod nesting;
mod page;
mod run;
mod script;
mod step;
mod template;

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

#[cfg(any(test, feature = "fuzzing"))]
pub use self::fuzzing::page;
use self::run::{RecipeResults, RecipeRun};
pub use self::script::run_script_worker;
#[cfg(test)]
pub(crate) use self::script::worker_of_the_tests;
use self::step::{Step, VariableName};
use self::template::Template;
use super::{ExtractContext, ExtractError, Extractor, ExtractorOutput, RunBranch};
use crate::settings::{HeaderTable, HumanDuration, ScalarText, error_at};

pub(crate) struct Recipe {
    steps: Vec<Arc<Step>>,
    result: ResultTemplates,
    /// At least one row; without `for`, one without variables.
    rows: Vec<RowVariables>,
    timeout: Duration,
}

/// The variables of one row of `for`, by their names.
type RowVariables = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    step: Vec<Spanned<step::StepSettings>>,
    result: Spanned<ResultTemplates>,
    #[serde(default, rename = "for")]
    rows: Vec<Spanned<BTreeMap<VariableName, ScalarText>>>,
    /// The deadline of one row.
    timeout: Option<HumanDuration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultTemplates {
    playlist: Spanned<Template>,
    expires: Option<Spanned<Template>>,
    #[serde(default)]
    headers: HeaderTable<Spanned<Template>>,
    feed: Option<Spanned<Template>>,
    label: Option<Spanned<Template>>,
}

const ROW_DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// Rows, or branches of one `foreach`, that run at the same time: more would burden the upstream.
const MAX_CONCURRENT_RUNS: usize = 4;
/// Size of a page after its content coding is decoded.
const PAGE_MAX_BYTES: usize = 2 << 20;

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
    let text = |(name, value): (VariableName, ScalarText)| (name.0, value.0);
    let mut rows: Vec<RowVariables> = settings
        .rows
        .into_iter()
        .map(|row| row.into_inner().into_iter().map(text).collect())
        .collect();
    if rows.is_empty() {
        rows.push(RowVariables::new());
    }
    Ok(Arc::new(Recipe {
        steps: steps.into_iter().map(|step| Arc::new(step.into_inner())).collect(),
        result: settings.result.into_inner(),
        rows,
        timeout: settings.timeout.map_or(ROW_DEFAULT_TIMEOUT, |timeout| timeout.0),
    }))
}

/// Checks that every row has a feed, from the result, the row or the source.
fn check_feeds(feed: Option<&str>, settings: &Settings) -> Result<(), toml::de::Error> {
    let mut lacks_feed = settings.rows.is_empty();
    for row in &settings.rows {
        match row.get_ref().get("feed") {
            Some(ScalarText(feed)) if StreamId::of_feed(feed).is_none() => {
                let message =
                    format!("the feed {feed:?} has no letter, digit or sign to make an id of");
                return Err(error_at(row.span(), message));
            }
            Some(_) => {}
            None => lacks_feed = true,
        }
    }
    if lacks_feed && feed.is_none() && settings.result.get_ref().feed.is_none() {
        let message = "missing field `feed`: in the source, in its result or in every row of `for`";
        return Err(error_at(settings.result.span(), message));
    }
    Ok(())
}

/// Checks that each template names only variables that the row or an earlier step defines.
fn check_variables(
    steps: &[Spanned<Step>],
    rows: &[Spanned<BTreeMap<VariableName, ScalarText>>],
    result: &ResultTemplates,
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
        let undefined = |why: String| error_at(step.span(), describe(why));
        step.get_ref().check_variables(&known).map_err(undefined)?;
        known.extend(step.get_ref().defined_variables());
    }
    let templates = [Some(&result.playlist), result.expires.as_ref()]
        .into_iter()
        .chain([result.feed.as_ref(), result.label.as_ref()])
        .flatten()
        .chain(result.headers.0.iter().map(|(_, value)| value));
    for template in templates {
        template.get_ref().check_variables(&known).map_err(|why| error_at(template.span(), why))?;
    }
    Ok(())
}

#[async_trait]
impl Extractor for Recipe {
    fn kind(&self) -> &'static str {
        "recipe"
    }

    fn configured_origins(&self) -> Vec<Url> {
        let playlist = self.result.playlist.get_ref().origin();
        self.steps.iter().filter_map(|step| step.origin()).chain(playlist).collect()
    }

    fn configured_feeds(&self, feed: Option<&str>) -> Vec<String> {
        // A `feed` template in the result takes the feed from a page, so that it is not known here.
        let rows = self.rows.iter().filter(|_| self.result.feed.is_none());
        let feeds = rows.filter_map(|row| row.get("feed").map(String::as_str).or(feed));
        feeds.map(str::to_owned).collect()
    }

    /// The rows' own deadlines, as far as rows run one after the other, and a second more.
    fn timeout(&self) -> Duration {
        let rounds =
            u32::try_from(self.rows.len().div_ceil(MAX_CONCURRENT_RUNS)).unwrap_or(u32::MAX);
        self.timeout.saturating_mul(rounds) + Duration::from_secs(1)
    }

    async fn extract(&self, context: &ExtractContext<'_>) -> ExtractorOutput {
        let rows = self.rows.iter().enumerate();
        let runs: Vec<_> =
            rows.map(|(index, row)| self.run_row(context, index, row).boxed()).collect();
        let mut runs = futures::stream::iter(runs).buffered(MAX_CONCURRENT_RUNS);
        let mut all = ExtractorOutput::default();
        while let Some(found) = runs.next().await {
            all.candidates.extend(found.candidates);
            all.failures.extend(found.failures);
            all.dropped += found.dropped;
        }
        all
    }
}

impl Recipe {
    /// Runs the steps for one row. Candidates that were found before the deadline are in the output
    /// even if the row does not finish.
    async fn run_row(
        &self,
        context: &ExtractContext<'_>,
        index: usize,
        row: &RowVariables,
    ) -> ExtractorOutput {
        let feed = row.get("feed");
        let number = (index + 1).to_string();
        let name = match (feed, self.rows.len()) {
            (Some(feed), _) => Some(feed.as_str()),
            (None, 2..) => Some(number.as_str()),
            (None, _) => None,
        };
        let results = Mutex::new(RecipeResults::default());
        let run = RecipeRun::new(self, context, &results, RunBranch::for_row(index, name), row);
        let finished = tokio::time::timeout(self.timeout, run.run_steps()).await;
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut output = results.into_ordered_output();
        if finished.is_err() {
            let deadline = humantime::format_duration(self.timeout);
            let message = format!("not finished within {deadline}");
            output.failures.push(ExtractError::new("run", message, true));
        }
        if let Some(feed) = feed {
            for failure in &mut output.failures {
                failure.step = format!("{feed}: {}", failure.step);
            }
        }
        output
    }
}

#[cfg(test)]
mod tests;
