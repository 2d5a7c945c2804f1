//! Fetches the next page of a run, with the headers and redirects of a browser.

use http::HeaderMap;
use pitwall_fetch::{Request as FetchRequest, parse_url};
use url::Url;

use super::{RecipeRun, run_blocking};
use crate::extract::StepFailure;
use crate::extract::headers::{build_header_map, overlay_headers};
use crate::extract::recipe::PAGE_MAX_BYTES;
use crate::extract::recipe::page::{Page, build_referer};
use crate::extract::recipe::step::{PageRequest, RequestTarget};
use crate::extract::trace::StepSpan;

/// Redirects by a meta element that one request follows.
const MAX_REFRESHES: usize = 3;

impl RecipeRun<'_> {
    pub(super) async fn fetch_page(
        &self,
        request: &PageRequest,
        span: &mut StepSpan<'_>,
    ) -> Result<Page, StepFailure> {
        let (url, body) = match &request.target {
            RequestTarget::Get(url) => (self.resolve_url(&url.render(&self.variables)?)?, None),
            RequestTarget::Post(url, body) => {
                let url = self.resolve_url(&url.render(&self.variables)?)?;
                (url, Some(body.render(&self.variables)?))
            }
            RequestTarget::Iframe(css, attribute) => {
                let page = self.current_page()?;
                let (css, text, attribute) = (css.clone(), page.text.clone(), attribute.clone());
                let find = move || {
                    let document = css.first_attribute(&text, "srcdoc").ok();
                    // It precedes `src` (HTML, 4.8.5).
                    match document.filter(|_| attribute == "src") {
                        Some(document) => (Some(document), Ok(String::new())),
                        None => (None, css.first_attribute(&text, &attribute)),
                    }
                };
                let (document, source) = run_blocking(find).await?;
                if let Some(document) = document {
                    return Ok(page.srcdoc_page(document));
                }
                (self.resolve_url(&source?)?, None)
            }
        };
        for (name, value) in &request.cookies {
            let value = value.render(&self.variables)?;
            if value.contains([';', '\r', '\n']) {
                return Err("holds characters that a cookie cannot carry".into());
            }
            self.jar.set(&format!("{name}={value}; Path=/"), &url);
        }
        let post = body.is_some();
        let fetch = match body {
            Some(body) => FetchRequest::post(url.clone(), body),
            None => FetchRequest::get(url.clone()),
        };
        let headers = self.build_headers(request, self.page.as_ref(), &url, post)?;
        let mut page = self.load_page(fetch.with_source_headers(headers), span).await?;
        for remaining in (0..=MAX_REFRESHES).rev() {
            let current = page.clone();
            let Some(next) = run_blocking(move || current.refresh_target()).await? else {
                return Ok(page);
            };
            if remaining == 0 {
                break;
            }
            let headers = self.build_headers(request, Some(&page), &next, false)?;
            page =
                self.load_page(FetchRequest::get(next).with_source_headers(headers), span).await?;
        }
        Err("the page sends its visitors on and on".into())
    }

    async fn load_page(
        &self,
        fetch: FetchRequest<'_>,
        span: &mut StepSpan<'_>,
    ) -> Result<Page, StepFailure> {
        let fetch = fetch.with_cookie_jar(&self.jar);
        let response = self.context.fetch_recorded(&self.branch, fetch, PAGE_MAX_BYTES).await?;
        span.set_status(response.status);
        if !response.is_success() {
            return Err(StepFailure::from_status(response.status));
        }
        run_blocking(move || Page::from_response(response)).await?
    }

    /// Resolves a URL against the current page, if there is one.
    pub(super) fn resolve_url(&self, text: &str) -> Result<Url, StepFailure> {
        match &self.page {
            Some(page) => page.resolve_link(text),
            None => Ok(parse_url(text)?),
        }
    }

    /// A browser's Referer and Origin, overlaid with the source's headers, then with the step's.
    fn build_headers(
        &self,
        request: &PageRequest,
        page: Option<&Page>,
        target: &Url,
        post: bool,
    ) -> Result<HeaderMap, StepFailure> {
        let mut headers: Vec<(String, String)> = Vec::new();
        if let Some(page) = page {
            headers.extend(
                build_referer(&page.url, target).map(|value| ("referer".to_owned(), value)),
            );
            if post {
                headers.push(("origin".to_owned(), page.url.origin().ascii_serialization()));
            }
        }
        overlay_headers(&mut headers, self.context.source.headers.iter().cloned());
        for (name, value) in &request.headers {
            overlay_headers(&mut headers, [(name.clone(), value.render(&self.variables)?)]);
        }
        build_header_map(&headers)
    }
}
