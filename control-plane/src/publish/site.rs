//! [`Site`]: where viewers find the edge.

use url::Url;

/// Documents that leave the site need absolute links. They are made from configuration, never
/// from what a request says its host is: whoever could choose that would send viewers elsewhere.
#[derive(Clone, Debug)]
pub struct Site(Url);

impl Site {
    pub fn new(public_url: Url) -> Self {
        Self(public_url)
    }

    /// A path as an absolute URL, below the path that the edge may be published under.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0.as_str().trim_end_matches('/'))
    }
}
