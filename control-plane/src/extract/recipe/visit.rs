//! [`Visit`]: one run of a recipe, with its own cookies and variables; below a `foreach` one of
//! several that share their cookies.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use pitwall_fetch::{Jar, Request as FetchRequest, parse_url};
use url::Url;

use super::find::{Find, Hit};
use super::page::{Page, referer};
use super::script::{Input, Output};
use super::step::{Action, Keep, Name, Request, Step, Target};
use super::{AT_ONCE, MAX_PAGE, Recipe, Row, decode};
use crate::expiry;
use crate::extract::headers::{overlay, sendable};
use crate::extract::trace::{Tracing, Track};
use crate::extract::{Candidate, Context, ExtractError, Failure, Found};

pub(super) struct Visit<'a> {
    recipe: &'a Recipe,
    context: &'a Context<'a>,
    found: &'a Mutex<Finds>,
    track: Track,
    jar: Arc<Jar>,
    variables: Row,
    page: Option<Page>,
    /// Which step is next.
    next: usize,
}

/// What the branches of a run came to, each with its place: they end in any order.
#[derive(Default)]
pub(super) struct Finds {
    candidates: Vec<(Vec<usize>, Candidate)>,
    failures: Vec<(Vec<usize>, ExtractError)>,
    dropped: usize,
}

impl Finds {
    pub(super) fn in_order(mut self) -> Found {
        self.candidates.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.failures.sort_by(|(a, _), (b, _)| a.cmp(b));
        Found {
            candidates: self.candidates.into_iter().map(|(_, candidate)| candidate).collect(),
            failures: self.failures.into_iter().map(|(_, failure)| failure).collect(),
            dropped: self.dropped,
        }
    }
}

/// What a step came to.
enum Yield {
    One(Hit),
    Each(Vec<Hit>),
}

/// More branches than this are a list of something else.
const MAX_BRANCHES: usize = 200;
/// As many as the fetcher follows.
const MAX_REFRESHES: usize = 3;

impl<'a> Visit<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        context: &'a Context<'a>,
        found: &'a Mutex<Finds>,
        track: Track,
        row: &Row,
    ) -> Self {
        let (jar, variables) = (Arc::default(), row.clone());
        Self { recipe, context, found, track, jar, variables, page: None, next: 0 }
    }

    /// Runs the steps that are left; what it finds is found even if it never gets to its end.
    pub(super) fn go(mut self) -> BoxFuture<'a, ()> {
        async move {
            while let Some(step) = self.recipe.steps.get(self.next).cloned() {
                let name = step.describe(self.next);
                self.next += 1;
                match (self.step(&name, &step).await, &step.keep) {
                    (Ok(Yield::Each(hits)), Keep::ForEach(variable)) => {
                        return self.branch(variable, hits).await;
                    }
                    (Ok(Yield::One(hit)), keep) => self.keep(keep.name(), hit),
                    (Ok(Yield::Each(_)), _) => {}
                    (Err(failure), _) => return self.fail(failure.at(name)),
                }
            }
            let mut tracing = self.context.trace.begin(&self.track, "result");
            let candidate = self.result(&mut tracing);
            match tracing.end(candidate) {
                Ok(candidate) => {
                    let place = self.track.path.clone();
                    self.found().candidates.push((place, candidate));
                }
                Err(failure) => self.fail(failure.at("result")),
            }
        }
        .boxed()
    }

    async fn branch(&self, variable: &Name, hits: Vec<Hit>) {
        self.found().dropped += hits.len().saturating_sub(MAX_BRANCHES);
        let branches = hits.into_iter().take(MAX_BRANCHES).enumerate().map(|(index, hit)| {
            let mut branch = Visit {
                recipe: self.recipe,
                context: self.context,
                found: self.found,
                track: self.track.branch(index),
                jar: self.jar.clone(),
                variables: self.variables.clone(),
                page: self.page.clone(),
                next: self.next,
            };
            branch.keep(Some(variable), hit);
            branch.go()
        });
        let branches: Vec<_> = branches.collect();
        futures::stream::iter(branches).buffered(AT_ONCE).collect::<()>().await;
    }

    fn found(&self) -> std::sync::MutexGuard<'a, Finds> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: ExtractError) {
        let place = self.track.path.clone();
        self.found().failures.push((place, error));
    }

    fn keep(&mut self, variable: Option<&Name>, hit: Hit) {
        if let Some(name) = variable {
            self.variables.insert(name.0.clone(), hit.text);
        }
        self.variables.extend(hit.named);
    }

    async fn step(&mut self, name: &str, step: &Arc<Step>) -> Result<Yield, Failure> {
        let mut tracing = self.context.trace.begin(&self.track, name);
        let result = self.act(step, &mut tracing).await;
        let saved = step.keep.name().map_or("", |name| name.0.as_str());
        match &result {
            Ok(Yield::One(hit)) if hit.named.is_empty() => tracing.yielded(saved, &hit.text),
            Ok(Yield::One(hit)) => tracing.yielded_pairs(&hit.named),
            Ok(Yield::Each(hits)) => tracing.matched(hits.len()),
            Err(_) => {}
        }
        tracing.end(result)
    }

    async fn act(&mut self, step: &Arc<Step>, tracing: &mut Tracing<'_>) -> Result<Yield, Failure> {
        let one = |text: String| Ok(Yield::One(Hit { text, named: Vec::new() }));
        match &step.action {
            Action::Request(request) => {
                let page = self.request(request, tracing).await?;
                let url = page.url.to_string();
                self.variables.insert("url".to_owned(), url.clone());
                self.page = Some(page);
                one(url)
            }
            Action::Find { find, from, default } => {
                let text = match from {
                    Some(name) => self.variable(name)?.into(),
                    None => self.page()?.text.clone(),
                };
                let each = matches!(step.keep, Keep::ForEach(_));
                match (look(find.clone(), text, each).await, default) {
                    (Err(_), Some(default)) => one(default.render(&self.variables)?),
                    (found, _) => found,
                }
            }
            Action::Header(name) => {
                one(self.page()?.header(name).ok_or("the page has no such header")?.to_owned())
            }
            Action::Cookie(name) => one(self.cookie(name)?),
            Action::Decode { codings, from: Some(name) } => {
                one(decode::decode(codings, self.variable(name)?.as_bytes())?)
            }
            Action::Decode { codings, from: None } => {
                one(decode::decode(codings, &self.page()?.bytes)?)
            }
            Action::Script(script) => {
                let input = Input {
                    code: script.code(),
                    variables: self.variables.clone(),
                    page: self.page.as_ref().map(|page| page.text.to_string()).unwrap_or_default(),
                    url: self.page.as_ref().map(|page| page.url.to_string()).unwrap_or_default(),
                    now: self.context.tape.at.as_millisecond(),
                    seed: self.context.tape.seed,
                };
                let each = matches!(step.keep, Keep::ForEach(_));
                let hit = |text| Hit { text, named: Vec::new() };
                match (input.run(&self.context.tools.script_worker).await?, each) {
                    (Output::Items(items), true) if items.is_empty() => {
                        Err("the script's array is empty".into())
                    }
                    (Output::Items(items), true) => {
                        Ok(Yield::Each(items.into_iter().map(hit).collect()))
                    }
                    (Output::Text(text), false) => one(text),
                    (Output::Items(items), false) => {
                        one(serde_json::to_string(&items).unwrap_or_default())
                    }
                    _ => Err("the script yields no array".into()),
                }
            }
            Action::Text(text) => one(text.render(&self.variables)?),
        }
    }

    fn page(&self) -> Result<&Page, Failure> {
        self.page.as_ref().ok_or(Failure::lasting("there is no page yet"))
    }

    fn variable(&self, name: &Name) -> Result<&str, Failure> {
        let value = self.variables.get(&name.0).ok_or("the variable is not known")?;
        Ok(value)
    }

    fn cookie(&self, name: &str) -> Result<String, Failure> {
        let cookies = crate::extract::cookies(&self.jar, &self.page()?.url);
        let mut pairs = cookies.iter().filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned());
        found.ok_or_else(|| "there is no such cookie".into())
    }

    async fn request(&self, request: &Request, tracing: &mut Tracing<'_>) -> Result<Page, Failure> {
        let (url, body) = match &request.target {
            Target::Get(url) => (self.join(&url.render(&self.variables)?)?, None),
            Target::Post(url, body) => {
                let url = self.join(&url.render(&self.variables)?)?;
                (url, Some(body.render(&self.variables)?))
            }
            Target::Iframe(css, attribute) => {
                let (css, page) = (css.clone(), self.page()?.text.clone());
                let attribute = attribute.clone();
                let source = aside(move || css.attribute(&page, &attribute)).await??;
                (self.join(&source)?, None)
            }
        };
        for (name, value) in &request.cookies {
            let value = value.render(&self.variables)?;
            if value.contains([';', '\r', '\n']) {
                return Err("holds characters that a cookie cannot carry".into());
            }
            self.jar.add_cookie_str(&format!("{name}={value}; Path=/"), &url);
        }
        let post = body.is_some();
        let fetch = match body {
            Some(body) => FetchRequest::post(url.clone(), body),
            None => FetchRequest::get(url.clone()),
        };
        let headers = self.headers(request, self.page.as_ref(), &url, post)?;
        let mut page = self.load(fetch.source_headers(headers), tracing).await?;
        for left in (0..=MAX_REFRESHES).rev() {
            let looked = page.clone();
            let Some(next) = aside(move || looked.refresh()).await? else { return Ok(page) };
            if left == 0 {
                break;
            }
            let headers = self.headers(request, Some(&page), &next, false)?;
            page = self.load(FetchRequest::get(next).source_headers(headers), tracing).await?;
        }
        Err("the page sends its visitors on and on".into())
    }

    async fn load(
        &self,
        fetch: FetchRequest<'_>,
        tracing: &mut Tracing<'_>,
    ) -> Result<Page, Failure> {
        let fetch = fetch.cookies(&self.jar);
        let answer = self.context.fetch(&self.track, fetch, MAX_PAGE).await?;
        tracing.status(answer.status);
        if !answer.is_success() {
            return Err(Failure::status(answer.status));
        }
        Page::of(answer)
    }

    /// Relative to the current page, if there is one.
    fn join(&self, text: &str) -> Result<Url, Failure> {
        match &self.page {
            Some(page) => page.join(text),
            None => Ok(parse_url(text)?),
        }
    }

    /// What a browser would say of itself, then what the source says, then the step.
    fn headers(
        &self,
        request: &Request,
        page: Option<&Page>,
        target: &Url,
        post: bool,
    ) -> Result<http::HeaderMap, Failure> {
        let mut headers: Vec<(String, String)> = Vec::new();
        if let Some(page) = page {
            headers.extend(referer(&page.url, target).map(|value| ("referer".to_owned(), value)));
            if post {
                headers.push(("origin".to_owned(), page.url.origin().ascii_serialization()));
            }
        }
        overlay(&mut headers, self.context.source.headers.iter().cloned());
        for (name, value) in &request.headers {
            overlay(&mut headers, [(name.clone(), value.render(&self.variables)?)]);
        }
        sendable(&headers)
    }

    fn result(&self, tracing: &mut Tracing<'_>) -> Result<Candidate, Failure> {
        let source = self.context.source;
        let result = &self.recipe.result;
        let render = |template: &toml::Spanned<super::Template>| {
            template.get_ref().render(&self.variables).map_err(Failure::from)
        };
        let otherwise = |key: &str, of_source: &Option<String>| {
            self.variables.get(key).cloned().or_else(|| of_source.clone())
        };
        let playlist = self.join(&render(&result.playlist)?)?;
        tracing.yielded("playlist", playlist.as_str());
        let expires_at = match &result.expires {
            Some(template) => {
                let text = render(template)?;
                Some(expiry::of_text(&text).ok_or("`expires` is not a time")?)
            }
            None => expiry::of_url(&playlist),
        };
        let mut headers = source.headers.clone();
        for (name, value) in &result.headers.0 {
            overlay(&mut headers, [(name.clone(), render(value)?)]);
        }
        sendable(&headers)?;
        let feed = match &result.feed {
            Some(template) => Some(render(template)?),
            None => otherwise("feed", &source.feed),
        };
        let feed = feed.filter(|feed| pitwall_upstream_map::StreamId::of_feed(feed).is_some());
        let label = match &result.label {
            Some(template) => Some(render(template)?),
            None => otherwise("label", &source.label),
        };
        Ok(Candidate {
            position: 0,
            feed: feed.ok_or("the feed has no letter or digit to make an id of")?,
            label,
            playlist,
            headers,
            expires_at,
        })
    }
}

/// Reading a page takes as long as its author likes: not on a thread that others wait for.
async fn look(find: Find, text: Arc<str>, each: bool) -> Result<Yield, Failure> {
    let found = aside(move || match each {
        true => find.all(&text).map(Yield::Each),
        false => find.one(&text).map(Yield::One),
    });
    Ok(found.await??)
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::lasting("the page could not be read"))
}
