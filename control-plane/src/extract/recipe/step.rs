//! [`Step`]: one action, as it is configured.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

use super::find::{Css, Find, Pattern, Pointer};
use super::template::{Template, name_of};
use crate::settings::{HeaderTable, from_text};

pub(super) struct Step {
    pub(super) action: Action,
    pub(super) save: Option<Name>,
}

pub(super) enum Action {
    Request(Request),
    Find {
        find: Find,
        /// A variable to look at, instead of the current page.
        from: Option<Name>,
    },
}

pub(super) struct Request {
    pub(super) target: Target,
    pub(super) headers: Vec<(String, Template)>,
}

pub(super) enum Target {
    Get(Template),
    Post(Template, Body),
    /// What the first match shows.
    Iframe(Css, String),
}

pub(super) enum Body {
    Form(BTreeMap<String, Template>),
    Json(Json),
}

/// JSON whose texts are templates.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(super) enum Json {
    Text(Template),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    Other(serde_json::Value),
}

/// The name of a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(pub(super) String);

from_text!(Name, |text| name_of(text).map(Self));

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A `[[source.step]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    get: Option<Template>,
    post: Option<Template>,
    form: Option<BTreeMap<String, Template>>,
    json: Option<Json>,
    iframe: Option<Css>,
    select: Option<Css>,
    attribute: Option<String>,
    regex: Option<Pattern>,
    pointer: Option<Pointer>,
    from: Option<Name>,
    save: Option<Name>,
    headers: Option<HeaderTable<Template>>,
}

const ONE_ACTION: &str = "a step has exactly one of get, post, iframe, select, regex and pointer";

impl TryFrom<Settings> for Step {
    type Error = String;

    fn try_from(mut settings: Settings) -> Result<Self, String> {
        let actions = [
            settings.get.is_some(),
            settings.post.is_some(),
            settings.iframe.is_some(),
            settings.select.is_some(),
            settings.regex.is_some(),
            settings.pointer.is_some(),
        ];
        if actions.into_iter().filter(|given| *given).count() != 1 {
            return Err(ONE_ACTION.to_owned());
        }
        let save = settings.save.take();
        let action = match settings.target()? {
            Some(target) => {
                let headers = settings.headers.take().unwrap_or_default().0;
                Action::Request(Request { target, headers })
            }
            None => {
                let find = settings.find()?;
                if save.is_none() {
                    return Err("what it finds must be kept: add `save`".to_owned());
                }
                Action::Find { find, from: settings.from.take() }
            }
        };
        settings.nothing_left()?;
        Ok(Self { action, save })
    }
}

impl Settings {
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

    fn find(&mut self) -> Result<Find, String> {
        let select = self.select.take().map(|css| Find::Select(css, self.attribute.take()));
        let regex = self.regex.take().map(Find::Regex);
        let pointer = self.pointer.take().map(Find::Pointer);
        select.or(regex).or(pointer).ok_or_else(|| ONE_ACTION.to_owned())
    }

    /// A key that its action does not read would be a silent mistake.
    fn nothing_left(&self) -> Result<(), String> {
        let misplaced = [
            (self.form.is_some(), "`form` belongs to `post`"),
            (self.json.is_some(), "`json` belongs to `post`"),
            (self.attribute.is_some(), "`attribute` belongs to `select` and `iframe`"),
            (self.from.is_some(), "`from` belongs to `select`, `regex` and `pointer`"),
            (self.headers.is_some(), "`headers` belongs to `get`, `post` and `iframe`"),
        ];
        match misplaced.into_iter().find(|(given, _)| *given) {
            Some((_, why)) => Err(why.to_owned()),
            None => Ok(()),
        }
    }
}

impl TryFrom<serde_json::Value> for Json {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        use serde_json::Value;
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(&text)?),
            Value::Array(items) => {
                Self::Array(items.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let entry = |(key, value)| Ok((key, Self::try_from(value)?));
                Self::Object(entries.into_iter().map(entry).collect::<Result<_, String>>()?)
            }
            other => Self::Other(other),
        })
    }
}

impl Json {
    pub(super) fn render(
        &self,
        variables: &BTreeMap<String, String>,
    ) -> Result<serde_json::Value, String> {
        Ok(match self {
            Self::Text(template) => template.render(variables)?.into(),
            Self::Array(items) => {
                items.iter().map(|item| item.render(variables)).collect::<Result<_, _>>()?
            }
            Self::Object(entries) => {
                let entry =
                    |(key, value): &(String, Self)| Ok((key.clone(), value.render(variables)?));
                serde_json::Value::Object(entries.iter().map(entry).collect::<Result<_, String>>()?)
            }
            Self::Other(value) => value.clone(),
        })
    }

    fn templates<'a>(&'a self, into: &mut Vec<&'a Template>) {
        match self {
            Self::Text(template) => into.push(template),
            Self::Array(items) => items.iter().for_each(|item| item.templates(into)),
            Self::Object(entries) => entries.iter().for_each(|(_, item)| item.templates(into)),
            Self::Other(_) => {}
        }
    }
}

impl Step {
    pub(super) fn fetches(&self) -> bool {
        matches!(self.action, Action::Request(_))
    }

    /// As errors name it. Not the URL of a request, nor a pattern, which may hold one: these
    /// names are public.
    pub(super) fn describe(&self, index: usize) -> String {
        let number = index + 1;
        match &self.action {
            Action::Request(Request { target: Target::Get(_), .. }) => {
                format!("step {number} (get)")
            }
            Action::Request(Request { target: Target::Post(..), .. }) => {
                format!("step {number} (post)")
            }
            Action::Request(Request { target: Target::Iframe(css, _), .. }) => {
                format!("step {number} (iframe {})", css.public())
            }
            Action::Find { find: Find::Select(css, _), .. } => {
                format!("step {number} (select {})", css.public())
            }
            Action::Find { find: Find::Regex(_), .. } => {
                let save = self.save.as_ref().map_or("", |name| &name.0);
                format!("step {number} (regex for {save})")
            }
            Action::Find { find: Find::Pointer(pointer), .. } => {
                format!("step {number} (pointer {:?})", pointer.0)
            }
        }
    }

    /// Can it run once the variables `known` are there? `url` is known as soon as there is a
    /// current page.
    pub(super) fn check(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        let page = known.contains("url");
        let no_page = || Err("there is no page yet: begin with get or post".to_owned());
        match &self.action {
            Action::Find { from: None, .. } if !page => no_page(),
            Action::Find { from: Some(from), .. } if !known.contains(from.0.as_str()) => {
                Err(format!("the variable {:?} is not known here", from.0))
            }
            Action::Find { .. } => Ok(()),
            Action::Request(request) => {
                match &request.target {
                    Target::Iframe(..) if !page => no_page()?,
                    Target::Get(url) | Target::Post(url, _) if !page && url.is_relative() => {
                        return Err("the first URL must begin with http:// or https://".to_owned());
                    }
                    _ => {}
                }
                request.templates().iter().try_for_each(|template| template.check(known))
            }
        }
    }

    /// The port that its URL names.
    pub(super) fn port(&self) -> Option<u16> {
        match &self.action {
            Action::Request(Request {
                target: Target::Get(url) | Target::Post(url, _), ..
            }) => url.port(),
            _ => None,
        }
    }
}

impl Request {
    fn templates(&self) -> Vec<&Template> {
        let mut templates: Vec<_> = self.headers.iter().map(|(_, value)| value).collect();
        match &self.target {
            Target::Get(url) => templates.push(url),
            Target::Post(url, body) => {
                templates.push(url);
                match body {
                    Body::Form(fields) => templates.extend(fields.values()),
                    Body::Json(json) => json.templates(&mut templates),
                }
            }
            Target::Iframe(..) => {}
        }
        templates
    }
}
