//! Fetching the next page, as a browser would ask for it.

use http::HeaderMap;
use pitwall_fetch::{Request as FetchRequest, parse_url};
use url::Url;

use super::{Visit, aside};
use crate::extract::Failure;
use crate::extract::headers::{overlay, sendable};
use crate::extract::recipe::MAX_PAGE;
use crate::extract::recipe::page::{Page, referer};
use crate::extract::recipe::step::{Request, Target};
use crate::extract::trace::Tracing;

/// As many as the fetcher follows.
const MAX_REFRESHES: usize = 3;

impl Visit<'_> {
    pub(super) async fn request(
        &self,
        request: &Request,
        tracing: &mut Tracing<'_>,
    ) -> Result<Page, Failure> {
        let (url, body) = match &request.target {
            Target::Get(url) => (self.join(&url.render(&self.variables)?)?, None),
            Target::Post(url, body) => {
                let url = self.join(&url.render(&self.variables)?)?;
                (url, Some(body.render(&self.variables)?))
            }
            Target::Iframe(css, attribute) => {
                let (css, page) = (css.clone(), self.page()?.text.clone());
                let attribute = attribute.clone();
                let source = aside(move || css.attribute(&page, &attribute)).await??;
                (self.join(&source)?, None)
            }
        };
        for (name, value) in &request.cookies {
            let value = value.render(&self.variables)?;
            if value.contains([';', '\r', '\n']) {
                return Err("holds characters that a cookie cannot carry".into());
            }
            self.jar.add_cookie_str(&format!("{name}={value}; Path=/"), &url);
        }
        let post = body.is_some();
        let fetch = match body {
            Some(body) => FetchRequest::post(url.clone(), body),
            None => FetchRequest::get(url.clone()),
        };
        let headers = self.headers(request, self.page.as_ref(), &url, post)?;
        let mut page = self.load(fetch.source_headers(headers), tracing).await?;
        for left in (0..=MAX_REFRESHES).rev() {
            let looked = page.clone();
            let Some(next) = aside(move || looked.refresh()).await? else { return Ok(page) };
            if left == 0 {
                break;
            }
            let headers = self.headers(request, Some(&page), &next, false)?;
            page = self.load(FetchRequest::get(next).source_headers(headers), tracing).await?;
        }
        Err("the page sends its visitors on and on".into())
    }

    async fn load(
        &self,
        fetch: FetchRequest<'_>,
        tracing: &mut Tracing<'_>,
    ) -> Result<Page, Failure> {
        let fetch = fetch.cookies(&self.jar);
        let answer = self.context.fetch(&self.track, fetch, MAX_PAGE).await?;
        tracing.status(answer.status);
        if !answer.is_success() {
            return Err(Failure::status(answer.status));
        }
        Page::of(answer)
    }

    /// Relative to the current page, if there is one.
    pub(super) fn join(&self, text: &str) -> Result<Url, Failure> {
        match &self.page {
            Some(page) => page.join(text),
            None => Ok(parse_url(text)?),
        }
    }

    /// What a browser would say of itself, then what the source says, then the step.
    fn headers(
        &self,
        request: &Request,
        page: Option<&Page>,
        target: &Url,
        post: bool,
    ) -> Result<HeaderMap, Failure> {
        let mut headers: Vec<(String, String)> = Vec::new();
        if let Some(page) = page {
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
}
