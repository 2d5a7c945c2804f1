//! [`CookieJar`]: the cookies that upstreams set (RFC 6265).

use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::header::{self, HeaderValue};
use reqwest::cookie::{CookieStore as _, Jar};
use url::Url;

/// Cookies with the domains, paths and ends that their servers gave them. What was set can be read
/// and set again elsewhere: one process checks an upstream, and another one plays it.
#[derive(Default)]
pub struct CookieJar {
    jar: Jar,
    /// The newest last; one entry for each cookie.
    set_cookies: Mutex<Vec<StoredCookie>>,
}

struct StoredCookie {
    identity: CookieIdentity,
    url: Url,
    field: String,
}

/// Name, domain and path: a cookie replaces the one of the same identity (RFC 6265, 5.3).
#[derive(PartialEq, Eq)]
struct CookieIdentity(String, String, String);

/// Further cookies are ignored: so many are a mistake or an attack.
const COOKIES_MAX: usize = 200;
/// A longer cookie is ignored, as it is by browsers.
const COOKIE_MAX_BYTES: usize = 4096;

impl CookieJar {
    /// Takes a `Set-Cookie` field of a response from `url`.
    pub fn set(&self, field: &str, url: &Url) {
        if field.len() > COOKIE_MAX_BYTES {
            return;
        }
        let mut url = url.clone();
        url.set_query(None);
        let identity = CookieIdentity::of(field, &url);
        let mut set_cookies = self.set_cookies.lock().unwrap_or_else(PoisonError::into_inner);
        set_cookies.retain(|known| known.identity != identity);
        if set_cookies.len() < COOKIES_MAX {
            self.jar.add_cookie_str(field, &url);
            set_cookies.push(StoredCookie { identity, url, field: field.to_owned() });
        }
    }

    pub(crate) fn set_from_response(&self, headers: &HeaderMap, url: &Url) {
        for field in headers.get_all(header::SET_COOKIE) {
            if let Ok(field) = std::str::from_utf8(field.as_bytes()) {
                self.set(field, url);
            }
        }
    }

    /// The `Set-Cookie` fields of all cookies, each with the URL of its response.
    pub fn export_set_cookies(&self) -> Vec<(Url, String)> {
        let set_cookies = self.set_cookies.lock().unwrap_or_else(PoisonError::into_inner);
        set_cookies.iter().map(|one| (one.url.clone(), one.field.clone())).collect()
    }

    /// The `Cookie` field of a request for `url`.
    pub fn cookie_field(&self, url: &Url) -> Option<HeaderValue> {
        self.jar.cookies(url)
    }
}

impl CookieIdentity {
    fn of(field: &str, url: &Url) -> Self {
        let mut parts = field.split(';').map(|part| part.split_once('=').unwrap_or((part, "")));
        let name = parts.next().map_or("", |(name, _)| name.trim());
        let (mut domain, mut path) = (url.host_str().unwrap_or_default(), default_path(url));
        for (attribute, value) in parts {
            let (attribute, value) = (attribute.trim(), value.trim());
            if attribute.eq_ignore_ascii_case("domain") && !value.is_empty() {
                domain = value.strip_prefix('.').unwrap_or(value);
            } else if attribute.eq_ignore_ascii_case("path") && value.starts_with('/') {
                path = value;
            }
        }
        Self(name.to_owned(), domain.to_ascii_lowercase(), path.to_owned())
    }
}

/// The path of a cookie that names none (RFC 6265, 5.1.4).
fn default_path(url: &Url) -> &str {
    match url.path().rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory,
        _ => "/",
    }
}

/// The `Cookie` field of a request whose source has configured `configured`, and whose jar has
/// `received`. Of two cookies with one name the upstream's is newer.
pub(crate) fn merge_cookies(
    configured: Option<&HeaderValue>,
    received: Option<HeaderValue>,
) -> Option<HeaderValue> {
    let received = received?;
    let Some(configured) = configured else { return Some(received) };
    let name = |pair: &[u8]| pair.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    let pairs = |field: &HeaderValue| -> Vec<Vec<u8>> {
        let pairs = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        pairs.filter(|pair| !pair.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let new_pairs = pairs(&received);
    let is_replaced = |pair: &Vec<u8>| new_pairs.iter().any(|new| name(new) == name(pair));
    let mut merged: Vec<_> =
        pairs(configured).into_iter().filter(|pair| !is_replaced(pair)).collect();
    merged.extend(new_pairs.iter().cloned());
    HeaderValue::from_bytes(&merged.join(&b"; "[..])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn cookies_go_where_their_server_said() {
        let jar = CookieJar::default();
        for (field, from) in [
            ("session=1; Path=/live; HttpOnly", "http://live.example/master.m3u8?token=x"),
            ("session=2; Path=/live", "http://live.example/other.m3u8"),
            ("site=3; Domain=.Example; Path=/", "http://live.example/master.m3u8"),
            ("here=4", "http://live.example/a/b/master.m3u8"),
            ("gone=5; Path=/", "http://live.example/"),
            ("gone=; Path=/; Max-Age=0", "http://live.example/"),
            ("foreign=6; Domain=elsewhere.test; Path=/", "http://live.example/"),
            ("tls=7; Secure; Path=/", "https://live.example/"),
        ] {
            jar.set(field, &url(from));
        }
        jar.set(&format!("long={}", "x".repeat(COOKIE_MAX_BYTES)), &url("http://live.example/"));
        let again = CookieJar::default();
        jar.export_set_cookies().iter().for_each(|(url, field)| again.set(field, url));
        for (to, expected) in [
            ("http://live.example/live/v.m3u8", "session=2; site=3"),
            ("http://live.example/a/b/c/1.ts", "here=4; site=3"),
            ("http://live.example/a/", "site=3"),
            ("https://live.example/x", "site=3; tls=7"),
            ("http://seg.example/live/1.ts", "site=3"),
            ("http://elsewhere.test/", ""),
        ] {
            for jar in [&jar, &again] {
                let field = jar.cookie_field(&url(to));
                let field = field.as_ref().map_or("", |field| field.to_str().unwrap());
                let mut pairs: Vec<_> = field.split("; ").collect();
                pairs.sort_unstable();
                assert_eq!(pairs.join("; "), expected, "{to}");
            }
        }
        assert!(jar.export_set_cookies().iter().all(|(url, _)| url.query().is_none()));
        assert_eq!(jar.export_set_cookies().len(), 6, "one for each cookie");
    }

    #[test]
    fn too_many_cookies_are_ignored() {
        let jar = CookieJar::default();
        let from = url("http://live.example/");
        (0..COOKIES_MAX + 5).for_each(|number| jar.set(&format!("c{number}=1"), &from));
        jar.set("c0=2", &from);
        let field = jar.cookie_field(&from).unwrap();
        let field = field.to_str().unwrap();
        assert_eq!((field.split("; ").count(), field.contains("c0=2")), (COOKIES_MAX, true));
    }

    #[test]
    fn configured_and_received_cookies_are_merged() {
        for (configured, received, expected) in [
            (None, None, None),
            (None, Some("a=1"), Some("a=1")),
            (Some("a=1"), None, None),
            (Some("a=1;b=2"), Some("c=3"), Some("a=1; b=2; c=3")),
            (Some("a=1; b=2"), Some("b=3"), Some("a=1; b=3")),
            (Some("a=1"), Some("a=2"), Some("a=2")),
        ] {
            let value = |text: Option<&str>| text.map(|text| text.parse::<HeaderValue>().unwrap());
            let merged = merge_cookies(value(configured).as_ref(), value(received));
            assert_eq!(merged, value(expected), "{configured:?} {received:?}");
        }
    }
}
