//! What a person is shown who has not shown the key: a form that asks for it.
//!
//! It is a link like any other that carries the key: `GET` with `?key=`, to where the viewer was
//! going. So [`access`](crate::access) has one way in, and the form works without a script.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, header};
use url::form_urlencoded;

use crate::access::PARAMETER;
use crate::answer::Answer;
use crate::page;
use crate::problem::Problem;

/// It loads the page's style and icon and is sent here; that is all it can do.
const SECURITY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                        base-uri 'none'; frame-ancestors 'none'";

/// With the style of the page.
static FORM: LazyLock<String> = LazyLock::new(|| {
    let form = include_str!("../../frontend/src/key.html");
    form.replace("<!--pitwall:style-->", &page::stylesheets())
});

/// The form in place of what says the same to programs.
pub fn answer(problem: &Problem, query: &str) -> Answer {
    Answer::new(problem.status())
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, SECURITY)
        .header(header::REFERRER_POLICY, "no-referrer")
        .body(html(problem, query))
}

fn html(problem: &Problem, query: &str) -> Bytes {
    let (mut shown, mut kept) = (false, String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name == PARAMETER {
            true => shown = true,
            // A form that is sent by GET replaces the query: what was in it goes along.
            false => {
                let (name, value) = (escaped(&name), escaped(&value));
                kept += &format!(r#"<input type="hidden" name="{name}" value="{value}">"#);
            }
        }
    }
    let fault = match problem {
        Problem::KeyMissing => "",
        _ if shown => "This is not the key. Look at it again, letter by letter.",
        // What the browser remembered.
        _ => "The key has changed, or was shown here long ago.",
    };
    let html = FORM.replace("<!--pitwall:query-->", &kept).replace("<!--pitwall:fault-->", fault);
    if !shown {
        return html.into();
    }
    html.replace("<title>", "<title>Not the key · ")
        .replace(r#"aria-invalid="false""#, r#"aria-invalid="true""#)
        .into()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Is it a person who asks? A browser that goes somewhere names HTML; what a script or a player
/// asks for does not, or likes JSON better.
pub fn is_for(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let accepted: Vec<(&str, f32)> = lines.flat_map(|line| line.split(',')).map(range).collect();
    let liked = |names: &[&str]| {
        let named = accepted.iter().filter(|(name, _)| names.contains(name));
        named.map(|(_, quality)| *quality).fold(0.0, f32::max)
    };
    let html = liked(&["text/html", "application/xhtml+xml"]);
    html > 0.0 && html >= liked(&["application/problem+json", "application/json"])
}

/// One of what is accepted, and how much it is liked.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
    (name, quality.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn who_is_a_person() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, expected) in [
            (chromium, true),
            ("text/html", true),
            ("text/html;charset=utf-8;q=0.5, */*", true),
            ("text/html, application/json", true),
            ("application/json, text/html;q=0.9", false),
            ("application/problem+json, text/html;q=0.9", false),
            ("text/html;q=0", false),
            ("text/plain", false),
            ("*/*", false),
            ("text/*", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(is_for(&headers), expected, "{accept}");
        }
        assert!(!is_for(&HeaderMap::new()));
    }

    #[test]
    fn what_the_form_says_and_keeps() {
        let two =
            r#"<input type="hidden" name="l" value="2"><input type="hidden" name="s" value="a b">"#;
        let code = r#"<input type="hidden" name="&lt;i>&quot;" value="&lt;!--pitwall:fault-->">"#;
        for (problem, query, says, kept) in [
            (Problem::KeyMissing, "", "", ""),
            (Problem::KeyMissing, "l=2&s=a+b", "", two),
            (Problem::KeyInvalid, "l=2&key=x&s=a%20b", "This is not the key.", two),
            (Problem::KeyInvalid, "", "The key has changed", ""),
            (Problem::KeyExpired, "", "The key has changed", ""),
            (Problem::KeyMissing, "%3Ci%3E%22=%3C!--pitwall:fault--%3E", "", code),
        ] {
            let html = html(&problem, query);
            let html = std::str::from_utf8(&html).unwrap();
            let fault = html.split_once("role=\"alert\"").unwrap().1;
            let fault = fault.split_once('>').unwrap().1.split_once("</p>").unwrap().0;
            assert_eq!(fault.is_empty(), says.is_empty(), "{query}: {fault}");
            assert!(fault.starts_with(says), "{query}: {fault}");
            let invalid = html.contains("aria-invalid=\"true\"");
            assert_eq!(
                invalid,
                query.contains("key="),
                "what was not entered is not wrong: {query}"
            );
            assert_eq!(html.contains("<title>Not the key"), invalid, "{query}");
            let hidden = html.matches("type=\"hidden\"").count();
            assert_eq!(hidden, kept.matches("type=\"hidden\"").count(), "{query}");
            assert!(html.contains(kept), "{query}: {html}");
        }
    }
}
