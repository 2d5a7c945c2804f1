//! A `[[source.step]]` as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::body::{Body, Json};
use super::super::decode::Codings;
use super::super::find::{Css, Find, Pattern, Pointer};
use super::super::script::Script;
use super::super::template::Template;
use super::{Action, Keep, Name, Request, Step, Target};
use crate::settings::HeaderTable;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Settings {
    // Actions, of which a step has one.
    get: Option<Template>,
    post: Option<Template>,
    iframe: Option<Css>,
    select: Option<Css>,
    regex: Option<Pattern>,
    pointer: Option<Pointer>,
    header: Option<String>,
    cookie: Option<String>,
    decode: Option<Codings>,
    script: Option<Script>,
    text: Option<Template>,
    // What belongs to some of them.
    form: Option<BTreeMap<String, Template>>,
    json: Option<Json>,
    headers: Option<HeaderTable<Template>>,
    cookies: Option<BTreeMap<String, Template>>,
    attribute: Option<String>,
    #[serde(default)]
    html: bool,
    from: Option<Name>,
    default: Option<Template>,
    save: Option<Name>,
    foreach: Option<Name>,
}

const ONE_ACTION: &str = "a step has exactly one of get, post, iframe, select, regex, pointer, \
                          header, cookie, decode, script and text";

impl TryFrom<Settings> for Step {
    type Error = String;

    fn try_from(mut settings: Settings) -> Result<Self, String> {
        if settings.actions() != 1 {
            return Err(ONE_ACTION.to_owned());
        }
        let action = settings.action()?;
        let keep = settings.keep(&action)?;
        settings.nothing_left()?;
        Ok(Self { action, keep })
    }
}

impl Settings {
    fn actions(&self) -> usize {
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

    fn action(&mut self) -> Result<Action, String> {
        if let Some(target) = self.target()? {
            let headers = self.headers.take().unwrap_or_default().0;
            let cookies = self.cookies.take().unwrap_or_default();
            return Ok(Action::Request(Request { target, headers, cookies }));
        }
        if let Some(find) = self.find() {
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
            .map(|Codings(codings)| Action::Decode { codings, from: self.from.take() });
        let action = header.or(cookie).or(script).or(text).or(decode);
        action.ok_or_else(|| ONE_ACTION.to_owned())
    }

    fn target(&mut self) -> Result<Option<Target>, String> {
        if let Some(url) = self.get.take() {
            return Ok(Some(Target::Get(url)));
        }
        if let Some(url) = self.post.take() {
            let body = match (self.form.take(), self.json.take()) {
                (Some(_), Some(_)) => return Err("a post has a form or json, not both".to_owned()),
                (None, Some(json)) => Body::Json(json),
                (form, None) => Body::Form(form.unwrap_or_default()),
            };
            return Ok(Some(Target::Post(url, body)));
        }
        let attribute = |given: &mut Option<String>| given.take().unwrap_or("src".to_owned());
        Ok(self.iframe.take().map(|css| Target::Iframe(css, attribute(&mut self.attribute))))
    }

    fn find(&mut self) -> Option<Find> {
        let select = self.select.take().map(|css| {
            let html = std::mem::take(&mut self.html);
            Find::Select { css, attribute: self.attribute.take(), html }
        });
        let regex = self.regex.take().map(Find::Regex);
        let pointer = self.pointer.take().map(Find::Pointer);
        select.or(regex).or(pointer)
    }

    fn keep(&mut self, action: &Action) -> Result<Keep, String> {
        let keep = match (self.save.take(), self.foreach.take()) {
            (Some(_), Some(_)) => {
                return Err("`foreach` saves each match itself: leave `save` out".to_owned());
            }
            (Some(name), None) => Keep::Save(name),
            (None, Some(name)) => Keep::ForEach(name),
            (None, None) => Keep::Nothing,
        };
        match (action, &keep) {
            (Action::Request(_), Keep::ForEach(_)) => {
                Err("`foreach` belongs to `select`, `regex`, `pointer` and `script`".to_owned())
            }
            (Action::Find { find: Find::Regex(pattern), .. }, Keep::Nothing)
                if !pattern.names().is_empty() =>
            {
                Ok(keep)
            }
            (Action::Request(_), _) | (_, Keep::Save(_)) => Ok(keep),
            (Action::Find { .. } | Action::Script(_), Keep::ForEach(_)) => Ok(keep),
            (_, Keep::ForEach(_)) => {
                Err("`foreach` belongs to `select`, `regex`, `pointer` and `script`".to_owned())
            }
            (_, Keep::Nothing) => Err("what it finds must be kept: add `save`".to_owned()),
        }
    }

    /// A key that its action does not read would be a silent mistake.
    fn nothing_left(&self) -> Result<(), String> {
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
