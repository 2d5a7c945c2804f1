//! `[access] mode = "key"`: who is let in, and how a player gets everywhere from one address.

use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use crate::live::upstream;
use crate::support::{Edge, eventually, plain};

const KEY: &str = "the-key-of-everybody-who-watches-here";
const ADMIN: &str = "an-admin-token-of-enough-characters";

/// Two edges that have nothing in common but their secrets.
async fn edges() -> [Edge; 2] {
    let (source, _upstream) = upstream().await;
    let config = |folder: &str| {
        format!(
            "[schedule]\nproviders = []\n[access]\nmode = \"key\"\nkey_file = \"{folder}/key\"\n\
             seal_key_file = \"{folder}/seal\"\nadmin_token_file = \"{folder}/admin\"\n\
             [upstream]\nallow_hosts = [\"{source}\"]\nallow_private = [\"127.0.0.0/8\"]\n\
             [[source]]\nname = \"s\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"http://{source}/live/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n"
        )
    };
    let secrets = tempfile::tempdir().unwrap();
    let folder = secrets.path().to_str().unwrap().to_owned();
    for (name, secret) in [("key", KEY), ("admin", ADMIN), ("seal", &"s".repeat(40))] {
        std::fs::write(secrets.path().join(name), secret).unwrap();
    }
    let config = config(&folder);
    let edges = [Edge::start(&config).await, Edge::start(&config).await];
    for edge in &edges {
        eventually("it plays", || async {
            let stream = get(&client(), edge, &format!("/api/streams/world-feed?key={KEY}")).await;
            (stream.status() == 200).then_some(())
        })
        .await;
    }
    edges
}

/// As a browser is, but for redirects.
fn client() -> Client {
    // Tests run side by side: whoever comes second finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

async fn get(client: &Client, edge: &Edge, path: &str) -> Response {
    client.get(edge.url(path)).send().await.unwrap()
}

/// The links of a playlist, also those in attributes.
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
    let [one, two] = edges().await;
    let player = client();
    let entry = format!("/live/world-feed/index.m3u8?key={KEY}");
    let answer = get(&player, &one, &entry).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*", "of any origin");
    let master = answer.text().await.unwrap();
    assert!(!master.contains(KEY), "the key itself travels no further");
    let renditions = links(&master);
    assert_eq!(renditions.len(), 3, "{master}");
    for (place, rendition) in renditions.iter().enumerate() {
        // Nobody sticks to an edge.
        let (here, there) = if place % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let path = format!("/live/world-feed/{rendition}");
        let media = get(&player, here, &path).await;
        assert_eq!(media.status(), 200, "{path}");
        let media = media.text().await.unwrap();
        let segments = links(&media);
        assert_eq!(segments.len(), 4, "{media}");
        for segment in segments {
            assert_eq!(get(&player, there, segment).await.status(), 200, "{segment}");
        }
        let token = rendition.split_once("?key=").unwrap().1;
        let again = get(&player, there, &format!("/live/world-feed/index.m3u8?key={token}")).await;
        assert!(again.text().await.unwrap().contains(token), "a token is carried on");
        let other = get(&player, here, &format!("/api/streams?key={token}")).await;
        assert_eq!(other.status(), 401, "it opens its stream alone");
    }
    let list = get(&player, &one, &format!("/iptv/playlist.m3u?key={KEY}")).await;
    let list = list.text().await.unwrap();
    let channel = list.lines().find(|line| line.starts_with("http")).unwrap();
    let (_, path) = channel.split_once("/live/").unwrap();
    assert_eq!(get(&player, &two, &format!("/live/{path}")).await.status(), 200, "{list}");
    let guide = list.split('"').nth(1).unwrap().split_once("/iptv/").unwrap().1;
    assert_eq!(get(&player, &two, &format!("/iptv/{guide}")).await.status(), 200, "{list}");
}

#[tokio::test]
async fn whoever_has_no_key_gets_nothing() {
    let [edge, other] = edges().await;
    let stranger = client();
    let upstream = plain("/relay", "http://127.0.0.1:1/x.ts");
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
        let answer = get(&stranger, &edge, path).await;
        assert_eq!(answer.status(), status, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(name), "{path}: {text}");
    }
    let commanded = stranger.get(edge.url("/api/extractors/s/trace")).bearer_auth(ADMIN).send();
    assert_eq!(commanded.await.unwrap().status(), 200, "an operator needs no other key");

    // A browser shows it once, on any edge, and has a cookie from then on.
    let welcome = get(&stranger, &edge, &format!("/watch/world-feed?a=1&key={KEY}&b=2")).await;
    assert_eq!(welcome.status(), 303);
    assert_eq!(welcome.headers()["location"], "/watch/world-feed?a=1&b=2", "without the key");
    let cookie = welcome.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && !cookie.contains(KEY), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    for path in ["/", "/api/bootstrap", "/live/world-feed/index.m3u8", "/calendar.ics"] {
        let request = stranger.get(other.url(path)).header("cookie", cookie);
        assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
    }
}

/// One secret for what an operator does, and it is no way in for viewers; nor is theirs to commands.
#[tokio::test]
async fn the_admin_token_alone_reads_what_it_may_change() {
    let [edge, _] = edges().await;
    let client = client();
    for (path, status) in [
        ("/api/streams/world-feed/explain", 200),
        ("/api/streams/world-feed", 200),
        ("/api/streams", 200),
        ("/api/extractors", 200),
        ("/api/extractors/s/trace", 200),
        ("/api/status", 200),
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
        let answer = client.get(edge.url(path)).bearer_auth(ADMIN).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert!(!answer.headers().contains_key("set-cookie"), "{path}");
        let wrong = client.get(edge.url(path)).bearer_auth(KEY).send().await.unwrap();
        assert_eq!(wrong.status(), 401, "{path}");
    }
    for (path, authorization, name) in [
        (format!("/api/extractors/s/run?key={KEY}"), None, "admin-token-missing"),
        (format!("/api/streams/world-feed/switch?key={KEY}"), None, "admin-token-missing"),
        ("/api/extractors/s/run".to_owned(), Some(KEY), "admin-token-invalid"),
    ] {
        let request = client.post(edge.url(&path));
        let request = match authorization {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(name), "{path}: {text}");
    }
}

/// A form for whoever navigates, a problem for everything that asks otherwise.
#[tokio::test]
async fn a_person_is_asked_for_the_key() {
    let [edge, _] = edges().await;
    let client = client();
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let (html, json) = ("text/html; charset=utf-8", "application/problem+json");
    for (path, accept, content_type, says) in [
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
        let answer = client.get(edge.url(path)).header("accept", accept).send().await.unwrap();
        let status = if says == "bad-url" { 400 } else { 401 };
        assert_eq!(answer.status(), status, "{path} {accept}");
        let headers = answer.headers();
        assert_eq!(headers["content-type"], content_type, "{path} {accept}");
        assert_eq!(headers["cache-control"], "no-store", "{path} {accept}");
        assert!(!headers.contains_key("set-cookie"), "{path} {accept}");
        if content_type == html {
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        }
        let text = answer.text().await.unwrap();
        assert!(text.contains(says), "{path} {accept}: {text}");
        assert!(!text.contains("wrong"), "what was shown is not said again: {text}");
    }
    // What it is made of is there without the key, and nothing else of the page is.
    for (path, status) in [("/favicon.svg", 200), ("/_app/none.css", 404), ("/index.html", 401)] {
        assert_eq!(get(&client, &edge, path).await.status(), status, "{path}");
    }
}

/// Reports are taken from players of any origin that were let in to what they report of.
#[tokio::test]
async fn players_post_how_they_fare() {
    let [edge, _] = edges().await;
    let player = client();
    let master = get(&player, &edge, &format!("/live/world-feed/index.m3u8?key={KEY}")).await;
    let master = master.text().await.unwrap();
    let token = links(&master)[0].split_once("?key=").unwrap().1.to_owned();
    let (json, lines) = ("application/json", "application/cmcd");
    let stalled = "e=ps,sta=r,cid=\"world-feed\",sid=\"6e2f\",v=2\ncid=\"world-feed\",bs";
    let huge = "cid=\"world-feed\"\n".repeat(4000);
    for (key, content_type, body, status, name) in [
        (token.as_str(), lines, stalled, 204, ""),
        (&token, json, "[{\"cid\": \"world-feed\", \"bs\": true}]", 204, ""),
        (KEY, lines, stalled, 204, ""),
        ("", lines, stalled, 401, "key-missing"),
        ("wrong", lines, stalled, 401, "key-invalid"),
        (&token, lines, "cid=\"pit-lane\",bs", 401, "key-invalid"),
        (KEY, lines, "cid=\"pit-lane\",bs", 404, "not-found"),
        (&token, lines, "bs", 400, "bad-body"),
        (&token, json, "{", 400, "bad-body"),
        (&token, "text/html", "<p>", 415, "not-cmcd"),
        (&token, lines, &huge, 413, "body-too-large"),
    ] {
        let query = if key.is_empty() { String::new() } else { format!("?key={key}") };
        let request = player.post(edge.url(&format!("/api/cmcd{query}")));
        let request = request.header("content-type", content_type).body(body.to_owned());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{content_type} {body:.60}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert!(answer.text().await.unwrap().contains(name), "{content_type} {body:.60}");
    }
    let asked = get(&player, &edge, "/api/cmcd").await;
    assert_eq!(
        (asked.status().as_u16(), &asked.headers()["allow"]),
        (405, &"POST, OPTIONS".parse().unwrap())
    );
    let preflight = player.request(reqwest::Method::OPTIONS, edge.url("/api/cmcd"));
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-methods"], "POST, OPTIONS");
}
