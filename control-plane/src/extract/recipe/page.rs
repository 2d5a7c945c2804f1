//! [`Page`]: the current page of a recipe run, its links, and the Referer of requests from it.

use std::sync::Arc;

use bytes::Bytes;
use pitwall_fetch::parse_url;
use url::Url;

use super::matcher::CssSelector;
use crate::extract::StepFailure;
use crate::extract::recorder::RecordedResponse;

#[derive(Clone)]
pub(super) struct Page {
    /// The URL that answered, after redirects.
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) bytes: Bytes,
    /// The bytes as UTF-8, with invalid sequences replaced.
    pub(super) text: Arc<str>,
}

/// A meta refresh with a longer delay reloads a page rather than redirect from it.
const REFRESH_MAX_DELAY_SECONDS: f64 = 5.0;

impl Page {
    pub(super) fn from_response(response: RecordedResponse) -> Result<Self, StepFailure> {
        let url = Url::parse(&response.url).map_err(|_| "not a URL")?;
        let text = response.text().into();
        Ok(Self { url, headers: response.headers, bytes: response.body, text })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Resolves a link against the URL of this page.
    pub(super) fn resolve_link(&self, link: &str) -> Result<Url, StepFailure> {
        let mut url = self.url.join(link.trim()).map_err(|_| "not a URL")?;
        url.set_fragment(None);
        Ok(parse_url(url.as_str())?)
    }

    /// The target of a `<meta http-equiv="refresh">` that redirects.
    pub(super) fn refresh_target(&self) -> Option<Url> {
        // Parsing a page is slow, and most pages have no such element.
        let mentions = |text: &str| {
            let mut windows = self.bytes.windows(text.len());
            windows.any(|bytes| bytes.eq_ignore_ascii_case(text.as_bytes()))
        };
        if !mentions("http-equiv") || !mentions("refresh") {
            return None;
        }
        let css = CssSelector::from_static("meta[http-equiv='refresh' i]")?;
        let content = css.first_attribute(&self.text, "content").ok()?;
        let (delay, link) = content.split_once([';', ','])?;
        if delay.trim().parse::<f64>().ok()? > REFRESH_MAX_DELAY_SECONDS {
            return None;
        }
        let link = link.trim_start();
        let (name, link) = link.split_at_checked(3)?;
        let link =
            link.trim_start().strip_prefix('=').filter(|_| name.eq_ignore_ascii_case("url"))?;
        self.resolve_link(link.trim().trim_matches(['"', '\''])).ok()
    }
}

/// The Referer under browsers' default policy, `strict-origin-when-cross-origin`.
pub(super) fn build_referer(page: &Url, target: &Url) -> Option<String> {
    if page.scheme() == "https" && target.scheme() == "http" {
        return None;
    }
    if page.origin() == target.origin() {
        return Some(page.to_string());
    }
    Some(format!("{}/", page.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(url: &str, text: &str) -> Page {
        Page {
            url: Url::parse(url).unwrap(),
            headers: Vec::new(),
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            text: text.into(),
        }
    }

    #[test]
    fn referers() {
        for (page, target, expected) in [
            ("https://a.example/p?q=1", "https://a.example/x", Some("https://a.example/p?q=1")),
            ("https://a.example/p?q=1", "https://b.example/x", Some("https://a.example/")),
            ("http://a.example:81/p", "http://a.example/x", Some("http://a.example:81/")),
            ("https://a.example/p", "http://a.example/x", None),
        ] {
            let (page, target) = (Url::parse(page).unwrap(), Url::parse(target).unwrap());
            assert_eq!(build_referer(&page, &target).as_deref(), expected, "{page} -> {target}");
        }
    }

    #[test]
    fn refreshes() {
        for (meta, expected) in [
            ("<meta http-equiv=refresh content='0;url=/next'>", Some("https://a.example/next")),
            (
                "<META HTTP-EQUIV=\"Refresh\" CONTENT=\"1, URL = '../x?y=1'\">",
                Some("https://a.example/x?y=1"),
            ),
            ("<meta http-equiv=refresh content='300;url=/next'>", None),
            ("<meta http-equiv=refresh content=0>", None),
            ("<meta http-equiv=refresh content='0;url=javascript:x'>", None),
            ("http-equiv refresh", None),
            ("", None),
        ] {
            let url = page("https://a.example/a/b", meta).refresh_target();
            assert_eq!(url.as_ref().map(Url::as_str), expected, "{meta}");
        }
    }
}
