use serde_json::{Value, json};

use super::cdp::Message;
use super::watch::{About, Watch};
use super::*;
use crate::source::Source;
use pitwall_fetch::{Fetcher, Policy, Timeouts};

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";

fn source(keys: &str) -> Source {
    let text = format!(
        "[[source]]\nname = 'a'\nkind = 'browser'\nfeed = 'World feed'\nurl = 'https://a.example/app'\n{keys}"
    );
    Source::parse_file(&text).unwrap_or_else(|error| panic!("{error}")).remove(0)
}

fn seen(url: &str, body: &str) -> Seen {
    Seen { url: url.to_owned(), status: 200, body: body.to_owned(), ..Seen::default() }
}

#[test]
fn picking() {
    let master = || seen("https://a/m.m3u8?e=1767225600", MASTER);
    let media = || seen("https://a/v.m3u8", MEDIA);
    for (requests, only, expected) in [
        (vec![media(), master(), master()], "", vec!["https://a/m.m3u8?e=1767225600"]),
        (
            vec![media(), seen("https://b/v.m3u8#t", MEDIA)],
            "",
            vec!["https://a/v.m3u8", "https://b/v.m3u8"],
        ),
        (vec![media(), seen("https://b/v.m3u8", MEDIA)], "//b/", vec!["https://b/v.m3u8"]),
        (vec![seen("https://a/m.m3u8", "<html>")], "", vec![]),
        (vec![Seen { status: 403, ..master() }], "", vec![]),
        (vec![seen("https://a/live", MASTER)], "", vec![]),
        (
            vec![Seen { mime: "application/x-mpegURL".into(), ..seen("https://a/live", MASTER) }],
            "",
            vec!["https://a/live"],
        ),
        (vec![seen("blob:https://a/m.m3u8", MASTER)], "", vec![]),
    ] {
        let only = (!only.is_empty()).then(|| Regex::new(only).unwrap());
        let found = pick::candidates(&requests, only.as_ref(), &source(""));
        let urls: Vec<&str> = found.iter().map(|it| it.playlist.as_str()).collect();
        assert_eq!(urls, expected);
    }
    let text = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let headers = text(&[
        (":authority", "a"),
        ("User-Agent", "UA"),
        ("referer", "https://a/"),
        ("cookie", "s=1"),
        ("sec-ch-ua", "x"),
        ("accept-encoding", "br"),
        ("x-token", "t"),
        ("host", "a"),
    ]);
    let found = pick::candidates(&[Seen { headers, ..master() }], None, &source("")).remove(0);
    let kept = text(&[
        ("User-Agent", "UA"),
        ("referer", "https://a/"),
        ("cookie", "s=1"),
        ("x-token", "t"),
    ]);
    assert_eq!(found.headers, kept);
    assert!(found.expires_at.is_some());
}

#[tokio::test]
async fn watching() {
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let outbound = Outbound::open(Arc::new(fetcher), Policy::default()).await.unwrap();
    let url = Url::parse("https://a.example/app").unwrap();
    let headers = [("X-Key".to_owned(), "k".to_owned())];
    let click = ["button.play".to_owned()];
    let visit = Visit { url: &url, click: &click, headers: &headers, outbound: &outbound };
    let mut watch = Watch::new(&visit, "page".to_owned());
    let event = |method: &str, parameters: Value| Message {
        session: Some("page".into()),
        method: method.into(),
        parameters,
        ..Message::default()
    };
    let mut tell = |method: &str, parameters: Value| {
        let calls = watch.handle(event(method, parameters)).into_iter();
        calls.map(|(call, about)| (call.method, call.parameters, about)).collect::<Vec<_>>()
    };

    // Headers of the source go to its origin and nowhere else; only the proxy gets an answer.
    for (request, expected) in [
        (
            "https://a.example/x",
            json!([{"name": "A", "value": "1"}, {"name": "X-Key", "value": "k"}]),
        ),
        ("https://cdn.example/x", Value::Null),
    ] {
        let request = json!({"requestId": "f", "request": {"url": request, "headers": {"A": "1"}}});
        let calls = tell("Fetch.requestPaused", request);
        assert_eq!((calls[0].0, &calls[0].1["headers"]), ("Fetch.continueRequest", &expected));
    }
    for (who, expected) in [("Proxy", "ProvideCredentials"), ("Server", "CancelAuth")] {
        let calls =
            tell("Fetch.authRequired", json!({"requestId": "f", "authChallenge": {"source": who}}));
        assert_eq!(calls[0].1["authChallengeResponse"]["response"], expected);
    }

    // A redirect keeps the first URL and its headers.
    let ask =
        |url: &str| json!({"requestId": "1", "request": {"url": url, "headers": {"Referer": "r"}}});
    tell("Network.requestWillBeSent", ask("https://a.example/m.m3u8"));
    tell(
        "Network.requestWillBeSentExtraInfo",
        json!({"requestId": "1", "headers": {"cookie": "s=1", "referer": "r"}}),
    );
    tell("Network.requestWillBeSent", ask("https://cdn.example/e7/m.m3u8"));
    tell(
        "Network.requestWillBeSentExtraInfo",
        json!({"requestId": "1", "headers": {"cookie": "s=2"}}),
    );
    tell(
        "Network.responseReceived",
        json!({"requestId": "1", "response": {"status": 200, "mimeType": "application/vnd.apple.mpegurl"}}),
    );
    let calls = tell("Network.loadingFinished", json!({"requestId": "1"}));
    assert_eq!(calls[0].0, "Network.getResponseBody");
    assert!(tell("Network.loadingFinished", json!({"requestId": "unknown"})).is_empty());
    let inner =
        tell("Target.attachedToTarget", json!({"sessionId": "frame", "waitingForDebugger": true}));
    let methods: Vec<_> = inner.iter().map(|(method, _, _)| *method).collect();
    assert_eq!(methods.last(), Some(&"Runtime.runIfWaitingForDebugger"));

    watch.sent(7, About::Body(("page".into(), "1".into())));
    assert!(!watch.has_playlist());
    watch.handle(Message { id: Some(7), result: json!({"body": MASTER}), ..Message::default() });
    assert!(watch.has_playlist());

    // A click is repeated until something was there to be clicked, and then is done.
    for (clicked, again) in [(false, true), (true, false)] {
        let (call, about) = watch.click().unwrap();
        assert_eq!(call.method, "Runtime.evaluate");
        watch.sent(9, about);
        assert!(watch.click().is_none(), "one at a time");
        let result = json!({"result": {"value": clicked}});
        watch.handle(Message { id: Some(9), result, ..Message::default() });
        assert_eq!(watch.click().is_some(), again);
    }

    let playlists = watch.playlists();
    assert_eq!(playlists.len(), 1);
    assert_eq!(playlists[0].url, "https://a.example/m.m3u8");
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(playlists[0].headers, [pair("Referer", "r"), pair("cookie", "s=1")]);
}

#[test]
fn settings() {
    for (keys, expected) in [
        ("match = '('", "not a pattern"),
        ("clicks = []", "unknown field `clicks`"),
        ("wait = '0s'", "longer than nothing"),
    ] {
        let text = format!(
            "[[source]]\nname='a'\nkind='browser'\nfeed='f'\nurl='https://a.example/'\n{keys}"
        );
        let error = Source::parse_file(&text).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
    assert_eq!(source("match = 'x'\nclick = ['a']\nwait = '5s'").kind(), "browser");
}
