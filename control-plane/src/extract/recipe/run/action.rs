//! Performs the action of a step.

use std::sync::Arc;

use super::{RecipeRun, run_blocking};
use crate::extract::StepFailure;
use crate::extract::error::list_names;
use crate::extract::recipe::decode;
use crate::extract::recipe::matcher::{Matcher, TextMatch};
use crate::extract::recipe::page::Page;
use crate::extract::recipe::script::{ScriptInput, ScriptOutput};
use crate::extract::recipe::step::{Action, OutputBinding, Step, VariableName};
use crate::extract::trace::StepSpan;

/// The output of a step.
pub(super) enum StepOutput {
    Single(TextMatch),
    Many(Vec<TextMatch>),
}

impl RecipeRun<'_> {
    pub(super) async fn perform_action(
        &mut self,
        step: &Arc<Step>,
        span: &mut StepSpan<'_>,
    ) -> Result<StepOutput, StepFailure> {
        let single =
            |text: String| Ok(StepOutput::Single(TextMatch { text, named_groups: Vec::new() }));
        match &step.action {
            Action::Request(request) => {
                let page = self.fetch_page(request, span).await?;
                let url = page.url.to_string();
                self.variables.insert("url".to_owned(), url.clone());
                self.page = Some(page);
                single(url)
            }
            Action::Find { find: matcher, from, default } => {
                let text = match from {
                    Some(name) => self.variable(name)?.into(),
                    None => self.current_page()?.text.clone(),
                };
                let each = matches!(step.binding, OutputBinding::ForEach(_));
                match (find_matches(matcher.clone(), text, each).await, default) {
                    (Err(_), Some(default)) => single(default.render(&self.variables)?),
                    (found, _) => found,
                }
            }
            Action::Header(name) => {
                let page = self.current_page()?;
                let missing = || {
                    let names = page.headers.iter().map(|(name, _)| name);
                    let failure = StepFailure::from("the page has no such header");
                    failure.with_detail(format!("it has: {}", list_names(names)))
                };
                single(page.header(name).ok_or_else(missing)?.to_owned())
            }
            Action::Cookie(name) => single(self.cookie(name)?),
            Action::Decode { codings, from: Some(name) } => {
                single(decode::decode_text(codings, self.variable(name)?.as_bytes())?)
            }
            Action::Decode { codings, from: None } => {
                single(decode::decode_text(codings, &self.current_page()?.bytes)?)
            }
            Action::Script(script) => {
                let input = ScriptInput {
                    code: script.code(),
                    variables: self.variables.clone(),
                    page: self.page.as_ref().map(|page| page.text.to_string()).unwrap_or_default(),
                    url: self.page.as_ref().map(|page| page.url.to_string()).unwrap_or_default(),
                    now: self.context.recorder.now.as_millisecond(),
                    seed: self.context.recorder.seed,
                };
                let each = matches!(step.binding, OutputBinding::ForEach(_));
                let to_match = |text| TextMatch { text, named_groups: Vec::new() };
                match (input.run_in_worker(&self.context.tools.script_worker).await?, each) {
                    (ScriptOutput::Items(items), true) if items.is_empty() => {
                        Err("the script's array is empty".into())
                    }
                    (ScriptOutput::Items(items), true) => {
                        Ok(StepOutput::Many(items.into_iter().map(to_match).collect()))
                    }
                    (ScriptOutput::Text(text), false) => single(text),
                    (ScriptOutput::Items(items), false) => {
                        single(serde_json::to_string(&items).unwrap_or_default())
                    }
                    _ => Err("the script yields no array".into()),
                }
            }
            Action::Text(text) => single(text.render(&self.variables)?),
        }
    }

    pub(super) fn current_page(&self) -> Result<&Page, StepFailure> {
        self.page.as_ref().ok_or(StepFailure::permanent("there is no page yet"))
    }

    fn variable(&self, name: &VariableName) -> Result<&str, StepFailure> {
        let value = self.variables.get(&name.0).ok_or("the variable is not known")?;
        Ok(value)
    }

    fn cookie(&self, name: &str) -> Result<String, StepFailure> {
        let cookies = crate::extract::cookie_pairs(&self.jar, &self.current_page()?.url);
        let mut pairs = cookies.iter().filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned());
        found.ok_or_else(|| "there is no such cookie".into())
    }
}

async fn find_matches(
    matcher: Matcher,
    text: Arc<str>,
    each: bool,
) -> Result<StepOutput, StepFailure> {
    let found = run_blocking(move || match each {
        true => matcher.find_all(&text).map(StepOutput::Many),
        false => matcher.find_first(&text).map(StepOutput::Single),
    });
    found.await?
}
