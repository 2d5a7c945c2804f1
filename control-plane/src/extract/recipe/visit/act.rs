//! What a step does.

use std::sync::Arc;

use super::{Visit, aside};
use crate::extract::Failure;
use crate::extract::error::listing;
use crate::extract::recipe::decode;
use crate::extract::recipe::find::{Find, Hit};
use crate::extract::recipe::page::Page;
use crate::extract::recipe::script::{Input, Output};
use crate::extract::recipe::step::{Action, Keep, Name, Step};
use crate::extract::trace::Tracing;

/// What a step came to.
pub(super) enum Yield {
    One(Hit),
    Each(Vec<Hit>),
}

impl Visit<'_> {
    pub(super) async fn act(
        &mut self,
        step: &Arc<Step>,
        tracing: &mut Tracing<'_>,
    ) -> Result<Yield, Failure> {
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
                let page = self.page()?;
                let none = || {
                    let names = page.headers.iter().map(|(name, _)| name);
                    let why = Failure::from("the page has no such header");
                    why.detail(format!("it has: {}", listing(names)))
                };
                one(page.header(name).ok_or_else(none)?.to_owned())
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

    pub(super) fn page(&self) -> Result<&Page, Failure> {
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
}

async fn look(find: Find, text: Arc<str>, each: bool) -> Result<Yield, Failure> {
    let found = aside(move || match each {
        true => find.all(&text).map(Yield::Each),
        false => find.one(&text).map(Yield::One),
    });
    found.await?
}
