//! [`Page`]: the current page of a recipe run, its links, and the Referer of requests from it.

use std::sync::Arc;

use bytes::Bytes;
use pitwall_fetch::{keep_written_query, parse_url};
use url::Url;

use super::matcher::CssSelector;
use crate::charset;
use crate::extract::StepFailure;
use crate::extract::recorder::RecordedResponse;

#[derive(Clone)]
pub(super) struct Page {
    /// The URL that answered, after redirects.
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) bytes: Bytes,
    /// The bytes, decoded from the page's encoding.
    pub(super) text: Arc<str>,
    /// What links of the page are relative to: its URL, unless an HTML page names another one.
    base: Url,
}

/// A meta refresh with a longer delay reloads a page rather than redirect from it.
const REFRESH_MAX_DELAY_SECONDS: f64 = 5.0;

impl Page {
    pub(super) fn from_response(response: RecordedResponse) -> Result<Self, StepFailure> {
        let url = Url::parse(&response.url).map_err(|_| "not a URL")?;
        let text: Arc<str> = response.text().into();
        let base = match charset::is_markup_type(response.header("content-type")) {
            true => find_base(&url, &text),
            false => None,
        };
        let base = base.unwrap_or_else(|| url.clone());
        Ok(Self { url, headers: response.headers, bytes: response.body, text, base })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Resolves a link of this page.
    pub(super) fn resolve_link(&self, link: &str) -> Result<Url, StepFailure> {
        let mut url = self.base.join(link.trim()).map_err(|_| "not a URL")?;
        url.set_fragment(None);
        let mut url = parse_url(url.as_str())?;
        keep_written_query(&mut url, link.trim());
        Ok(url)
    }

    /// The document that an element holds as its `srcdoc`, whose links are relative to this page.
    pub(super) fn srcdoc_page(&self, document: String) -> Self {
        let base = find_base(&self.base, &document).unwrap_or_else(|| self.base.clone());
        let bytes = Bytes::from(document.clone());
        Self { url: self.url.clone(), headers: Vec::new(), bytes, text: document.into(), base }
    }

    /// The target of a header Refresh or a `<meta http-equiv="refresh">` that redirects (HTML,
    /// 4.2.5.3).
    pub(super) fn refresh_target(&self) -> Option<Url> {
        let content = self.header("refresh").map(str::to_owned).or_else(|| self.meta_refresh())?;
        let content = content.trim_start();
        let delay_end = content.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (delay, rest) = content.split_at_checked(delay_end)?;
        let is_separator = |c: char| c.is_whitespace() || matches!(c, ';' | ',');
        if delay.parse::<f64>().ok()? > REFRESH_MAX_DELAY_SECONDS || !rest.starts_with(is_separator)
        {
            return None;
        }
        let written = rest.trim_matches(is_separator);
        let named =
            written.split_at_checked(3).filter(|(name, _)| name.eq_ignore_ascii_case("url"));
        let named = named.and_then(|(_, link)| link.trim_start().strip_prefix('='));
        let link = named.unwrap_or(written).trim().trim_matches(['"', '\'']);
        if link.is_empty() { None } else { self.resolve_link(link).ok() }
    }

    fn meta_refresh(&self) -> Option<String> {
        if !mentions(&self.text, "http-equiv") || !mentions(&self.text, "refresh") {
            return None;
        }
        let css = CssSelector::from_static("meta[http-equiv='refresh' i]")?;
        css.first_attribute(&self.text, "content").ok()
    }
}

/// The target of the first `<base href>` of a page (HTML 4.2.3), if it can be fetched from.
fn find_base(url: &Url, text: &str) -> Option<Url> {
    if !mentions(text, "<base") {
        return None;
    }
    let href = CssSelector::from_static("base[href]")?.first_attribute(text, "href").ok()?;
    url.join(&href).ok().filter(|base| matches!(base.scheme(), "http" | "https"))
}

/// Whether a page holds `word`, in any case. Parsing a page is slow, and most pages have none of the
/// elements that are looked for.
fn mentions(page: &str, word: &str) -> bool {
    let mut windows = page.as_bytes().windows(word.len());
    windows.any(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
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

    fn page(url: &str, content_type: &str, text: &str) -> Page {
        let response = RecordedResponse {
            url: url.to_owned(),
            status: 200,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            cookies: Vec::new(),
            body: Bytes::copy_from_slice(text.as_bytes()),
        };
        Page::from_response(response).unwrap()
    }

    #[test]
    fn links_are_relative_to_the_base_that_a_page_names() {
        const HTML: &str = "text/html; charset=utf-8";
        for (content_type, text, expected) in [
            (HTML, "", "https://a.example/a/x.m3u8"),
            (HTML, "<base href='/cdn/'>", "https://a.example/cdn/x.m3u8"),
            (
                HTML,
                "<head><BASE target=_top><Base HREF=' //b.example/c/d '>",
                "https://b.example/c/x.m3u8",
            ),
            (HTML, "<base href=/one/><base href=/two/>", "https://a.example/one/x.m3u8"),
            (HTML, "<base href=../up/>", "https://a.example/up/x.m3u8"),
            (HTML, "<base target=_top>", "https://a.example/a/x.m3u8"),
            (HTML, "<base href='data:text/html,x'>", "https://a.example/a/x.m3u8"),
            (HTML, "<base href='http://['>", "https://a.example/a/x.m3u8"),
            (HTML, "<!-- <base href=/cdn/> -->", "https://a.example/a/x.m3u8"),
            ("application/json", "\"<base href=/cdn/>\"", "https://a.example/a/x.m3u8"),
        ] {
            let page = page("https://a.example/a/b", content_type, text);
            assert_eq!(page.resolve_link("x.m3u8").unwrap().as_str(), expected, "{text}");
            assert_eq!(page.url.as_str(), "https://a.example/a/b");
        }
        let page = page("https://a.example/", HTML, "<base href=https://u:p@b.example/>");
        assert!(page.resolve_link("x.m3u8").is_err(), "no credentials from a page");
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
            (
                "<base href=/cdn/><meta http-equiv=refresh content='0;url=next'>",
                Some("https://a.example/cdn/next"),
            ),
            ("<meta http-equiv=refresh content='0;/next'>", Some("https://a.example/next")),
            ("<meta http-equiv=refresh content='0 url=/next'>", Some("https://a.example/next")),
            ("<meta http-equiv=refresh content='0.5; urls/x'>", Some("https://a.example/a/urls/x")),
            ("<meta http-equiv=refresh content='0;'>", None),
            ("<meta http-equiv=refresh content='0;url='>", None),
            ("<meta http-equiv=refresh content='soon;url=/next'>", None),
            ("<meta http-equiv=refresh content='300;url=/next'>", None),
            ("<meta http-equiv=refresh content=0>", None),
            ("<meta http-equiv=refresh content='0;url=javascript:x'>", None),
            ("http-equiv refresh", None),
            ("", None),
        ] {
            let url = page("https://a.example/a/b", "text/html", meta).refresh_target();
            assert_eq!(url.as_ref().map(Url::as_str), expected, "{meta}");
        }
    }

    #[test]
    fn refresh_headers_and_documents_in_attributes() {
        let mut page = page("https://a.example/a/b", "text/html", "<base href=/cdn/>");
        let inner = page.srcdoc_page("<p>".to_owned());
        assert_eq!(inner.resolve_link("x").unwrap().as_str(), "https://a.example/cdn/x");
        let inner = page.srcdoc_page("<base href=v/>".to_owned());
        assert_eq!(inner.resolve_link("x").unwrap().as_str(), "https://a.example/cdn/v/x");
        page.headers.push(("Refresh".to_owned(), "0; url=next".to_owned()));
        let target = page.refresh_target();
        assert_eq!(target.as_ref().map(Url::as_str), Some("https://a.example/cdn/next"));
    }
}
