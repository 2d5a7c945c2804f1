//! `[access] mode = "key"`: who gets access, and how a player that knows one URL gets access to
//! all.

use std::sync::LazyLock;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::live::start_upstream;
use crate::support::{Edge, client_builder, eventually, plain_link};

const VIEWER_KEY: &str = "the-key-of-everybody-who-watches-here";
const ADMIN_TOKEN: &str = "an-admin-token-of-enough-characters";

/// Two edges that share their secrets and nothing else.
async fn start_edges() -> [Edge; 2] {
    let (source, _upstream) = start_upstream().await;
    let config = |directory: &str| {
        format!(
            "[schedule]\nproviders = []\n[access]\nmode = \"key\"\nkey_file = \"{directory}/key\"\n\
             seal_key_file = \"{directory}/seal\"\nadmin_token_file = \"{directory}/admin\"\n\
             [upstream]\nallow_hosts = [\"{source}\"]\nallow_private = [\"127.0.0.0/8\"]\n\
             [[source]]\nname = \"s\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"http://{source}/live/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n"
        )
    };
    let secrets = tempfile::tempdir().unwrap();
    let directory = secrets.path().to_str().unwrap().to_owned();
    for (name, secret) in [("key", VIEWER_KEY), ("admin", ADMIN_TOKEN), ("seal", &"s".repeat(40))] {
        std::fs::write(secrets.path().join(name), secret).unwrap();
    }
    let config = config(&directory);
    let edges = [Edge::start(&config).await, Edge::start(&config).await];
    for edge in &edges {
        eventually("it plays", || async {
            let stream =
                get(&client(), edge, &format!("/api/streams/world-feed?key={VIEWER_KEY}")).await;
            (stream.status() == 200).then_some(())
        })
        .await;
    }
    edges
}

/// An HTTP client that follows no redirects.
fn client() -> Client {
    static CLIENT: LazyLock<Client> =
        LazyLock::new(|| client_builder().redirect(Policy::none()).build().unwrap());
    CLIENT.clone()
}

async fn get(client: &Client, edge: &Edge, path: &str) -> Response {
    client.get(edge.url(path)).send().await.unwrap()
}

/// The links of a playlist, including those in attributes.
fn links(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.is_empty());
    let links = lines.filter_map(|line| match line.starts_with('#') {
        true => line.split_once("URI=\"")?.1.split('"').next(),
        false => Some(line),
    });
    links.collect()
}

#[tokio::test]
async fn a_player_needs_the_key_only_in_the_first_address() {
    let [one, two] = start_edges().await;
    let player = client();
    let entry = format!("/live/world-feed/index.m3u8?key={VIEWER_KEY}");
    let response = get(&player, &one, &entry).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], "*", "of any origin");
    let master = response.text().await.unwrap();
    assert!(!master.contains(VIEWER_KEY), "the key itself travels no further");
    let renditions = links(&master);
    assert_eq!(renditions.len(), 3, "{master}");
    for (position, rendition) in renditions.iter().enumerate() {
        // Playlists and segments are requested from different edges.
        let (here, there) = if position % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let path = format!("/live/world-feed/{rendition}");
        let media = get(&player, here, &path).await;
        assert_eq!(media.status(), 200, "{path}");
        let media = media.text().await.unwrap();
        let segments = links(&media);
        assert_eq!(segments.len(), 4, "{media}");
        for segment in segments {
            let media = get(&player, there, segment).await;
            assert_eq!(media.status(), 200, "{segment}");
            assert_eq!(media.headers()["cache-control"], "private, max-age=60", "{segment}");
        }
        let token = rendition.split_once("?key=").unwrap().1;
        let again = get(&player, there, &format!("/live/world-feed/index.m3u8?key={token}")).await;
        assert!(again.text().await.unwrap().contains(token), "a token is carried on");
        let other = get(&player, here, &format!("/api/streams?key={token}")).await;
        assert_eq!(other.status(), 401, "it opens its stream alone");
    }
    let list = get(&player, &one, &format!("/iptv/playlist.m3u?key={VIEWER_KEY}")).await;
    let list = list.text().await.unwrap();
    let channel = list.lines().find(|line| line.starts_with("http")).unwrap();
    let (_, path) = channel.split_once("/live/").unwrap();
    assert_eq!(get(&player, &two, &format!("/live/{path}")).await.status(), 200, "{list}");
    let guide = list.split('"').nth(1).unwrap().split_once("/iptv/").unwrap().1;
    assert_eq!(get(&player, &two, &format!("/iptv/{guide}")).await.status(), 200, "{list}");
}

#[tokio::test]
async fn requests_without_the_key_are_refused() {
    let [edge, other] = start_edges().await;
    let stranger = client();
    let upstream = plain_link("/relay", "http://127.0.0.1:1/x.ts");
    for (path, status, name) in [
        ("/", 401, "key-missing"),
        ("/?key=wrong", 401, "key-invalid"),
        ("/live/world-feed/index.m3u8", 401, "key-missing"),
        ("/live/nothing/index.m3u8", 401, "key-missing"),
        ("/live/world-feed/v720-avc.m3u8?key=AAAA", 401, "key-invalid"),
        ("/api/bootstrap", 401, "key-missing"),
        ("/api/events", 401, "key-missing"),
        ("/iptv/playlist.m3u", 401, "key-missing"),
        ("/calendar.ics", 401, "key-missing"),
        (&upstream, 401, "key-missing"),
        ("/live/world-feed/v720-avc/7.m4s", 401, "seal-missing"),
        ("/live/world-feed/v720-avc/7.m4s?u=AAAA", 401, "seal-invalid"),
        ("/api/extractors/s/trace", 401, "admin-token-missing"),
        ("/healthz", 200, ""),
        ("/readyz", 200, ""),
    ] {
        let response = get(&stranger, &edge, path).await;
        assert_eq!(response.status(), status, "{path}");
        let text = response.text().await.unwrap();
        assert!(text.contains(name), "{path}: {text}");
    }
    let commanded =
        stranger.get(edge.url("/api/extractors/s/trace")).bearer_auth(ADMIN_TOKEN).send();
    assert_eq!(commanded.await.unwrap().status(), 200, "an operator needs no other key");

    // A browser sends the key once to any edge, and gets a cookie that all edges accept.
    let redirect =
        get(&stranger, &edge, &format!("/watch/world-feed?a=1&key={VIEWER_KEY}&b=2")).await;
    assert_eq!(redirect.status(), 303);
    assert_eq!(redirect.headers()["location"], "./world-feed?a=1&b=2", "without the key");
    let cookie = redirect.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Lax") && !cookie.contains(VIEWER_KEY),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    for path in [
        "/",
        "/api/bootstrap",
        "/live/world-feed/index.m3u8",
        "/calendar.ics",
        "/?key=an-old-key",
        "/api/bootstrap?key=an-old-key",
        "/live/world-feed/index.m3u8?key=an-old-key",
    ] {
        let request = stranger.get(other.url(path)).header("cookie", cookie);
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
    }
}

/// The admin token gives access to the API but not to playback, and the viewer key gives none to
/// commands.
#[tokio::test]
async fn the_admin_token_alone_reads_what_it_may_change() {
    let [edge, _] = start_edges().await;
    let client = client();
    for (path, status) in [
        ("/api/streams/world-feed/explain", 200),
        ("/api/streams/world-feed", 200),
        ("/api/streams", 200),
        ("/api/extractors", 200),
        ("/api/extractors/s/trace", 200),
        ("/api/status", 200),
        ("/api/activity", 200),
        ("/api/bootstrap", 200),
        ("/api/schedule", 200),
        ("/api/widget", 200),
        ("/api/events", 200),
        ("/api/openapi.json", 200),
        ("/", 401),
        ("/live/world-feed/index.m3u8", 401),
        ("/iptv/playlist.m3u", 401),
        ("/iptv/guide.xml", 401),
        ("/calendar.ics", 401),
    ] {
        let response = client.get(edge.url(path)).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert!(!response.headers().contains_key("set-cookie"), "{path}");
        let wrong = client.get(edge.url(path)).bearer_auth(VIEWER_KEY).send().await.unwrap();
        assert_eq!(wrong.status(), 401, "{path}");
    }
    for (path, authorization, name) in [
        (format!("/api/extractors/s/run?key={VIEWER_KEY}"), None, "admin-token-missing"),
        (format!("/api/streams/world-feed/switch?key={VIEWER_KEY}"), None, "admin-token-missing"),
        ("/api/extractors/s/run".to_owned(), Some(VIEWER_KEY), "admin-token-invalid"),
    ] {
        let request = client.post(edge.url(&path));
        let request = match authorization {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
        let text = response.text().await.unwrap();
        assert!(text.contains(name), "{path}: {text}");
    }
}

/// A request without the key gets the login page when it accepts HTML, else a problem document.
#[tokio::test]
async fn a_browser_gets_the_login_page() {
    let [edge, _] = start_edges().await;
    let client = client();
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let (html, json) = ("text/html; charset=utf-8", "application/problem+json");
    for (path, accept, content_type, expected) in [
        ("/", browser, html, "name=\"key\""),
        ("/watch/world-feed?l=2", browser, html, "name=\"l\" value=\"2\""),
        ("/?key=wrong", browser, html, "This is not the key."),
        ("/api/streams", browser, html, "name=\"key\""),
        ("/", "*/*", json, "key-missing"),
        ("/", "application/json", json, "key-missing"),
        ("/?key=wrong", "*/*", json, "key-invalid"),
        ("/api/streams", "application/json", json, "key-missing"),
        ("/?key=a&key=b", browser, json, "bad-url"),
        ("/live/world-feed/index.m3u8", browser, json, "key-missing"),
        ("/live/world-feed/index.m3u8?key=wrong", browser, json, "key-invalid"),
    ] {
        let response = client.get(edge.url(path)).header("accept", accept).send().await.unwrap();
        let status = if expected == "bad-url" { 400 } else { 401 };
        assert_eq!(response.status(), status, "{path} {accept}");
        let headers = response.headers();
        assert_eq!(headers["content-type"], content_type, "{path} {accept}");
        assert_eq!(headers["cache-control"], "no-store", "{path} {accept}");
        assert!(!headers.contains_key("set-cookie"), "{path} {accept}");
        if content_type == html {
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        }
        let text = response.text().await.unwrap();
        assert!(text.contains(expected), "{path} {accept}: {text}");
        assert!(!text.contains("wrong"), "what was shown is not said again: {text}");
    }
    // The login page's own files need no key; all other files of the page do.
    for (path, status) in [("/favicon.svg", 200), ("/_app/none.css", 404), ("/index.html", 401)] {
        assert_eq!(get(&client, &edge, path).await.status(), status, "{path}");
    }
}

/// Playback reports are accepted from players of any origin that have access to the reported
/// stream.
#[tokio::test]
async fn players_post_playback_reports() {
    let [edge, _] = start_edges().await;
    let player = client();
    let master =
        get(&player, &edge, &format!("/live/world-feed/index.m3u8?key={VIEWER_KEY}")).await;
    let master = master.text().await.unwrap();
    let token = links(&master)[0].split_once("?key=").unwrap().1.to_owned();
    let (json, lines) = ("application/json", "application/cmcd");
    let stalled = "e=ps,sta=r,cid=\"world-feed\",sid=\"6e2f\",v=2\ncid=\"world-feed\",bs";
    let huge = "cid=\"world-feed\"\n".repeat(4000);
    for (key, content_type, body, status, name) in [
        (token.as_str(), lines, stalled, 204, ""),
        (&token, json, "[{\"cid\": \"world-feed\", \"bs\": true}]", 204, ""),
        (VIEWER_KEY, lines, stalled, 204, ""),
        ("", lines, stalled, 401, "key-missing"),
        ("wrong", lines, stalled, 401, "key-invalid"),
        (&token, lines, "cid=\"pit-lane\",bs", 401, "key-invalid"),
        (VIEWER_KEY, lines, "cid=\"pit-lane\",bs", 404, "not-found"),
        (&token, lines, "bs", 400, "bad-body"),
        (&token, json, "{", 400, "bad-body"),
        (&token, "text/html", "<p>", 415, "not-cmcd"),
        (&token, lines, &huge, 413, "body-too-large"),
    ] {
        let query = if key.is_empty() { String::new() } else { format!("?key={key}") };
        let request = player.post(edge.url(&format!("/api/cmcd{query}")));
        let request = request.header("content-type", content_type).body(body.to_owned());
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{content_type} {body:.60}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert!(response.text().await.unwrap().contains(name), "{content_type} {body:.60}");
    }
    let wrong_method = get(&player, &edge, "/api/cmcd").await;
    assert_eq!(
        (wrong_method.status().as_u16(), &wrong_method.headers()["allow"]),
        (405, &"POST, OPTIONS".parse().unwrap())
    );
    let preflight = player.request(reqwest::Method::OPTIONS, edge.url("/api/cmcd"));
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-methods"], "POST, OPTIONS");
}
