//! Recipes against a local site like the demo's: pages, an iframe, a cookie, a form with a CSRF
//! token, and a required Referer.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::extract::{Form, Path};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};

use crate::extract::ConfiguredSource;
use crate::extract::tests::build_runner;
use crate::extract::{Candidate, ExtractError};

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
        .route("/list", get(|| async {
            Html("<meta name=csrf content=m7><ul><li data-id=a>A</li><li data-id=b>B</li><li>C</li></ul>\
                  <script>play({id: 'x', at: '/live/x.m3u8'}); play({id: 'y', at: '/live/y.m3u8'})</script>")
        }))
        .route("/feeds.json", get(|| async {
            Json(serde_json::json!({"feeds": [{"n": "One", "u": "/1.m3u8"}, {"n": "Two", "u": "/2.m3u8"}, {"n": "—"}]}))
        }))
        .route("/set", get(|| async { ([("set-cookie", "xsrf=c7; Path=/"), ("x-next", "/n.m3u8")], "") }))
        .route("/cookies", get(|headers: HeaderMap| async move { header(&headers, "cookie") }))
        .route("/hidden", get(|| async { "L2hpZGRlbi5tM3U4P2E9MSUyNmI=" }))
        .route("/packed", get(|| async {
            use std::io::Write as _;
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(b"/packed.m3u8").unwrap();
            gzip.finish().unwrap()
        }))
        .route("/refresh/{left}", get(|Path(left): Path<u32>| async move {
            let next = left.checked_sub(1).map_or(String::new(), |left| {
                format!("<meta http-equiv='refresh' content='0; url=/refresh/{left}'>")
            });
            Html(format!("{next}<b>{left}</b>"))
        }))
        .route("/round", get(|| async { Redirect::temporary("/round") }))
        .route("/huge", get(|| async { "x".repeat(3 << 20) }))
        .route("/deep", get(|| async { "<div>".repeat(100_000) }))
        .route("/binary", get(|| async { b"\xff<b>/\xc3(.m3u8</b>\xc3\xb6\xc3\xb6\x00".to_vec() }))
        .route("/latin", get(|| async {
            ([("content-type", "text/html; charset=iso-8859-1")], b"<b>/k\xf6ln.m3u8</b>".to_vec())
        }))
        .route("/based", get(|| async { Html("<base href='/refresh/'><iframe src=0></iframe>") }))
        .route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/never", get(|| async { std::future::pending::<()>().await }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn extract(toml: &str, address: SocketAddr) -> Result<Vec<Candidate>, ExtractError> {
    let toml = toml.replace("127.0.0.1:9000", &address.to_string());
    let source =
        ConfiguredSource::parse_file(&toml).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let mut found = build_runner().run(&source).await;
    if found.candidates.is_empty() { Err(found.failures.remove(0)) } else { Ok(found.candidates) }
}

/// A recipe for the site with these steps, whose playlist is the variable `p`.
fn recipe(steps: &str) -> String {
    format!(
        "[[source]]\nname = 'a'\nkind = 'recipe'\nfeed = 'World feed'\nallow_private = ['127.0.0.0/8']\n{}\n[source.result]\nplaylist = '{{{{p}}}}'\n",
        steps.replace("STEP", "[[source.step]]").replace("SITE", "http://127.0.0.1:9000")
    )
}

#[tokio::test]
async fn the_demo_recipe_finds_its_feeds() {
    let address = site().await;
    // One of the four feeds has a form without the token; the other feeds are found.
    let found = extract(DEMO, address).await.unwrap();
    let feeds: Vec<_> = found.iter().map(|candidate| candidate.feed.as_str()).collect();
    assert_eq!(feeds, ["World feed", "Onboard 7", "Onboard 22"]);
    let first = &found[0];
    assert_eq!(
        first.playlist.as_str(),
        format!("http://{address}/hls/world-feed/master.m3u8?exp=1767225600&sig=secret")
    );
    assert_eq!(first.expires_at, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    // `{{page}}` is the URL that answered, not the one that redirected to it.
    let referer = format!("http://{address}/embed/world-feed");
    assert_eq!(first.headers, [("Referer".to_owned(), referer)]);
    assert_eq!(first.label.as_deref(), Some("Demo"));
}

#[tokio::test]
async fn actions() {
    let address = site().await;
    // The variable `p` is a playlist's URL; in the cases that echo a request, `q` is the echoed
    // text, which is appended to the site's URL.
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
            "a decoded page",
            "STEP\nget = 'SITE/hidden'\nSTEP\ndecode = ['base64', 'percent']\nsave = 'p'",
            "/hidden.m3u8?a=1&b",
        ),
        (
            "a page packed twice",
            "STEP\nget = 'SITE/packed'\nSTEP\ndecode = 'gzip'\nsave = 'p'",
            "/packed.m3u8",
        ),
        ("a header", "STEP\nget = 'SITE/set'\nSTEP\nheader = 'X-Next'\nsave = 'p'", "/n.m3u8"),
        (
            "a cookie sent back in another place",
            "STEP\nget = 'SITE/set'\nSTEP\ncookie = 'xsrf'\nsave = 'c'\nSTEP\npost = '/echo'\njson = { c = '{{c}}' }\nSTEP\npointer = '/body'\nsave = 'b'\nSTEP\npointer = '/c'\nfrom = 'b'\nsave = 'p'",
            "/c7",
        ),
        (
            "cookies as a script would set them",
            "STEP\nget = 'SITE/cookies'\ncookies = { consent = 'yes' }\nSTEP\nregex = 'consent=(.*)'\nsave = 'p'",
            "/yes",
        ),
        (
            "a token of a meta element",
            "STEP\nget = 'SITE/list'\nSTEP\nselect = 'meta[name=csrf]'\nattribute = 'content'\nsave = 'p'",
            "/m7",
        ),
        (
            "pages that send one on",
            "STEP\nget = 'SITE/refresh/3'\nSTEP\nselect = 'b'\nsave = 'p'",
            "/refresh/0",
        ),
        (
            "something else where nothing is",
            "STEP\nget = 'SITE/list'\nSTEP\nselect = 'i'\ndefault = '/{{url}}'\nsave = 'x'\nSTEP\ntext = 'other'\nsave = 'p'",
            "/other",
        ),
        (
            "a computed value",
            "STEP\nget = 'SITE/script'\nSTEP\nregex = 'e=([0-9]+)'\nsave = 'n'\nSTEP\nscript = '(+vars.n + 1) + url.slice(-6) + page.length'\nsave = 'p'",
            "/1767225601script53",
        ),
        (
            "a computed value in a query",
            "STEP\nget = 'SITE/script'\nSTEP\ntext = 'a/b c'\nsave = 'w'\nSTEP\ntext = '?q={{w | percent}}'\nsave = 'p'",
            "/script?q=a%2Fb%20c",
        ),
        (
            "what is not all text",
            "STEP\nget = 'SITE/binary'\nSTEP\nselect = 'b'\nsave = 'p'",
            "/%EF%BF%BD(.m3u8",
        ),
        (
            "a page in another encoding",
            "STEP\nget = 'SITE/latin'\nSTEP\nselect = 'b'\nsave = 'p'",
            "/k%C3%B6ln.m3u8",
        ),
        (
            "a frame relative to the base of its page",
            "STEP\nget = 'SITE/based'\nSTEP\niframe = 'iframe'\nsave = 'p'",
            "/refresh/0",
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
            "step 2 (get): 10.0.0.1 is private: allow_private = [\"10.0.0.1/32\"] in source \"a\" allows it",
            false,
        ),
        (
            "redirects without end",
            "STEP\nget = 'SITE/round'\nsave = 'p'",
            "step 1 (get): more than 10 redirects",
            false,
        ),
        (
            "pages that send one on without end",
            "STEP\nget = 'SITE/refresh/4'\nsave = 'p'",
            "step 1 (get): the page sends its visitors on and on",
            false,
        ),
        (
            "a huge page",
            "STEP\nget = 'SITE/huge'\nsave = 'p'",
            "step 1 (get): the upstream's answer is too large",
            false,
        ),
        (
            "a deep page",
            "STEP\nget = 'SITE/deep'\nSTEP\nselect = 'b'\nsave = 'p'",
            "step 2 (select \"b\"): the page is nested more than 1000 deep",
            false,
        ),
        (
            "a script without end",
            "STEP\nscript = '(function f() { f() })()'\nsave = 'p'",
            "step 1 (script for p): the script nested too deeply",
            false,
        ),
        (
            "a cookie that is not there",
            "STEP\nget = 'SITE/set'\nSTEP\ncookie = 'sid'\nsave = 'p'",
            "step 2 (cookie sid): there is no such cookie",
            false,
        ),
        (
            "what is not coded like that",
            "STEP\nget = 'SITE/list'\nSTEP\ndecode = 'gzip'\nsave = 'p'",
            "step 2 (decode gzip): gzip: not gzip, or cut short",
            false,
        ),
        (
            "a playlist behind a password",
            "STEP\ntext = 'https://user:secret@a.example/x.m3u8'\nsave = 'p'",
            "result: bad URL: a URL with a user name or password: leave them out of it and write headers = { Authorization = \"Basic …\" }, where … is the base64 of USER:PASSWORD",
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
    let header = recipe("STEP\nget = 'SITE/script'\nSTEP\nheader = 'x-token'\nsave = 'p'");
    let error = extract(&header, address).await.unwrap_err().to_string();
    let expected = "step 2 (header x-token): the page has no such header (it has: ";
    assert!(error.starts_with(expected) && error.contains("content-type"), "{error}");
    let text = recipe("STEP\nget = 'SITE/script'\nsave = 'p'");
    let never = format!("{text}expires = 'never'\n");
    let error = extract(&never, address).await.unwrap_err();
    assert_eq!(error.to_string(), "result: `expires` is not a time");
}

/// The feed and the path of each candidate of a recipe with branches, and the failures.
async fn extract_branches(text: &str) -> (Vec<(String, String)>, Vec<String>) {
    let address = site().await;
    let toml = text.replace("127.0.0.1:9000", &address.to_string());
    let source =
        ConfiguredSource::parse_file(&toml).unwrap_or_else(|error| panic!("{error}")).remove(0);
    let found = build_runner().run(&source).await;
    let pair = |one: Candidate| (one.feed, one.playlist.path().to_owned());
    let failures = found.failures.iter().map(ToString::to_string).collect();
    (found.candidates.into_iter().map(pair).collect(), failures)
}

#[tokio::test]
async fn foreach() {
    for (name, steps, result, expected, failures) in [
        (
            "attributes of elements",
            "STEP\nget = 'SITE/list'\nSTEP\nselect = 'li'\nattribute = 'data-id'\nforeach = 'id'",
            "playlist = '/{{id}}.m3u8'\nfeed = 'Feed {{id}}'",
            vec![("Feed a", "/a.m3u8"), ("Feed b", "/b.m3u8")],
            vec![],
        ),
        (
            "elements, looked into",
            "STEP\nget = 'SITE/list'\nSTEP\nselect = 'li'\nhtml = true\nforeach = 'item'\nSTEP\nselect = 'li'\nfrom = 'item'\nsave = 'name'\nSTEP\nselect = 'li'\nattribute = 'data-id'\nfrom = 'item'\nsave = 'id'",
            "playlist = '/{{id}}.m3u8'\nfeed = '{{name}}'",
            vec![("A", "/a.m3u8"), ("B", "/b.m3u8")],
            vec!["step 4 (select \"li\"): the match has no attribute \"data-id\""],
        ),
        (
            "named groups",
            "STEP\nget = 'SITE/list'\nSTEP\nregex = \"id: '(?<id>.)', at: '(?<at>[^']+)'\"\nforeach = 'all'",
            "playlist = '{{at}}'\nfeed = '{{id}}'",
            vec![("x", "/live/x.m3u8"), ("y", "/live/y.m3u8")],
            vec![],
        ),
        (
            "items of an array",
            "STEP\nget = 'SITE/feeds.json'\nSTEP\npointer = '/feeds'\nforeach = 'feed_json'\nSTEP\npointer = '/n'\nfrom = 'feed_json'\nsave = 'n'\nSTEP\npointer = '/u'\nfrom = 'feed_json'\nsave = 'u'",
            "playlist = '{{u}}'\nfeed = '{{n}}'",
            vec![("One", "/1.m3u8"), ("Two", "/2.m3u8")],
            vec!["step 4 (pointer \"/u\"): nothing is there (the answer has: n)"],
        ),
        (
            "items of a script, and in them of another",
            "STEP\nget = 'SITE/list'\nSTEP\nscript = '[1, 2]'\nforeach = 'i'\nSTEP\nscript = '[vars.i + \"a\", vars.i + \"b\"]'\nforeach = 'j'",
            "playlist = '/{{j}}'\nfeed = '{{j}}'",
            vec![("1a", "/1a"), ("1b", "/1b"), ("2a", "/2a"), ("2b", "/2b")],
            vec![],
        ),
        (
            "one match of a pattern",
            "STEP\nget = 'SITE/list'\nSTEP\nregex = \"id: '(?<id>.)', at: '(?<at>[^']+)'\"",
            "playlist = '{{at}}'\nfeed = '{{id}}'",
            vec![("x", "/live/x.m3u8")],
            vec![],
        ),
    ] {
        let text = recipe(steps).replace("playlist = '{{p}}'", result);
        let owned = |pairs: Vec<(&str, &str)>| -> Vec<_> {
            pairs.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
        };
        let (found, failed) = extract_branches(&text).await;
        assert_eq!(
            (found, failed.iter().map(String::as_str).collect()),
            (owned(expected), failures),
            "{name}"
        );
    }
}

#[tokio::test]
async fn branches_beyond_the_limit_are_dropped_and_counted() {
    let steps = "STEP\nget = 'SITE/list'\nSTEP\nscript = 'Array.from({length: 10000}, (_, i) => i)'\nforeach = 'i'";
    let text = recipe(steps).replace("playlist = '{{p}}'", "playlist = '/{{i}}'\nfeed = 'f{{i}}'");
    let toml = text.replace("127.0.0.1:9000", &site().await.to_string());
    let found = build_runner().run(&ConfiguredSource::parse_file(&toml).unwrap().remove(0)).await;
    assert_eq!((found.candidates.len(), found.dropped, found.failures.len()), (200, 9_800, 0));
}

/// A candidate that was found before the deadline stays in the output.
#[tokio::test]
async fn a_branch_that_hangs_does_not_affect_the_others() {
    let steps = "timeout = '2s'\nSTEP\nget = 'SITE/list'\nSTEP\nscript = '[\"list\", \"never\"]'\nforeach = 'i'\nSTEP\nget = '/{{i}}'\nsave = 'p'";
    let text = recipe(steps).replace("{{p}}'", "{{p}}'\nfeed = '{{i}}'");
    let (found, failed) = extract_branches(&text).await;
    assert_eq!(found, [("list".to_owned(), "/list".to_owned())]);
    assert_eq!(failed, ["run: not finished within 2s"]);
}

#[tokio::test]
async fn recorded_replayed_and_compared() {
    let address = site().await;
    let toml = DEMO.replace("127.0.0.1:9000", &address.to_string());
    let source = ConfiguredSource::parse_file(&toml).unwrap().remove(0);
    let (recorded_run, recording) = build_runner().run_and_record(&source).await;
    assert!(!recording.good, "one of four failed");
    let folder = tempfile::tempdir().unwrap();
    recording.save(folder.path()).unwrap();
    let loaded = crate::extract::Recording::load(folder.path(), "demo").unwrap();

    // Without `allow_private`, the replay could not fetch from the site.
    let mut offline = source.clone();
    offline.source.allow_private.clear();
    let replayed = build_runner().replay(&offline, &loaded).await;
    assert!(replayed.candidates == recorded_run.candidates, "{:?}", replayed.candidates);
    let failures = |it: &crate::extract::Extraction| {
        it.failures.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(failures(&replayed), failures(&recorded_run));
    assert_eq!(crate::extract::find_first_drift(&recorded_run.steps, &replayed.steps), None);

    // A replay of a changed recipe fails at the first request that differs; a run that differs from
    // the recording names the step that drifted.
    let other = toml.replace("/watch/{{id}}", "/see/{{id}}");
    let other = ConfiguredSource::parse_file(&other).unwrap().remove(0);
    let changed = build_runner().replay(&other, &loaded).await;
    let first = changed.failures[0].to_string();
    assert!(first.starts_with("World feed: step 1 (get): GET http://127.0.0.1:"), "{first}");
    let other = toml.replace("input[name=csrf]", "input[name=feed]");
    let other = ConfiguredSource::parse_file(&other).unwrap().remove(0);
    let drifted = build_runner().extract(&other).await;
    let drift = crate::extract::find_first_drift(&recorded_run.steps, &drifted.steps).unwrap();
    assert!(drift.recorded.step.starts_with("step 3 (select"), "{drift}");
}

/// A trace shows what each step did, but no secret.
#[tokio::test]
async fn traces_are_masked() {
    let address = site().await;
    let toml = DEMO.replace("127.0.0.1:9000", &address.to_string());
    let source = ConfiguredSource::parse_file(&toml).unwrap().remove(0);
    let runner = build_runner();
    let extraction = runner.extract(&source).await;
    let lines: Vec<String> = extraction.steps.iter().map(ToString::to_string).collect();
    let text = lines.join("\n");
    assert!(!text.contains("secret") && !text.contains("for-&7"), "{text}");
    for (index, expected) in [
        (0, "  200  -> http://127.0.0.1:"),
        (2, "-> …[6]"),
        (5, "/hls/world-feed/master.m3u8?exp=1767225600&sig=…[6]"),
        (6, "-> 1767225600"),
    ] {
        assert!(lines[index].contains(expected), "{}", lines[index]);
    }
    assert_eq!(runner.last_trace("demo").as_deref(), Some(extraction.steps.as_slice()));
    assert!(runner.last_trace("other").is_none());
}
