//! [`Page`]: what a visitor looks at, and what a browser would say about having been there.

use std::sync::Arc;

use bytes::Bytes;
use pitwall_fetch::parse_url;
use url::Url;

use super::find::Css;
use crate::extract::Failure;
use crate::extract::tape::Answer;

#[derive(Clone)]
pub(super) struct Page {
    /// That answered, after redirects.
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) bytes: Bytes,
    /// Whatever is not UTF-8 in it is replaced.
    pub(super) text: Arc<str>,
}

/// Pages that send a visitor on do it at once; those that take longer show themselves again.
const SOON: f64 = 5.0;

impl Page {
    pub(super) fn of(answer: Answer) -> Result<Self, Failure> {
        let url = Url::parse(&answer.url).map_err(|_| "not a URL")?;
        let text = answer.text().into();
        Ok(Self { url, headers: answer.headers, bytes: answer.body, text })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// A link of this page.
    pub(super) fn join(&self, link: &str) -> Result<Url, Failure> {
        let mut url = self.url.join(link.trim()).map_err(|_| "not a URL")?;
        url.set_fragment(None);
        Ok(parse_url(url.as_str())?)
    }

    /// Where a meta element sends every visitor.
    pub(super) fn refresh(&self) -> Option<Url> {
        // Most pages have none, and reading one to the end for that is slow.
        let mentions = |word: &str| {
            let window = self.bytes.windows(word.len());
            window.into_iter().any(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
        };
        if !mentions("http-equiv") || !mentions("refresh") {
            return None;
        }
        let css = Css::fixed("meta[http-equiv='refresh' i]")?;
        let content = css.attribute(&self.text, "content").ok()?;
        let (delay, link) = content.split_once([';', ','])?;
        if delay.trim().parse::<f64>().ok()? > SOON {
            return None;
        }
        let link = link.trim_start();
        let (name, link) = link.split_at_checked(3)?;
        let link =
            link.trim_start().strip_prefix('=').filter(|_| name.eq_ignore_ascii_case("url"))?;
        self.join(link.trim().trim_matches(['"', '\''])).ok()
    }
}

/// As browsers say it by default (strict-origin-when-cross-origin).
pub(super) fn referer(page: &Url, target: &Url) -> Option<String> {
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
            assert_eq!(referer(&page, &target).as_deref(), expected, "{page} -> {target}");
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
            let url = page("https://a.example/a/b", meta).refresh();
            assert_eq!(url.as_ref().map(Url::as_str), expected, "{meta}");
        }
    }
}
