//! [`StepSettings`]: a `[[source.step]]`, as written in the configuration.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::body::{JsonTemplate, PostBody};
use super::super::decode::CodingList;
use super::super::matcher::{CssSelector, JsonPointer, Matcher, Pattern};
use super::super::script::Script;
use super::super::template::Template;
use super::{Action, OutputBinding, PageRequest, RequestTarget, Step, VariableName};
use crate::settings::HeaderTable;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct StepSettings {
    // Actions: a step has exactly one.
    get: Option<Template>,
    post: Option<Template>,
    iframe: Option<CssSelector>,
    select: Option<CssSelector>,
    regex: Option<Pattern>,
    pointer: Option<JsonPointer>,
    header: Option<String>,
    cookie: Option<String>,
    decode: Option<CodingList>,
    script: Option<Script>,
    text: Option<Template>,
    // Keys that belong to some of the actions.
    form: Option<BTreeMap<String, Template>>,
    json: Option<JsonTemplate>,
    headers: Option<HeaderTable<Template>>,
    cookies: Option<BTreeMap<String, Template>>,
    attribute: Option<String>,
    #[serde(default)]
    html: bool,
    from: Option<VariableName>,
    default: Option<Template>,
    save: Option<VariableName>,
    foreach: Option<VariableName>,
}

const ONE_ACTION_MESSAGE: &str = "a step has exactly one of get, post, iframe, select, regex, pointer, \
                          header, cookie, decode, script and text";

impl TryFrom<StepSettings> for Step {
    type Error = String;

    fn try_from(mut settings: StepSettings) -> Result<Self, String> {
        if settings.count_actions() != 1 {
            return Err(ONE_ACTION_MESSAGE.to_owned());
        }
        let action = settings.take_action()?;
        let binding = settings.take_binding(&action)?;
        settings.check_unused_keys()?;
        Ok(Self { action, binding })
    }
}

impl StepSettings {
    fn count_actions(&self) -> usize {
        let given = [
            self.get.is_some(),
            self.post.is_some(),
            self.iframe.is_some(),
            self.select.is_some(),
            self.regex.is_some(),
            self.pointer.is_some(),
            self.header.is_some(),
            self.cookie.is_some(),
            self.decode.is_some(),
            self.script.is_some(),
            self.text.is_some(),
        ];
        given.into_iter().filter(|given| *given).count()
    }

    fn take_action(&mut self) -> Result<Action, String> {
        if let Some(target) = self.take_target()? {
            let headers = self.headers.take().unwrap_or_default().0;
            let cookies = self.cookies.take().unwrap_or_default();
            return Ok(Action::Request(PageRequest { target, headers, cookies }));
        }
        if let Some(find) = self.take_matcher() {
            let (from, default) = (self.from.take(), self.default.take());
            return Ok(Action::Find { find, from, default });
        }
        let header = self.header.take().map(Action::Header);
        let cookie = self.cookie.take().map(Action::Cookie);
        let script = self.script.take().map(Action::Script);
        let text = self.text.take().map(Action::Text);
        let decode = self
            .decode
            .take()
            .map(|CodingList(codings)| Action::Decode { codings, from: self.from.take() });
        let action = header.or(cookie).or(script).or(text).or(decode);
        action.ok_or_else(|| ONE_ACTION_MESSAGE.to_owned())
    }

    fn take_target(&mut self) -> Result<Option<RequestTarget>, String> {
        if let Some(url) = self.get.take() {
            return Ok(Some(RequestTarget::Get(url)));
        }
        if let Some(url) = self.post.take() {
            let body = match (self.form.take(), self.json.take()) {
                (Some(_), Some(_)) => return Err("a post has a form or json, not both".to_owned()),
                (None, Some(json)) => PostBody::Json(json),
                (form, None) => PostBody::Form(form.unwrap_or_default()),
            };
            return Ok(Some(RequestTarget::Post(url, body)));
        }
        let attribute = |given: &mut Option<String>| given.take().unwrap_or("src".to_owned());
        Ok(self.iframe.take().map(|css| RequestTarget::Iframe(css, attribute(&mut self.attribute))))
    }

    fn take_matcher(&mut self) -> Option<Matcher> {
        let select = self.select.take().map(|css| {
            let html = std::mem::take(&mut self.html);
            Matcher::Select { css, attribute: self.attribute.take(), html }
        });
        let regex = self.regex.take().map(Matcher::Regex);
        let pointer = self.pointer.take().map(Matcher::Pointer);
        select.or(regex).or(pointer)
    }

    fn take_binding(&mut self, action: &Action) -> Result<OutputBinding, String> {
        let binding = match (self.save.take(), self.foreach.take()) {
            (Some(_), Some(_)) => {
                return Err("`foreach` saves each match itself: leave `save` out".to_owned());
            }
            (Some(name), None) => OutputBinding::Save(name),
            (None, Some(name)) => OutputBinding::ForEach(name),
            (None, None) => OutputBinding::Discard,
        };
        match (action, &binding) {
            (Action::Request(_), OutputBinding::ForEach(_)) => {
                Err("`foreach` belongs to `select`, `regex`, `pointer` and `script`".to_owned())
            }
            (Action::Find { find: Matcher::Regex(pattern), .. }, OutputBinding::Discard)
                if !pattern.group_names().is_empty() =>
            {
                Ok(binding)
            }
            (Action::Request(_), _) | (_, OutputBinding::Save(_)) => Ok(binding),
            (Action::Find { .. } | Action::Script(_), OutputBinding::ForEach(_)) => Ok(binding),
            (_, OutputBinding::ForEach(_)) => {
                Err("`foreach` belongs to `select`, `regex`, `pointer` and `script`".to_owned())
            }
            (_, OutputBinding::Discard) => Err("what it finds must be kept: add `save`".to_owned()),
        }
    }

    /// Refuses keys that the step's action does not read: ignoring them would hide a mistake.
    fn check_unused_keys(&self) -> Result<(), String> {
        let misplaced = [
            (self.form.is_some(), "`form` belongs to `post`"),
            (self.json.is_some(), "`json` belongs to `post`"),
            (self.attribute.is_some(), "`attribute` belongs to `select` and `iframe`"),
            (self.html, "`html` belongs to `select`"),
            (self.from.is_some(), "`from` belongs to `select`, `regex`, `pointer` and `decode`"),
            (self.default.is_some(), "`default` belongs to `select`, `regex` and `pointer`"),
            (self.headers.is_some(), "`headers` belongs to `get`, `post` and `iframe`"),
            (self.cookies.is_some(), "`cookies` belongs to `get`, `post` and `iframe`"),
        ];
        match misplaced.into_iter().find(|(given, _)| *given) {
            Some((_, why)) => Err(why.to_owned()),
            None => Ok(()),
        }
    }
}
