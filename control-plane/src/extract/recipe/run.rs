//! One run of a recipe: a short visit, with its own cookies and variables.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use pitwall_fetch::fetcher::Body as FetchBody;
use pitwall_fetch::{Jar, Request as FetchRequest, parse_url, source_headers};
use url::Url;
use url::form_urlencoded;

use super::step::{Action, Body, Request, Step, Target};
use super::{Recipe, Row};
use crate::expiry;
use crate::extract::{Candidate, Context, ExtractError};

const MAX_PAGE: usize = 2 << 20;

pub(super) struct Run<'a> {
    context: &'a Context<'a>,
    jar: Jar,
    variables: Row,
    page: Option<Page>,
}

/// What the visitor looks at.
struct Page {
    /// That answered, after redirects.
    url: Url,
    body: String,
}

/// Why a step failed, before it is known which.
enum Failure {
    Message(String),
    Status(StatusCode),
    Fetch(pitwall_fetch::FetchError),
}

impl<'a> Run<'a> {
    pub(super) fn new(context: &'a Context<'a>, row: &Row) -> Self {
        Self { context, jar: Jar::default(), variables: row.clone(), page: None }
    }

    pub(super) async fn finish(mut self, recipe: &Recipe) -> Result<Candidate, ExtractError> {
        for (index, step) in recipe.steps.iter().enumerate() {
            self.step(step).await.map_err(|failure| failure.at(step.describe(index)))?;
        }
        self.result(recipe).map_err(|failure| failure.at("result".to_owned()))
    }

    async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let yielded = match &step.action {
            Action::Request(request) => {
                let page = self.request(request).await?;
                let url = page.url.to_string();
                self.variables.insert("url".to_owned(), url.clone());
                self.page = Some(page);
                url
            }
            Action::Find { find, from: Some(from) } => {
                let text = self.variables.get(&from.0).ok_or("the variable is not known")?;
                find.find(text)?
            }
            Action::Find { find, from: None } => find.find(&self.page()?.body)?,
        };
        if let Some(name) = &step.save {
            self.variables.insert(name.0.clone(), yielded);
        }
        Ok(())
    }

    fn page(&self) -> Result<&Page, Failure> {
        self.page.as_ref().ok_or(Failure::Message("there is no page yet".to_owned()))
    }

    async fn request(&self, request: &Request) -> Result<Page, Failure> {
        let (url, body) = match &request.target {
            Target::Get(url) => (self.join(&url.render(&self.variables)?)?, None),
            Target::Post(url, body) => {
                (self.join(&url.render(&self.variables)?)?, Some(self.body(body)?))
            }
            Target::Iframe(css, attribute) => {
                let source = css.find(&self.page()?.body, Some(attribute))?;
                (self.join(&source)?, None)
            }
        };
        let headers = self.headers(request, &url, body.is_some())?;
        let fetch = match body {
            Some(body) => FetchRequest::post(url, body),
            None => FetchRequest::get(url),
        };
        let fetch = fetch.source_headers(headers).cookies(&self.jar);
        let response = self.context.fetcher.send(&self.context.policy, fetch).await?;
        if !response.status().is_success() {
            return Err(Failure::Status(response.status()));
        }
        let url = response.url().clone();
        let body = response.bytes(MAX_PAGE).await?;
        Ok(Page { url, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Relative to the current page, if there is one.
    fn join(&self, text: &str) -> Result<Url, Failure> {
        let joined = match &self.page {
            Some(page) => {
                let mut url = page.url.join(text).map_err(|_| "not a URL")?;
                url.set_fragment(None);
                parse_url(url.as_str())
            }
            None => parse_url(text),
        };
        Ok(joined?)
    }

    fn body(&self, body: &Body) -> Result<FetchBody, Failure> {
        match body {
            Body::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &value.render(&self.variables)?);
                }
                Ok(FetchBody {
                    content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
                    bytes: Bytes::from(form.finish()),
                })
            }
            Body::Json(json) => Ok(FetchBody {
                content_type: HeaderValue::from_static("application/json"),
                bytes: Bytes::from(json.render(&self.variables)?.to_string()),
            }),
        }
    }

    /// What a browser would say of itself, then what the source says, then the step.
    fn headers(
        &self,
        request: &Request,
        target: &Url,
        post: bool,
    ) -> Result<http::HeaderMap, Failure> {
        let mut headers: Vec<(String, String)> = Vec::new();
        if let Some(page) = &self.page {
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

    fn result(&self, recipe: &Recipe) -> Result<Candidate, Failure> {
        let source = self.context.source;
        let result = &recipe.result;
        let render = |template: &toml::Spanned<super::Template>| {
            template.get_ref().render(&self.variables).map_err(Failure::Message)
        };
        let otherwise = |key: &str, of_source: &Option<String>| {
            self.variables.get(key).cloned().or_else(|| of_source.clone())
        };
        let playlist = self.join(&render(&result.playlist)?)?;
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

/// Sets headers over others of the same name; an empty value takes the header out.
fn overlay(headers: &mut Vec<(String, String)>, over: impl IntoIterator<Item = (String, String)>) {
    for (name, value) in over {
        headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        if !value.is_empty() {
            headers.push((name, value));
        }
    }
}

fn sendable(headers: &[(String, String)]) -> Result<http::HeaderMap, Failure> {
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    source_headers(pairs).map_err(|error| Failure::Message(error.to_string()))
}

/// As browsers say it by default (strict-origin-when-cross-origin).
fn referer(page: &Url, target: &Url) -> Option<String> {
    if page.scheme() == "https" && target.scheme() == "http" {
        return None;
    }
    if page.origin() == target.origin() {
        return Some(page.to_string());
    }
    Some(format!("{}/", page.origin().ascii_serialization()))
}

impl Failure {
    fn at(self, step: String) -> ExtractError {
        match self {
            Self::Message(message) => ExtractError::new(step, message, false),
            Self::Status(status) => {
                let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
                ExtractError::new(step, format!("the server answered {}", status.as_u16()), passing)
            }
            Self::Fetch(error) => ExtractError::fetch(step, &error),
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self::Message(message.to_owned())
    }
}

impl From<pitwall_fetch::FetchError> for Failure {
    fn from(error: pitwall_fetch::FetchError) -> Self {
        Self::Fetch(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referers() {
        for (page, target, expected) in [
            ("https://a.example/p?q=1", "https://a.example/x", Some("https://a.example/p?q=1")),
            ("https://a.example/p?q=1", "https://b.example/x", Some("https://a.example/")),
            ("http://a.example:81/p", "http://a.example/x", Some("http://a.example:81/")),
            ("https://a.example/p", "http://a.example/x", None),
        ] {
            let (page, target) = (Url::parse(page).unwrap(), Url::parse(target).unwrap());
            assert_eq!(referer(&page, &target).as_deref(), expected, "{page} -> {target}");
        }
    }

    #[test]
    fn later_headers_win_and_empty_ones_vanish() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![pair("referer", "a"), pair("x-one", "1")];
        overlay(&mut headers, [pair("Referer", "b"), pair("X-One", "")]);
        assert_eq!(headers, [pair("Referer", "b")]);
    }
}
