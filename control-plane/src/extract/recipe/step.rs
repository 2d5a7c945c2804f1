//! [`Step`]: one action of a recipe.

mod settings;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use url::Url;

use super::body::Body;
use super::decode::Coding;
use super::find::{Css, Find};
use super::script::Script;
use super::template::{Template, name_of};
use crate::settings::from_text;

pub(super) use self::settings::Settings;

pub(super) struct Step {
    pub(super) action: Action,
    pub(super) keep: Keep,
}

pub(super) enum Action {
    Request(Request),
    Find {
        find: Find,
        from: Option<Name>,
        /// Yielded where nothing is found.
        default: Option<Template>,
    },
    /// A header of the current page.
    Header(String),
    /// A cookie that the current page would be asked with.
    Cookie(String),
    Decode {
        codings: Vec<Coding>,
        from: Option<Name>,
    },
    Script(Script),
    Text(Template),
}

/// What becomes of what a step yields.
pub(super) enum Keep {
    Nothing,
    Save(Name),
    /// The steps below run once for each, with this variable.
    ForEach(Name),
}

pub(super) struct Request {
    pub(super) target: Target,
    pub(super) headers: Vec<(String, Template)>,
    /// That a script of the page would have set.
    pub(super) cookies: BTreeMap<String, Template>,
}

pub(super) enum Target {
    Get(Template),
    Post(Template, Body),
    /// What the first match shows.
    Iframe(Css, String),
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

impl Keep {
    pub(super) fn name(&self) -> Option<&Name> {
        match self {
            Self::Nothing => None,
            Self::Save(name) | Self::ForEach(name) => Some(name),
        }
    }
}

impl Step {
    pub(super) fn fetches(&self) -> bool {
        matches!(self.action, Action::Request(_))
    }

    /// Variables that are there once it ran.
    pub(super) fn yields(&self) -> impl Iterator<Item = &str> {
        let names = match &self.action {
            Action::Find { find: Find::Regex(pattern), .. } => pattern.names(),
            _ => Vec::new(),
        };
        let url = self.fetches().then_some("url");
        names.into_iter().chain(url).chain(self.keep.name().map(|name| name.0.as_str()))
    }

    /// As errors name it. Not the URL of a request, nor a pattern, which may hold one: these
    /// names are public.
    pub(super) fn describe(&self, index: usize) -> String {
        let action = match &self.action {
            Action::Request(Request { target: Target::Get(_), .. }) => "get".to_owned(),
            Action::Request(Request { target: Target::Post(..), .. }) => "post".to_owned(),
            Action::Request(Request { target: Target::Iframe(css, _), .. }) => {
                format!("iframe {}", css.public())
            }
            Action::Find { find: Find::Select { css, .. }, .. } => {
                format!("select {}", css.public())
            }
            Action::Find { find: Find::Regex(_), .. } => format!("regex for {}", self.keeps()),
            Action::Find { find: Find::Pointer(pointer), .. } => format!("pointer {:?}", pointer.0),
            Action::Header(name) => format!("header {name}"),
            Action::Cookie(name) => format!("cookie {name}"),
            Action::Decode { codings, .. } => {
                let names: Vec<&str> = codings.iter().map(|coding| coding.name()).collect();
                format!("decode {}", names.join(", "))
            }
            Action::Script(_) => format!("script for {}", self.keeps()),
            Action::Text(_) => format!("text for {}", self.keeps()),
        };
        format!("step {} ({action})", index + 1)
    }

    fn keeps(&self) -> String {
        self.yields().collect::<Vec<_>>().join(", ")
    }

    /// Can it run once the variables `known` are there? `url` is known as soon as there is a
    /// current page.
    pub(super) fn check(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        let page = known.contains("url");
        let page = || match page {
            true => Ok(()),
            false => Err("there is no page yet: begin with get or post".to_owned()),
        };
        let from = |from: &Option<Name>| match from {
            None => page(),
            Some(from) if known.contains(from.0.as_str()) => Ok(()),
            Some(from) => Err(format!("the variable {:?} is not known here", from.0)),
        };
        match &self.action {
            Action::Find { from: name, default, .. } => {
                from(name)?;
                default.iter().try_for_each(|default| default.check(known))
            }
            Action::Decode { from: name, .. } => from(name),
            Action::Header(_) | Action::Cookie(_) => page(),
            Action::Script(_) => Ok(()),
            Action::Text(text) => text.check(known),
            Action::Request(request) => request.check(known),
        }
    }

    /// The scheme, host and port that its URL names.
    pub(super) fn origin(&self) -> Option<Url> {
        match &self.action {
            Action::Request(Request {
                target: Target::Get(url) | Target::Post(url, _), ..
            }) => url.origin(),
            _ => None,
        }
    }
}

impl Request {
    fn check(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        let page = known.contains("url");
        match &self.target {
            Target::Iframe(..) if !page => {
                return Err("there is no page yet: begin with get or post".to_owned());
            }
            Target::Get(url) | Target::Post(url, _) if !page && url.is_relative() => {
                return Err("the first URL must begin with http:// or https://".to_owned());
            }
            _ => {}
        }
        self.templates().iter().try_for_each(|template| template.check(known))
    }

    fn templates(&self) -> Vec<&Template> {
        let mut templates: Vec<_> = self.headers.iter().map(|(_, value)| value).collect();
        templates.extend(self.cookies.values());
        match &self.target {
            Target::Get(url) => templates.push(url),
            Target::Post(url, body) => {
                templates.push(url);
                body.templates(&mut templates);
            }
            Target::Iframe(..) => {}
        }
        templates
    }
}
