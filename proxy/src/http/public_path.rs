//! [`PublicPath`]: the path below which viewers reach the edge, where a proxy in front of it
//! publishes it below one.

use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use url::Url;

/// First segments of the edge's own paths. Below a public path that begins with one of them, a
/// request would have two meanings.
const OWN_FIRST_SEGMENTS: [&str; 14] = [
    "_app",
    "api",
    "calendar.ics",
    "favicon.svg",
    "healthz",
    "iptv",
    "live",
    "manifest.webmanifest",
    "proxy",
    "readyz",
    "relay",
    "schedule",
    "status",
    "watch",
];

/// The path of `[edge] public_url` without the slash at its end: empty at the root of a name.
///
/// The links that the edge writes into playlists begin with it. Requests are answered with it and
/// without it, because one proxy strips it and another passes it on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicPath(Arc<str>);

impl PublicPath {
    /// # Errors
    /// A path that cannot be told from the edge's own ones, or that a proxy could write in another
    /// way than the edge; the text says what is allowed.
    pub fn of(public_url: &Url) -> Result<Self, String> {
        let path = public_url.path().strip_suffix('/').unwrap_or(public_url.path());
        let Some(segments) = path.strip_prefix('/') else { return Ok(Self::default()) };
        let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if !segments.split('/').all(|it| !it.is_empty() && it.chars().all(is_unreserved)) {
            return Err(format!(
                "{path}: a path has letters, digits, -, ., _ and ~ between single slashes, \
                 as /pitwall"
            ));
        }
        let first = segments.split('/').next().unwrap_or_default();
        if OWN_FIRST_SEGMENTS.contains(&first) {
            return Err(format!("/{first} is a path of Pitwall's own: take another, as /pitwall"));
        }
        Ok(Self(path.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The `Path` of a cookie for everything below.
    pub fn cookie_path(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// The URI that a request for `uri` has behind a proxy that strips this path; `None` for a URI
    /// that is not below it.
    pub fn strip_from(&self, uri: &Uri) -> Option<Uri> {
        if self.0.is_empty() {
            return None;
        }
        let below = uri.path_and_query()?.as_str().strip_prefix(&*self.0)?;
        let below = PathAndQuery::try_from(below.strip_prefix('/').map(|_| below)?).ok()?;
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(below);
        Uri::from_parts(parts).ok()
    }

    /// Whether `path` is this path without a slash at its end, below which relative links would
    /// lead past it.
    pub fn is_missing_final_slash(&self, path: &str) -> bool {
        !self.0.is_empty() && *self.0 == *path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_path(url: &str) -> Result<PublicPath, String> {
        PublicPath::of(&Url::parse(url).unwrap())
    }

    #[test]
    fn the_path_of_a_public_url() {
        let characters = "letters, digits, -, ., _ and ~ between single slashes";
        for (url, expected) in [
            ("https://tv.example", Ok("")),
            ("https://tv.example/", Ok("")),
            ("https://tv.example/pitwall", Ok("/pitwall")),
            ("https://tv.example/pitwall/", Ok("/pitwall")),
            ("https://tv.example/a.b/~c_d-e/", Ok("/a.b/~c_d-e")),
            ("https://tv.example/lives/api", Ok("/lives/api")),
            ("https://tv.example//pitwall", Err(characters)),
            ("https://tv.example/pitwall//", Err(characters)),
            ("https://tv.example/pit wall", Err(characters)),
            ("https://tv.example/pit;wall", Err(characters)),
            ("https://tv.example/live", Err("/live is a path of Pitwall's own")),
            ("https://tv.example/api/v1/", Err("/api is a path of Pitwall's own")),
        ] {
            match (public_path(url), expected) {
                (Ok(path), Ok(expected)) => assert_eq!(path.as_str(), expected, "{url}"),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{url}: {error}"),
                (got, _) => panic!("{url}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_request_is_the_same_with_the_path_and_without() {
        let path = public_path("https://tv.example/tv/pitwall").unwrap();
        for (uri, expected) in [
            ("/tv/pitwall/", Some("/")),
            ("/tv/pitwall/?key=a", Some("/?key=a")),
            ("/tv/pitwall/live/w/v.m3u8?key=/tv/pitwall/", Some("/live/w/v.m3u8?key=/tv/pitwall/")),
            ("/tv/pitwall//watch", Some("//watch")),
            ("https://tv.example/tv/pitwall/watch", Some("https://tv.example/watch")),
            ("/tv/pitwall", None),
            ("/tv/pitwall?key=a", None),
            ("/tv/pitwalls/", None),
            ("/watch/tv/pitwall/", None),
            ("/", None),
        ] {
            let stripped = path.strip_from(&uri.parse().unwrap());
            assert_eq!(stripped.map(|uri| uri.to_string()).as_deref(), expected, "{uri}");
        }
        assert!(
            path.is_missing_final_slash("/tv/pitwall")
                && !path.is_missing_final_slash("/tv/pitwall/")
        );
        let root = public_path("https://tv.example/").unwrap();
        assert_eq!(root.strip_from(&"/watch".parse().unwrap()), None);
        assert!(!root.is_missing_final_slash(""));
        assert_eq!((path.cookie_path(), root.cookie_path()), ("/tv/pitwall", "/"));
    }
}
