//! [`PublicUrl`]: the URL under which viewers reach the edge.

use url::Url;

/// The base of absolute links in documents that leave the site, taken from the configuration,
/// never from a request's Host field, with which an attacker could send viewers elsewhere.
#[derive(Clone, Debug)]
pub struct PublicUrl(Url);

impl PublicUrl {
    pub fn new(public_url: Url) -> Self {
        Self(public_url)
    }

    /// The path that a viewer's browser requests for a path of the edge.
    pub(super) fn absolute_path(&self, path: &str) -> String {
        format!("{}{path}", self.0.path().trim_end_matches('/'))
    }

    /// The absolute URL of a path, below the path under which the edge may be published.
    pub(super) fn absolute_url(&self, path: &str) -> String {
        format!("{}{path}", self.0.as_str().trim_end_matches('/'))
    }
}
