//! [`Visit`]: one run of a recipe, with its own cookies and variables; below a `foreach` one of
//! several that share their cookies.
//!
//! - [`act`]: what a step does.
//! - [`request`]: fetching the next page, as a browser would ask for it.
//! - [`result`]: what is left at the end, as a candidate.
//! - [`finds`]: what all branches came to.

mod act;
mod finds;
mod request;
mod result;

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use pitwall_fetch::Jar;

use self::act::Yield;
pub(super) use self::finds::Finds;
use super::find::Hit;
use super::page::Page;
use super::step::{Keep, Name, Step};
use super::{AT_ONCE, Recipe, Row};
use crate::extract::trace::Track;
use crate::extract::{Context, ExtractError, Failure};

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

/// More branches than this are a list of something else.
const MAX_BRANCHES: usize = 200;

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
}

/// Reading a page takes as long as its author likes: not on a thread that others wait for.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Failure::lasting("the page could not be read"))
}
