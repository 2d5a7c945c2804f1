//! The login page: the HTML form that asks a person for the access key.
//!
//! The form is sent as `GET` with `?key=` to the address that the viewer requested, as any link
//! with the key is. So [`access`](crate::http::access) has one way in, and the form works without a
//! script.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use pingora::http::RequestHeader;
use url::form_urlencoded;

use crate::http::access::KEY_PARAMETER;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::response::Response;
use crate::page;

/// The form may load the page's style and icon and be sent to this origin, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                        base-uri 'none'; frame-ancestors 'none'";

/// The HTML of the form, with the stylesheets of the page.
static FORM_TEMPLATE: LazyLock<String> = LazyLock::new(|| {
    let form = include_str!("../../../frontend/src/key.html");
    form.replace("<!--pitwall:style-->", &page::stylesheet_links())
});

/// The response that shows the form, where a client lacks the key and prefers HTML to the problem's
/// JSON, as a browser does that navigates.
pub fn response_for(problem: &Problem, request: &RequestHeader) -> Option<Response> {
    let asks = matches!(problem, Problem::KeyMissing | Problem::KeyInvalid | Problem::KeyExpired);
    (asks && is_html_preferred(&request.headers)).then(|| {
        build_response(problem, request.uri.path(), request.uri.query().unwrap_or_default())
    })
}

/// Answers a browser that showed the key with a cookie and the same address without the key, so
/// that the key does not stay in the browser's history.
pub fn redirect_with_cookie(path: &str, query: &Query<'_>, cookie: &str) -> Response {
    // A relative location stays below the path at which a proxy in front publishes the edge. Its
    // dot keeps a colon in the name from making a scheme of what precedes the colon.
    let name = path.rsplit('/').next().unwrap_or_default();
    let location = match query.without_parameter(KEY_PARAMETER) {
        none if none.is_empty() => format!("./{name}"),
        rest => format!("./{name}?{rest}"),
    };
    Response::new(StatusCode::SEE_OTHER)
        .with_header(header::LOCATION, location)
        .with_header(header::SET_COOKIE, cookie)
        .with_header(header::REFERRER_POLICY, "no-referrer")
}

fn build_response(problem: &Problem, path: &str, query: &str) -> Response {
    Response::new(problem.status())
        .with_header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .with_header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .with_header(header::REFERRER_POLICY, "no-referrer")
        .with_body(render_form(problem, path, query))
}

fn render_form(problem: &Problem, path: &str, query: &str) -> Bytes {
    let (mut has_key, mut hidden_inputs) = (false, String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name == KEY_PARAMETER {
            true => has_key = true,
            // A form that is sent by GET replaces the query: its other parameters become inputs.
            false => {
                let (name, value) = (escape_html(&name), escape_html(&value));
                hidden_inputs += &format!(r#"<input type="hidden" name="{name}" value="{value}">"#);
            }
        }
    }
    let fault = match problem {
        Problem::KeyMissing => "",
        _ if has_key => "This is not the key. Look at it again, letter by letter.",
        // The browser presented an old cookie.
        _ => "The key has changed, or was shown here long ago.",
    };
    let html = page::with_relative_links(&FORM_TEMPLATE, path)
        .replace("<!--pitwall:query-->", &hidden_inputs)
        .replace("<!--pitwall:fault-->", fault);
    if !has_key {
        return html.into();
    }
    html.replace("<title>", "<title>Not the key · ")
        .replace(r#"aria-invalid="false""#, r#"aria-invalid="true""#)
        .into()
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// Whether `Accept` names HTML with a quality no lower than JSON's, as a browser's does when a
/// person navigates. Scripts and players do not name HTML, or prefer JSON.
fn is_html_preferred(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<(&str, f32)> =
        values.flat_map(|value| value.split(',')).map(parse_media_range).collect();
    let quality_of = |names: &[&str]| {
        let named = accepted.iter().filter(|(name, _)| names.contains(name));
        named.map(|(_, quality)| *quality).fold(0.0, f32::max)
    };
    let html = quality_of(&["text/html", "application/xhtml+xml"]);
    html > 0.0 && html >= quality_of(&["application/problem+json", "application/json"])
}

/// A media range of `Accept` and its quality (RFC 9110, 12.5.1).
fn parse_media_range(text: &str) -> (&str, f32) {
    let mut parameters = text.split(';').map(str::trim);
    let name = parameters.next().unwrap_or_default();
    let quality = parameters.find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok());
    (name, quality.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn html_is_preferred_where_accept_ranks_it_no_lower_than_json() {
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
            assert_eq!(is_html_preferred(&headers), expected, "{accept}");
        }
        assert!(!is_html_preferred(&HeaderMap::new()));
    }

    #[test]
    fn the_form_explains_the_problem_and_preserves_the_query() {
        let two =
            r#"<input type="hidden" name="l" value="2"><input type="hidden" name="s" value="a b">"#;
        let code = r#"<input type="hidden" name="&lt;i>&quot;" value="&lt;!--pitwall:fault-->">"#;
        for (problem, query, expected_fault, hidden_inputs) in [
            (Problem::KeyMissing, "", "", ""),
            (Problem::KeyMissing, "l=2&s=a+b", "", two),
            (Problem::KeyInvalid, "l=2&key=x&s=a%20b", "This is not the key.", two),
            (Problem::KeyInvalid, "", "The key has changed", ""),
            (Problem::KeyExpired, "", "The key has changed", ""),
            (Problem::KeyMissing, "%3Ci%3E%22=%3C!--pitwall:fault--%3E", "", code),
        ] {
            let html = render_form(&problem, "/watch/x", query);
            let html = std::str::from_utf8(&html).unwrap();
            assert!(html.contains("href=\"../favicon.svg\"") && !html.contains("pitwall:root"));
            let fault = html.split_once("role=\"alert\"").unwrap().1;
            let fault = fault.split_once('>').unwrap().1.split_once("</p>").unwrap().0;
            assert_eq!(fault.is_empty(), expected_fault.is_empty(), "{query}: {fault}");
            assert!(fault.starts_with(expected_fault), "{query}: {fault}");
            let invalid = html.contains("aria-invalid=\"true\"");
            assert_eq!(
                invalid,
                query.contains("key="),
                "what was not entered is not wrong: {query}"
            );
            assert_eq!(html.contains("<title>Not the key"), invalid, "{query}");
            let hidden = html.matches("type=\"hidden\"").count();
            assert_eq!(hidden, hidden_inputs.matches("type=\"hidden\"").count(), "{query}");
            assert!(html.contains(hidden_inputs), "{query}: {html}");
        }
    }
}
