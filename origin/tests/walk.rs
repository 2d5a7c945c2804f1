//! The steps of a recipe (watch page, iframe, form, playlist, segment), and every refusal on the
//! way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that cannot go on fails its test"
)]

mod site;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use site::{Answer, BASE, NOW, Site};

const EMBED_URL: &str = "http://origin.test/embed/world-feed";

/// The text between the first `before` and the next `after`.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before} in {text}"));
    rest.split_once(after).unwrap().0
}

fn extract_path(url: &str) -> String {
    url.strip_prefix(BASE).unwrap_or(url).to_owned()
}

async fn submit_play_form(site: &Site, cookie: &str, referer: &str, form: String) -> Answer {
    let request = Request::post("/embed/world-feed/play")
        .header(header::COOKIE, cookie)
        .header(header::REFERER, referer)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    site.send(request.body(Body::from(form)).unwrap()).await
}

/// Loads the player; its cookie and CSRF value.
async fn load_player(site: &Site) -> (String, String) {
    let page = site.get("/embed/world-feed", &[]).await;
    let cookie = page.header(header::SET_COOKIE).to_owned();
    assert!(cookie.contains("HttpOnly"), "{cookie}");
    let csrf = between(page.text(), "name=\"csrf\" value=\"", "\"").to_owned();
    (cookie.split(';').next().unwrap().to_owned(), csrf)
}

/// Submits the player's form; the path of the signed canonical playlist URL.
async fn signed_playlist_path(site: &Site) -> String {
    let (cookie, csrf) = load_player(site).await;
    let response =
        submit_play_form(site, &cookie, EMBED_URL, format!("csrf={csrf}&feed=world-feed")).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text());
    let json = response.json();
    assert_eq!((&json["ok"], &json["stream"]["expires"]), (&true.into(), &(NOW + 25).into()));
    extract_path(json["stream"]["playlist"].as_str().unwrap())
}

#[tokio::test]
async fn from_the_watch_page_to_a_segment() {
    let site = Site::new();
    let watch = site.get("/watch/world-feed", &[]).await;
    assert!(watch.text().contains("<iframe id=\"player\" src=\"/embed/world-feed\""));
    assert!(watch.text().contains("<title>World feed live</title>"));

    let canonical = signed_playlist_path(&site).await;
    let referer = [(header::REFERER, EMBED_URL)];
    let redirect = site.get(&canonical, &referer).await;
    assert_eq!(redirect.status, StatusCode::FOUND);
    let master_path = redirect.header(header::LOCATION).to_owned();
    assert!(master_path.starts_with("/cdn/e"), "{master_path}");

    let master = site.get(&master_path, &referer).await;
    let folder = between(&master_path, "", "master.m3u8");
    let media_path = master.text().lines().find(|l| l.starts_with("v720")).unwrap();
    let media = site.get(&format!("{folder}{media_path}"), &referer).await;
    assert!(media.text().contains("#EXT-X-MEDIA-SEQUENCE:899999993\n"), "{}", media.text());
    let rendition = format!("{folder}v720/");
    let init = between(media.text(), "MAP:URI=\"", "\"");
    let segment = media.text().lines().last().unwrap();
    for uri in [init, segment] {
        let response = site.get(&format!("{rendition}{uri}"), &referer).await;
        assert_eq!((response.status, response.body.len() > 500), (StatusCode::OK, true), "{uri}");
        assert_eq!(response.header(header::CONTENT_TYPE), "video/mp4");
    }

    // Every URL after the redirect requires the same token and `Referer`.
    let without_token = |uri: &str| uri.split('?').next().unwrap().to_owned();
    for uri in [&master_path, &format!("{folder}{media_path}"), &format!("{rendition}{segment}")] {
        assert_eq!(site.get(uri, &[]).await.status, StatusCode::FORBIDDEN, "{uri}");
        assert_eq!(
            site.get(&without_token(uri), &referer).await.status,
            StatusCode::FORBIDDEN,
            "{uri}"
        );
    }
    site.set_seconds(NOW + 25);
    let late = site.get(&format!("{rendition}{segment}"), &referer).await;
    assert_eq!((late.status, late.text()), (StatusCode::FORBIDDEN, "the token has expired\n"));
}

#[tokio::test]
async fn a_renewed_token_has_new_urls_and_the_same_numbers() {
    let site = Site::new();
    let referer = [(header::REFERER, EMBED_URL)];
    let mut observed = Vec::new();
    for later in [0, 1] {
        site.set_seconds(NOW - 1 + later);
        let feeds = site.get("/api/feeds", &[]).await.json();
        let canonical = extract_path(feeds[0]["playlist"].as_str().unwrap());
        let at = site.get(&canonical, &referer).await.header(header::LOCATION).to_owned();
        let media = at.replace("master.m3u8", "a/index.m3u8");
        let text = site.get(&media, &referer).await.text().to_owned();
        let number = between(&text, "MEDIA-SEQUENCE:", "\n").to_owned();
        observed.push((at, number));
    }
    let [(old, old_number), (new, new_number)] = &observed[..] else { panic!("{observed:?}") };
    assert_ne!(old.split('?').next(), new.split('?').next());
    assert_eq!(old_number, new_number);
    // The token of one "CDN" edge is refused by another.
    let (_, query) = new.split_once('?').unwrap();
    let old_edge_new_token = format!("{}?{query}", old.split('?').next().unwrap());
    let response = site.get(&old_edge_new_token, &referer).await;
    assert_eq!(response.status, StatusCode::FORBIDDEN, "{}", response.text());
}

#[tokio::test]
async fn referers() {
    let site = Site::new();
    let canonical = signed_playlist_path(&site).await;
    for (referer, status) in [
        (EMBED_URL, StatusCode::FOUND),
        ("http://origin.test/embed/pit-lane", StatusCode::FOUND),
        ("http://origin.test/watch/world-feed", StatusCode::FORBIDDEN),
        ("http://origin.test.evil.example/embed/x", StatusCode::FORBIDDEN),
        ("https://other.example/embed/", StatusCode::FORBIDDEN),
        ("", StatusCode::FORBIDDEN),
    ] {
        let response = site.get(&canonical, &[(header::REFERER, referer)]).await;
        assert_eq!(response.status, status, "{referer:?}");
        assert_eq!(response.text().contains("hotlinking"), status == StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn forms() {
    let site = Site::new();
    let (cookie, csrf) = load_player(&site).await;
    let (other, _) = load_player(&site).await;
    let form = format!("csrf={csrf}&feed=world-feed");
    for (cookie, referer, form, error) in [
        (cookie.as_str(), EMBED_URL, form.clone(), ""),
        (other.as_str(), EMBED_URL, form.clone(), "csrf"),
        ("", EMBED_URL, form.clone(), "cookie"),
        (cookie.as_str(), "https://other.example/", form.clone(), "referer"),
        (cookie.as_str(), EMBED_URL, "csrf=1.2&feed=world-feed".to_owned(), "csrf"),
        (cookie.as_str(), EMBED_URL, format!("csrf={csrf}&feed=pit-lane"), "csrf"),
        (cookie.as_str(), EMBED_URL, "feed=world-feed".to_owned(), "form"),
    ] {
        let response = submit_play_form(&site, cookie, referer, form).await;
        let status = if error.is_empty() { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(response.status, status, "{error}");
        assert_eq!(response.json()["error"].as_str().unwrap_or(""), error);
    }
    site.set_seconds(NOW + 600);
    assert_eq!(
        submit_play_form(&site, &cookie, EMBED_URL, form).await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn the_open_path_needs_nothing() {
    let site = Site::new();
    let n = NOW / 2;
    for (path, status) in [
        ("/open/pit-lane/master.m3u8".to_owned(), StatusCode::OK),
        ("/open/pit-lane/a/index.m3u8".to_owned(), StatusCode::OK),
        (format!("/open/pit-lane/a/{n}.ts"), StatusCode::OK),
        (format!("/open/pit-lane/v180/{}.ts", n - 15), StatusCode::OK),
        (format!("/open/pit-lane/v180/{}.ts", n - 16), StatusCode::NOT_FOUND),
        (format!("/open/pit-lane/v180/{}.ts", n + 1), StatusCode::NOT_FOUND),
        (format!("/open/pit-lane/v180/{n}.m4s"), StatusCode::NOT_FOUND),
        ("/open/pit-lane/v180/init.mp4".to_owned(), StatusCode::NOT_FOUND),
        ("/open/pit-lane/v999/index.m3u8".to_owned(), StatusCode::NOT_FOUND),
        ("/open/nothing/master.m3u8".to_owned(), StatusCode::NOT_FOUND),
    ] {
        let response = site.get(&path, &[(header::ORIGIN, "https://player.example")]).await;
        assert_eq!(response.status, status, "{path}");
        assert!(!response.text_lossy().contains("exp="), "{path}");
        assert!(!response.headers.keys().any(|k| k.as_str().starts_with("access-control")));
    }
}

#[tokio::test]
async fn playlists_compress_and_segments_have_ranges() {
    let site = Site::new();
    let gzip = [(header::ACCEPT_ENCODING, "gzip, br")];
    let master = site.get("/open/world-feed/master.m3u8", &gzip).await;
    assert_eq!(master.header(header::CONTENT_ENCODING), "gzip");
    assert_eq!(master.body[..2], [0x1F, 0x8B]);

    let path = format!("/open/world-feed/v360/{}.m4s", NOW / 2);
    let whole = site.get(&path, &gzip).await;
    assert_eq!(whole.header(header::CONTENT_ENCODING), "");
    let partial = site.get(&path, &[(header::RANGE, "bytes=10-19")]).await;
    assert_eq!(partial.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(partial.body, whole.body[10..20]);
    assert_eq!(partial.header(header::CONTENT_RANGE), format!("bytes 10-19/{}", whole.body.len()));
    let unsatisfiable = site.get(&path, &[(header::RANGE, "bytes=9999999-")]).await;
    assert_eq!(unsatisfiable.status, StatusCode::RANGE_NOT_SATISFIABLE);

    let head = Request::builder().method(Method::HEAD).uri(&path).body(Body::empty()).unwrap();
    let head = site.send(head).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header(header::CONTENT_LENGTH), whole.body.len().to_string());
}

#[tokio::test]
async fn schedules_answer_on_every_path() {
    let site = Site::new();
    for (path, total) in [
        ("/ergast/f1/current/races/", "6"),
        ("/ergast/f1/current/races", "6"),
        ("/ergast/f1/2027/races.json?limit=100&offset=0", "6"),
        ("/ergast/f1/1999/races/", "0"),
    ] {
        let response = site.get(path, &[]).await;
        assert_eq!(response.json()["MRData"]["total"], total, "{path}");
    }
    assert_eq!(site.get("/ergast/f1/soon/races/", &[]).await.status, StatusCode::NOT_FOUND);
    let sessions = site.get("/v1/sessions?year=2027&meeting_key=9002", &[]).await;
    assert_eq!(sessions.json().as_array().unwrap().len(), 5);
    let meetings = site.get("/v1/meetings?year=2027", &[]).await;
    assert_eq!(meetings.json().as_array().unwrap().len(), 6);
}

impl Answer {
    fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
