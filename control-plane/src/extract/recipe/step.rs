//! [`Step`]: one step of a recipe: an action, and the variable that its output is saved in.
//!
//! - [`settings`]: `[[source.step]]`, parsed.

mod settings;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use url::Url;

use super::body::PostBody;
use super::decode::Coding;
use super::matcher::{CssSelector, Matcher};
use super::script::Script;
use super::template::{Template, parse_variable_name};
use crate::settings::from_text;

pub(super) use self::settings::StepSettings;

pub(super) struct Step {
    pub(super) action: Action,
    pub(super) binding: OutputBinding,
}

pub(super) enum Action {
    Request(PageRequest),
    Find {
        find: Matcher,
        from: Option<VariableName>,
        /// The output if nothing matches.
        default: Option<Template>,
    },
    /// A response header of the current page.
    Header(String),
    /// A cookie that a request for the current page would carry.
    Cookie(String),
    Decode {
        codings: Vec<Coding>,
        from: Option<VariableName>,
    },
    Script(Script),
    Text(Template),
}

/// Where the output of a step goes.
pub(super) enum OutputBinding {
    Discard,
    Save(VariableName),
    /// The steps below run once for each match, with this variable set to it.
    ForEach(VariableName),
}

pub(super) struct PageRequest {
    pub(super) target: RequestTarget,
    pub(super) headers: Vec<(String, Template)>,
    /// Cookies to set before the request, as a script of the page would.
    pub(super) cookies: BTreeMap<String, Template>,
}

pub(super) enum RequestTarget {
    Get(Template),
    Post(Template, PostBody),
    /// The URL in the named attribute of the first element that matches.
    Iframe(CssSelector, String),
}

/// The name of a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct VariableName(pub(super) String);

from_text!(VariableName, |text| parse_variable_name(text).map(Self));

impl Borrow<str> for VariableName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl OutputBinding {
    pub(super) fn variable(&self) -> Option<&VariableName> {
        match self {
            Self::Discard => None,
            Self::Save(name) | Self::ForEach(name) => Some(name),
        }
    }
}

impl Step {
    pub(super) fn is_request(&self) -> bool {
        matches!(self.action, Action::Request(_))
    }

    /// The variables that are defined once the step has run.
    pub(super) fn defined_variables(&self) -> impl Iterator<Item = &str> {
        let names = match &self.action {
            Action::Find { find: Matcher::Regex(pattern), .. } => pattern.group_names(),
            _ => Vec::new(),
        };
        let url = self.is_request().then_some("url");
        names.into_iter().chain(url).chain(self.binding.variable().map(|name| name.0.as_str()))
    }

    /// The step's name in errors, which are public: it shows neither the URL of a request nor a
    /// pattern, which may hold a URL.
    pub(super) fn describe(&self, index: usize) -> String {
        let action = match &self.action {
            Action::Request(PageRequest { target: RequestTarget::Get(_), .. }) => "get".to_owned(),
            Action::Request(PageRequest { target: RequestTarget::Post(..), .. }) => {
                "post".to_owned()
            }
            Action::Request(PageRequest { target: RequestTarget::Iframe(css, _), .. }) => {
                format!("iframe {}", css.public_text())
            }
            Action::Find { find: Matcher::Select { css, .. }, .. } => {
                format!("select {}", css.public_text())
            }
            Action::Find { find: Matcher::Regex(_), .. } => {
                format!("regex for {}", self.describe_variables())
            }
            Action::Find { find: Matcher::Pointer(pointer), .. } => {
                format!("pointer {:?}", pointer.0)
            }
            Action::Header(name) => format!("header {name}"),
            Action::Cookie(name) => format!("cookie {name}"),
            Action::Decode { codings, .. } => {
                let names: Vec<&str> = codings.iter().map(|coding| coding.name()).collect();
                format!("decode {}", names.join(", "))
            }
            Action::Script(_) => format!("script for {}", self.describe_variables()),
            Action::Text(_) => format!("text for {}", self.describe_variables()),
        };
        format!("step {} ({action})", index + 1)
    }

    fn describe_variables(&self) -> String {
        self.defined_variables().collect::<Vec<_>>().join(", ")
    }

    /// Checks that the step can run with the variables in `known`; `url` is known as soon as there
    /// is a current page.
    pub(super) fn check_variables(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        let has_page = known.contains("url");
        let check_page = || match has_page {
            true => Ok(()),
            false => Err("there is no page yet: begin with get or post".to_owned()),
        };
        let check_input = |from: &Option<VariableName>| match from {
            None => check_page(),
            Some(from) if known.contains(from.0.as_str()) => Ok(()),
            Some(from) => Err(format!("the variable {:?} is not known here", from.0)),
        };
        match &self.action {
            Action::Find { from, default, .. } => {
                check_input(from)?;
                default.iter().try_for_each(|default| default.check_variables(known))
            }
            Action::Decode { from, .. } => check_input(from),
            Action::Header(_) | Action::Cookie(_) => check_page(),
            Action::Script(_) => Ok(()),
            Action::Text(text) => text.check_variables(known),
            Action::Request(request) => request.check_variables(known),
        }
    }

    /// The scheme, host and port that the URL of the step's request names.
    pub(super) fn origin(&self) -> Option<Url> {
        match &self.action {
            Action::Request(PageRequest {
                target: RequestTarget::Get(url) | RequestTarget::Post(url, _),
                ..
            }) => url.origin(),
            _ => None,
        }
    }
}

impl PageRequest {
    fn check_variables(&self, known: &BTreeSet<&str>) -> Result<(), String> {
        let has_page = known.contains("url");
        match &self.target {
            RequestTarget::Iframe(..) if !has_page => {
                return Err("there is no page yet: begin with get or post".to_owned());
            }
            RequestTarget::Get(url) | RequestTarget::Post(url, _)
                if !has_page && url.is_relative() =>
            {
                return Err("the first URL must begin with http:// or https://".to_owned());
            }
            _ => {}
        }
        self.templates().iter().try_for_each(|template| template.check_variables(known))
    }

    fn templates(&self) -> Vec<&Template> {
        let mut templates: Vec<_> = self.headers.iter().map(|(_, value)| value).collect();
        templates.extend(self.cookies.values());
        match &self.target {
            RequestTarget::Get(url) => templates.push(url),
            RequestTarget::Post(url, body) => {
                templates.push(url);
                body.collect_templates(&mut templates);
            }
            RequestTarget::Iframe(..) => {}
        }
        templates
    }
}
