//! Denied targets: links lead only to URLs that the edge sealed or that the configuration allows.

use axum::Router;
use axum::routing::get;

use crate::support::{Edge, fetch, plain_link, run_pitwall};

/// Asserts that `url` is refused on every route with this status and problem.
async fn assert_refused(edge: &Edge, url: &str, status: u16, problem: &str) {
    for route in ["/proxy", "/relay", "/relay/1.ts"] {
        let response = fetch(&edge.url(&plain_link(route, url))).await.unwrap();
        let got = response.status().as_u16();
        let text = response.text().await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(got, status, "{route} {url}: {text}");
        assert_eq!(json["type"], format!("urn:pitwall:problem:{problem}"), "{route} {url}");
    }
}

#[tokio::test]
async fn a_fresh_edge_is_no_open_proxy() {
    let edge = Edge::start("[schedule]\nproviders = []\n").await;
    for url in ["http://example.com/x.m3u8", "http://127.0.0.1:80/", "https://1.1.1.1/"] {
        assert_refused(&edge, url, 403, "target-denied").await;
    }
}

#[tokio::test]
async fn invalid_urls_are_refused() {
    let edge = Edge::start("[schedule]\nproviders = []\n").await;
    for url in [
        "",
        "playlist.m3u8",
        "//example.com/x",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "javascript:alert(1)",
        "data:text/plain,x",
        "http://user@example.com/",
        "http://user:pass@example.com/",
        "http://example.com/#x",
        "http://example.com/%0d%0aX: y",
        "http://example.com\\@evil.example/",
        "http://example.com:0/",
        "http://example.com:70000/",
        "http://[fe80::1%25eth0]/",
        "http://exa mple.com/",
        "http://example.com/\u{1}",
    ] {
        assert_refused(&edge, url, 400, "bad-url").await;
    }
    let encoded = plain_link("/proxy", "http://example.com/");
    let (_, value) = encoded.split_once('=').unwrap();
    for query in [
        format!("/proxy?url={value}&url={value}"),
        format!("/proxy?url={value}&u={value}"),
        format!("/proxy?url={value}=="),
        "/proxy?url=not+base64".to_owned(),
        "/proxy?url=__79_Pv6".to_owned(),
    ] {
        let response = fetch(&edge.url(&query)).await.unwrap();
        assert_eq!(response.status(), 400, "{query}");
    }
    let long = plain_link("/proxy", &format!("http://example.com/{}", "a".repeat(13_000)));
    assert_eq!(fetch(&edge.url(&long)).await.unwrap().status(), 414);
}

/// A host in `allow_hosts` is still refused when it resolves to a private address.
#[tokio::test]
async fn private_addresses_are_denied_in_every_spelling() {
    let hosts = [
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "100.64.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
        "localhost",
        "localhost.",
    ];
    let allowed = hosts.map(|host| format!("\"{host}\"")).join(", ");
    let config = format!(
        "[schedule]\nproviders = []\n[upstream]\nallow_hosts = [{allowed}, \"127.0.0.1:22\"]\n"
    );
    let edge = Edge::start(&config).await;
    for host in hosts {
        assert_refused(&edge, &format!("http://{host}/x"), 403, "target-denied").await;
    }
    for port in [22, 6379, 8081] {
        assert_refused(&edge, &format!("http://127.0.0.1:{port}/"), 403, "target-denied").await;
    }
}

/// Cloud metadata addresses and the edge's own listeners are refused whatever the configuration
/// allows.
#[tokio::test]
async fn metadata_and_own_listeners_are_always_denied() {
    let address = crate::support::free_address();
    let config = format!(
        "[schedule]\nproviders = []\n[upstream]\n\
         allow_hosts = [\"169.254.169.254\", \"{address}\", \"localhost:{}\"]\n\
         allow_private = [\"169.254.0.0/16\", \"127.0.0.0/8\", \"::1/128\"]\n",
        address.port()
    );
    let edge = Edge::start_on(address, &config).await;
    assert_refused(&edge, "http://169.254.169.254/latest/meta-data", 403, "target-denied").await;
    assert_refused(&edge, &format!("http://{address}/healthz"), 403, "target-denied").await;
    assert_refused(
        &edge,
        &format!("http://localhost:{}/healthz", address.port()),
        403,
        "target-denied",
    )
    .await;
}

#[tokio::test]
async fn links_of_pitwall_sign_are_served() {
    let router = Router::new()
        .route("/x.m3u8", get(|| async { "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n1.ts\n" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = format!(
        "[schedule]\nproviders = []\n[upstream]\nallow_hosts = [\"{upstream}\"]\n\
         allow_private = [\"127.0.0.0/8\"]\n"
    );
    let edge = Edge::start(&config).await;
    let url = format!("http://{upstream}/x.m3u8");
    let mut lengths = Vec::new();
    for (arguments, status) in [
        (&["sign", &url, "--config", "pitwall.toml"][..], 200),
        (&["sign", &url, "--ttl", "1h", "--config", "pitwall.toml"], 200),
    ] {
        let (code, printed, error) = run_pitwall(arguments, edge.directory());
        assert_eq!(code, 0, "{error}");
        let links: Vec<&str> = printed.lines().collect();
        let [playlist, media] = links.as_slice() else { panic!("{printed}") };
        assert!(playlist.starts_with("/proxy?u=") && media.starts_with("/relay?u="), "{printed}");
        assert!(!printed.contains("127.0.0.1"), "{printed}");
        assert_eq!(fetch(&edge.url(playlist)).await.unwrap().status(), status);
        assert_eq!(fetch(&edge.url(media)).await.unwrap().status(), status);
        // The links of a playlist whose seal expires carry its expiry, which makes them longer.
        let children = fetch(&edge.url(playlist)).await.unwrap().text().await.unwrap();
        lengths.push(children.lines().find(|line| !line.starts_with('#')).unwrap().len());
        // A seal is valid on its own route only.
        let swapped = media.replace("/relay", "/proxy");
        assert_eq!(fetch(&edge.url(&swapped)).await.unwrap().status(), 401);
    }
    assert!(lengths[1] > lengths[0], "{lengths:?}");
    for (arguments, message) in [
        (&["sign", "ftp://x/", "--config", "pitwall.toml"][..], "only http and https"),
        (&["sign", &url, "--ttl", "48h", "--config", "pitwall.toml"], "between 1s and 24h"),
    ] {
        let (code, _, error) = run_pitwall(arguments, edge.directory());
        assert!(code > 0 && error.contains(message), "{code} {error}");
    }
}
