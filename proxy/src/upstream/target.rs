//! [`UpstreamTarget`]: an upstream URL, and how it may be fetched.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use pitwall_fetch::FetchError;
use url::{Position, Url};

use crate::upstream::denials::explain_plain_denial;
use crate::upstream::profile::ResolvedProfile;
use crate::upstream::seal::Purpose;

/// An upstream URL that may be fetched.
#[derive(Clone)]
pub struct UpstreamTarget {
    pub url: Url,
    pub profile: Arc<ResolvedProfile>,
    pub purpose: Option<Purpose>,
    /// Unix seconds when the link that named this target expires, and with it all links that its
    /// playlist leads to.
    pub expires: Option<u64>,
    /// The stream that the object belongs to, where the link says so.
    pub stream: Option<Arc<str>>,
    /// What the link numbers the object by: an encoder with a ring of names, or one that starts
    /// anew, gives the name of one segment or map to another.
    pub object_number: Option<u64>,
}

impl UpstreamTarget {
    pub(crate) fn new(url: Url, profile: Arc<ResolvedProfile>) -> Self {
        Self { url, profile, purpose: None, expires: None, stream: None, object_number: None }
    }

    /// The header fields that its source sends to this target.
    pub fn headers(&self) -> &HeaderMap {
        self.profile.headers_for(&self.url)
    }

    pub(super) fn explain_denial(&self, error: &FetchError) -> String {
        if let Some(is_named) = &self.profile.private_hosts {
            return explain_plain_denial(error, &self.url, is_named(&self.url));
        }
        error.operator_text(&format!("in source {:?}", self.profile.source()))
    }

    /// The URL without its token parameters, under which objects are cached.
    pub fn canonical_url(&self) -> Cow<'_, str> {
        canonical_url(&self.url[..Position::AfterQuery], self.profile.token_parameters())
    }
}

/// `url` without the query parameters in `token_parameters`.
pub fn canonical_url<'a>(url: &'a str, token_parameters: &[String]) -> Cow<'a, str> {
    let Some((rest, query)) = url.split_once('?') else { return Cow::Borrowed(url) };
    let is_token = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        token_parameters.iter().any(|token| token == name)
    };
    if !query.split('&').any(|pair| is_token(&pair)) {
        return Cow::Borrowed(url);
    }
    let pairs: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    if pairs.is_empty() {
        Cow::Borrowed(rest)
    } else {
        Cow::Owned(format!("{rest}?{}", pairs.join("&")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_urls() {
        let tokens = ["exp".to_owned(), "sig".to_owned()];
        for (url, expected) in [
            ("http://h/a?exp=1&sig=2", "http://h/a"),
            ("http://h/a?id=7&exp=1", "http://h/a?id=7"),
            ("http://h/a", "http://h/a"),
            ("http://h/a?expires=1", "http://h/a?expires=1"),
        ] {
            assert_eq!(canonical_url(url, &tokens), expected);
        }
    }
}
