//! `[edge] public_url` with a path: whatever the edge links to lies below that path, both behind a
//! proxy that passes the path on and behind one that strips it.

use reqwest::redirect::Policy;
use url::Url;

use crate::live::start_upstream;
use crate::support::{Edge, client_builder, eventually, plain_link, run_pitwall};

const KEY: &str = "the-key-of-everybody-who-watches-here";
const PUBLIC_URL: &str = "http://tv.example/tv/pitwall";

/// What a document of this kind links to.
fn links(content_type: &str, text: &str) -> Vec<String> {
    let quoted = |start: &str| -> Vec<String> {
        let found = text.split(start).skip(1).filter_map(|rest| rest.split('"').next());
        found.map(str::to_owned).collect()
    };
    let kind = content_type.split(';').next().unwrap();
    match kind {
        "application/vnd.apple.mpegurl" | "audio/x-mpegurl" => {
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            [lines.map(str::to_owned).collect(), quoted("URI=\""), quoted("-tvg=\"")].concat()
        }
        "text/html" => [quoted(" href=\""), quoted(" src=\"")].concat(),
        "application/json" => [quoted("\"playlist\":\""), quoted("\"url\":\"")].concat(),
        "application/xml" => {
            let urls = text.split("<url>").skip(1);
            urls.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
        }
        _ => panic!("{content_type}: {text}"),
    }
}

#[tokio::test]
async fn every_link_lies_below_the_public_path() {
    let (source, _upstream) = start_upstream().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), KEY).unwrap();
    let config = format!(
        "[edge]\npublic_url = \"{PUBLIC_URL}/\"\n[schedule]\nproviders = []\n\
         [access]\nmode = \"key\"\nkey_file = {:?}\n\
         [upstream]\nallow_hosts = [\"{source}\"]\nallow_private = [\"127.0.0.0/8\"]\n\
         [[source]]\nname = \"s\"\nkind = \"static\"\nfeed = \"World feed\"\n\
         url = \"http://{source}/live/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n",
        folder.path().join("key"),
    );
    let edge = Edge::start(&config).await;
    let client = client_builder().redirect(Policy::none()).build().unwrap();
    let get = |path: String, accept: &'static str| {
        client.get(edge.url(&path)).header("accept", accept).send()
    };
    let with_key = |path: &str| {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}key={KEY}")
    };
    let media_path = "/live/world-feed/v720-avc.m3u8";
    eventually("it plays", || async {
        let response = get(with_key(media_path), "*/*").await.ok()?;
        (response.status() == 200).then_some(())
    })
    .await;

    let proxied = |name| plain_link("/proxy", &format!("http://{source}/live/{name}.m3u8"));
    // Path, and how many links there are at least.
    for (path, count) in [
        (with_key("/live/world-feed/index.m3u8"), 3),
        (with_key(media_path), 4),
        (with_key(&proxied("master")), 3),
        (with_key(&proxied("high")), 4),
        (with_key("/iptv/playlist.m3u"), 2),
        (with_key("/iptv/guide.xml"), 1),
        (with_key("/api/streams"), 1),
        (with_key("/api/streams/world-feed"), 1),
        (with_key("/api/bootstrap"), 1),
        (with_key("/api/openapi.json"), 1),
        // The login page.
        ("/watch/2026:a:b:race".to_owned(), 2),
        ("/".to_owned(), 2),
    ] {
        for prefix in ["", "/tv/pitwall"] {
            let response = get(format!("{prefix}{path}"), "text/html, */*").await.unwrap();
            let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
            let text = response.text().await.unwrap();
            let found = links(&content_type, &text);
            assert!(found.len() >= count, "{prefix}{path}: {found:?} in {text}");
            let base = Url::parse(&format!("{PUBLIC_URL}{path}")).unwrap();
            for link in found {
                let url = base.join(&link).unwrap();
                assert!(url.as_str().starts_with(PUBLIC_URL), "{prefix}{path}: {link}");
                let passed_on = url.as_str().strip_prefix("http://tv.example").unwrap();
                let stripped = url.as_str().strip_prefix(PUBLIC_URL).unwrap();
                if stripped.is_empty() {
                    continue; // The server of the OpenAPI document.
                }
                // The page may not be built, and the one source's playlist moves on.
                let is_page = content_type.starts_with("text/html");
                for requested in [passed_on, stripped] {
                    let status = get(requested.to_owned(), "*/*").await.unwrap().status();
                    let expected = [200, if is_page { 404 } else { 200 }];
                    let expected = match content_type.as_str() {
                        "application/json" | "application/xml; charset=utf-8" => [401, 401],
                        _ => expected,
                    };
                    assert!(expected.contains(&status.as_u16()), "{requested}: {status}");
                }
            }
        }
    }

    // Location, and the path of the cookie.
    for (path, status, location) in [
        (with_key("/watch/2026:a:b:race?l=2"), 303, "/watch/2026:a:b:race?l=2"),
        (with_key("/"), 303, "/"),
        (with_key("/watch"), 303, "/watch"),
    ] {
        for prefix in ["", "/tv/pitwall"] {
            let redirect = get(format!("{prefix}{path}"), "text/html").await.unwrap();
            assert_eq!(redirect.status(), status, "{prefix}{path}");
            let base = Url::parse(&format!("{PUBLIC_URL}{path}")).unwrap();
            let target = base.join(redirect.headers()["location"].to_str().unwrap()).unwrap();
            assert_eq!(target.as_str(), format!("{PUBLIC_URL}{location}"));
            let cookie = redirect.headers()["set-cookie"].to_str().unwrap();
            assert!(cookie.contains("; Path=/tv/pitwall; "), "{cookie}");
        }
    }
    let directory = get(with_key("/tv/pitwall"), "text/html").await.unwrap();
    assert_eq!(directory.status(), 308);
    assert_eq!(directory.headers()["location"], format!("/tv/pitwall/?key={KEY}"));
    assert_eq!(get("/tv/pitwalls/".to_owned(), "*/*").await.unwrap().status(), 401);

    // The commands print links below the path too.
    let config = edge.directory().join("pitwall.toml");
    let media = format!("http://{source}/live/high.m3u8");
    let arguments = ["sign", &media, "--config", config.to_str().unwrap()];
    let (code, printed, _) = run_pitwall(&arguments, edge.directory());
    assert_eq!(code, 0);
    let below = printed.lines().next().unwrap().strip_prefix(&format!("{PUBLIC_URL}/proxy?u="));
    let link = format!("/tv/pitwall/proxy?u={}", below.unwrap());
    assert_eq!(get(link, "*/*").await.unwrap().status(), 200);
}
