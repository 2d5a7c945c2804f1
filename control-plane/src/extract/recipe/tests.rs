//! Against a site of its own that behaves like the demo's: pages, an iframe, a cookie, a form
//! with a CSRF token, a Referer that is insisted on.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::extract::{Form, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use pitwall_fetch::{Fetcher, Timeouts};

use crate::extract::{Candidate, ExtractError, extract_once};
use crate::source::Source;

const DEMO: &str = include_str!("../../../tests/data/demo-recipe.toml");

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

async fn watch(Path(feed): Path<String>) -> Html<String> {
    Html(format!("<h1>{feed}</h1><iframe id=\"player\" src=\"/moved/{feed}\"></iframe>"))
}

async fn embed(Path(feed): Path<String>, headers: HeaderMap) -> Response {
    if !header(&headers, "referer").ends_with(&format!("/watch/{feed}")) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let csrf =
        if feed == "pit-lane" { "" } else { "<input type=hidden name=csrf value='for-&amp;7'>" };
    let form = format!(
        "<form id=play method=post action='{feed}/play'>{csrf}<input name=feed value={feed}></form>"
    );
    ([("set-cookie", "sid=7; Path=/")], Html(form)).into_response()
}

async fn play(
    Path(feed): Path<String>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let host = header(&headers, "host");
    let page = format!("http://{host}/embed/{feed}");
    let honest = header(&headers, "cookie") == "sid=7"
        && form.get("csrf").is_some_and(|csrf| csrf == "for-&7")
        && form.get("feed") == Some(&feed)
        && header(&headers, "referer") == page
        && header(&headers, "origin") == format!("http://{host}");
    if !honest {
        return StatusCode::FORBIDDEN.into_response();
    }
    let playlist = format!("http://{host}/hls/{feed}/master.m3u8?exp=1767225600&sig=secret");
    Json(
        serde_json::json!({"ok": true, "stream": {"playlist": playlist, "expires": 1_767_225_600}}),
    )
    .into_response()
}

async fn site() -> SocketAddr {
    let router = Router::new()
        .route("/watch/{feed}", get(watch))
        .route("/moved/{feed}", get(|Path(feed): Path<String>| async move {
            Redirect::temporary(&format!("/embed/{feed}"))
        }))
        .route("/embed/{feed}", get(embed))
        .route("/embed/{feed}/play", post(play))
        .route("/script", get(|| async { r#"<script>var s = "/live/x.m3u8?e=1767225600";</script>"# }))
        .route("/echo", any(|headers: HeaderMap, body: String| async move {
            Json(serde_json::json!({
                "type": header(&headers, "content-type"), "agent": header(&headers, "user-agent"),
                "referer": header(&headers, "referer"), "body": body,
            }))
        }))
        .route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/never", get(|| async { std::future::pending::<()>().await }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn extract(toml: &str, address: SocketAddr) -> Result<Vec<Candidate>, ExtractError> {
    let toml = toml.replace("127.0.0.1:9000", &address.to_string());
    let source = Source::parse_file(&toml).unwrap_or_else(|error| panic!("{error}")).remove(0);
    extract_once(&source, &Fetcher::new(Timeouts::default(), Vec::new())).await
}

/// A recipe on this site with these steps, whose result is the variable `p`.
fn recipe(steps: &str) -> String {
    format!(
        "[[source]]\nname = 'a'\nkind = 'recipe'\nfeed = 'World feed'\nallow_private = ['127.0.0.0/8']\n{}\n[source.result]\nplaylist = '{{{{p}}}}'\n",
        steps.replace("STEP", "[[source.step]]").replace("SITE", "http://127.0.0.1:9000")
    )
}

#[tokio::test]
async fn the_demo() {
    let address = site().await;
    // One of its four feeds has a form without the token: the others are found all the same.
    let found = extract(DEMO, address).await.unwrap();
    let feeds: Vec<_> = found.iter().map(|candidate| candidate.feed.as_str()).collect();
    assert_eq!(feeds, ["World feed", "Onboard 7", "Onboard 22"]);
    let first = &found[0];
    assert_eq!(
        first.playlist.as_str(),
        format!("http://{address}/hls/world-feed/master.m3u8?exp=1767225600&sig=secret")
    );
    assert_eq!(first.expires_at, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    // The page that answered, not the one that redirected to it.
    let referer = format!("http://{address}/embed/world-feed");
    assert_eq!(first.headers, [("Referer".to_owned(), referer)]);
    assert_eq!(first.label.as_deref(), Some("Demo"));
}

#[tokio::test]
async fn actions() {
    let address = site().await;
    // The variable `p` is a URL, or what was echoed, which is hung behind the site as `q`.
    for (name, steps, expected) in [
        (
            "a pattern, and a relative playlist",
            "STEP\nget = 'SITE/script'\nSTEP\nregex = 's = \"([^\"]+)\"'\nsave = 'p'",
            "/live/x.m3u8?e=1767225600",
        ),
        (
            "json",
            "STEP\nget = 'SITE/script'\nSTEP\npost = '/echo'\njson = { page = '{{url}}', n = 7 }\nSTEP\npointer = '/body'\nsave = 'body'\nSTEP\npointer = '/page'\nfrom = 'body'\nsave = 'p'",
            "/script",
        ),
        (
            "where it comes from",
            "STEP\nget = 'SITE/script'\nSTEP\nget = 'echo'\nSTEP\npointer = '/referer'\nsave = 'p'",
            "/script",
        ),
        (
            "or nothing",
            "STEP\nget = 'SITE/script'\nSTEP\nget = 'echo'\nheaders = { Referer = '' }\nSTEP\npointer = '/referer'\nsave = 'p'",
            "/echo",
        ),
        (
            "the page that answered",
            "STEP\nget = 'SITE/watch/x'\nSTEP\niframe = 'iframe'\nsave = 'p'",
            "/embed/x",
        ),
        (
            "a form",
            "STEP\npost = 'SITE/echo'\nform = { a = 'x y', b = '&' }\nSTEP\npointer = '/body'\nsave = 'q'",
            "/a=x+y&b=%26",
        ),
        (
            "the type of json",
            "STEP\npost = 'SITE/echo'\njson = {}\nSTEP\npointer = '/type'\nsave = 'q'",
            "/application/json",
        ),
        (
            "headers of a step",
            "STEP\nget = 'SITE/echo'\nheaders = { User-Agent = 'One/1' }\nSTEP\npointer = '/agent'\nsave = 'q'",
            "/One/1",
        ),
    ] {
        let mut text = recipe(steps);
        if steps.contains("save = 'q'") {
            text = text.replace("{{p}}", "http://127.0.0.1:9000/{{q}}");
        }
        let found = extract(&text, address).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found[0].playlist.as_str(), format!("http://{address}{expected}"), "{name}");
    }
}

#[tokio::test]
async fn failures_name_their_step() {
    let address = site().await;
    for (name, steps, expected, retryable) in [
        (
            "status",
            "STEP\nget = 'SITE/busy'\nsave = 'p'",
            "step 1 (get): the server answered 503",
            true,
        ),
        (
            "refused",
            "STEP\nget = 'SITE/embed/x?token=secret'\nsave = 'p'",
            "step 1 (get): the server answered 403",
            false,
        ),
        (
            "select",
            "STEP\nget = 'SITE/script'\nSTEP\nselect = 'form input[name=csrf]'\nattribute = 'value'\nsave = 'p'",
            "step 2 (select \"form input[name=csrf]\"): nothing matched",
            false,
        ),
        (
            "regex",
            "STEP\nget = 'SITE/script'\nSTEP\nregex = 'https://secret.example'\nsave = 'p'",
            "step 2 (regex for p): nothing matched",
            false,
        ),
        (
            "pointer",
            "STEP\nget = 'SITE/script'\nSTEP\npointer = '/a'\nsave = 'p'",
            "step 2 (pointer \"/a\"): the page is not JSON",
            false,
        ),
        (
            "policy",
            "STEP\nget = 'SITE/script'\nSTEP\nget = 'http://10.0.0.1/'\nsave = 'p'",
            "step 2 (get): the target is not allowed by the address policy",
            false,
        ),
        (
            "deadline",
            "timeout = '50ms'\nSTEP\nget = 'SITE/never'\nsave = 'p'",
            "run: not finished within 50ms",
            true,
        ),
    ] {
        let error = extract(&recipe(steps), address).await.unwrap_err();
        assert_eq!(error.to_string(), expected, "{name}");
        assert_eq!(error.retryable, retryable, "{name}");
    }
    let text = recipe("STEP\nget = 'SITE/script'\nsave = 'p'");
    let never = format!("{text}expires = 'never'\n");
    let error = extract(&never, address).await.unwrap_err();
    assert_eq!(error.to_string(), "result: `expires` is not a time");
}
