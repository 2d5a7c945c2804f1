//! [`RecipeRun`]: one run of a recipe with its own cookies and variables, or below a `foreach` one
//! branch of such a run, which shares the cookies of the others.
//!
//! - [`action`]: performs the action of a step.
//! - [`fetch`]: fetches the next page with the headers of a browser.
//! - [`candidate`]: builds the candidate after the last step.
//! - [`results`]: the candidates and failures of all branches.

mod action;
mod candidate;
mod fetch;
mod results;

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use pitwall_fetch::CookieJar;

use self::action::StepOutput;
pub(super) use self::results::RecipeResults;
use super::matcher::TextMatch;
use super::page::Page;
use super::step::{OutputBinding, Step, VariableName};
use super::{MAX_CONCURRENT_RUNS, Recipe, RowVariables};
use crate::extract::trace::RunBranch;
use crate::extract::{ExtractContext, ExtractError, StepFailure};

pub(super) struct RecipeRun<'a> {
    recipe: &'a Recipe,
    context: &'a ExtractContext<'a>,
    results: &'a Mutex<RecipeResults>,
    branch: RunBranch,
    jar: Arc<CookieJar>,
    variables: RowVariables,
    page: Option<Page>,
    /// The index of the next step.
    next_step: usize,
}

/// Branches of one `foreach`: a list of streams is shorter.
const MAX_BRANCHES: usize = 200;

impl<'a> RecipeRun<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        context: &'a ExtractContext<'a>,
        results: &'a Mutex<RecipeResults>,
        branch: RunBranch,
        row: &RowVariables,
    ) -> Self {
        let (jar, variables) = (Arc::default(), row.clone());
        Self { recipe, context, results, branch, jar, variables, page: None, next_step: 0 }
    }

    /// Runs the remaining steps. Candidates and failures go to the shared results at once, so that
    /// they survive if the row's deadline drops the future.
    pub(super) fn run_steps(mut self) -> BoxFuture<'a, ()> {
        async move {
            while let Some(step) = self.recipe.steps.get(self.next_step).cloned() {
                let name = step.describe(self.next_step);
                self.next_step += 1;
                match (self.run_step(&name, &step).await, &step.binding) {
                    (Ok(StepOutput::Many(matches)), OutputBinding::ForEach(variable)) => {
                        return self.run_branches(variable, matches).await;
                    }
                    (Ok(StepOutput::Single(found)), binding) => {
                        self.save_match(binding.variable(), found);
                    }
                    (Ok(StepOutput::Many(_)), _) => {}
                    (Err(failure), _) => return self.record_failure(failure.at_step(name)),
                }
            }
            let mut span = self.context.trace.start_step(&self.branch, "result");
            let candidate = self.build_candidate(&mut span);
            match span.finish(candidate) {
                Ok(candidate) => {
                    let path = self.branch.path.clone();
                    self.lock_results().candidates.push((path, candidate));
                }
                Err(failure) => self.record_failure(failure.at_step("result")),
            }
        }
        .boxed()
    }

    async fn run_branches(&self, variable: &VariableName, matches: Vec<TextMatch>) {
        self.lock_results().dropped += matches.len().saturating_sub(MAX_BRANCHES);
        let branches = matches.into_iter().take(MAX_BRANCHES).enumerate().map(|(index, found)| {
            let mut branch = RecipeRun {
                recipe: self.recipe,
                context: self.context,
                results: self.results,
                branch: self.branch.child_branch(index),
                jar: self.jar.clone(),
                variables: self.variables.clone(),
                page: self.page.clone(),
                next_step: self.next_step,
            };
            branch.save_match(Some(variable), found);
            branch.run_steps()
        });
        let branches: Vec<_> = branches.collect();
        futures::stream::iter(branches).buffered(MAX_CONCURRENT_RUNS).collect::<()>().await;
    }

    fn lock_results(&self) -> std::sync::MutexGuard<'a, RecipeResults> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_failure(&self, error: ExtractError) {
        let path = self.branch.path.clone();
        self.lock_results().failures.push((path, error));
    }

    fn save_match(&mut self, variable: Option<&VariableName>, found: TextMatch) {
        if let Some(name) = variable {
            self.variables.insert(name.0.clone(), found.text);
        }
        self.variables.extend(found.named_groups);
    }

    async fn run_step(&mut self, name: &str, step: &Arc<Step>) -> Result<StepOutput, StepFailure> {
        let mut span = self.context.trace.start_step(&self.branch, name);
        let result = self.perform_action(step, &mut span).await;
        let variable = step.binding.variable().map_or("", |name| name.0.as_str());
        match &result {
            Ok(StepOutput::Single(found)) if found.named_groups.is_empty() => {
                span.set_output(variable, &found.text)
            }
            Ok(StepOutput::Single(found)) => span.set_output_pairs(&found.named_groups),
            Ok(StepOutput::Many(matches)) => span.set_match_count(matches.len()),
            Err(_) => {}
        }
        span.finish(result)
    }
}

/// Runs `work` on the blocking pool: parsing a hostile page may take long, and would stall the
/// other tasks of a runtime's thread.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StepFailure> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|_| StepFailure::permanent("the page could not be read"))
}
