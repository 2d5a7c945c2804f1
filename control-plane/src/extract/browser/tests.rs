use serde_json::{Value, json};

use super::cdp::CdpMessage;
use super::monitor::{CallPurpose, NetworkMonitor};
use super::*;
use crate::extract::ConfiguredSource;
use pitwall_fetch::{AddressPolicy, Fetcher, Timeouts};

const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n";
const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";

fn source(keys: &str) -> ConfiguredSource {
    let text = format!(
        "[[source]]\nname = 'a'\nkind = 'browser'\nfeed = 'World feed'\nurl = 'https://a.example/app'\n{keys}"
    );
    ConfiguredSource::parse_file(&text).unwrap_or_else(|error| panic!("{error}")).remove(0)
}

fn captured(url: &str, body: &str) -> CapturedRequest {
    CapturedRequest {
        url: url.to_owned(),
        status: 200,
        body: body.to_owned(),
        ..CapturedRequest::default()
    }
}

#[test]
fn multivariant_playlists_are_selected_else_media_playlists() {
    let multivariant = || captured("https://a/m.m3u8?e=1767225600", MULTIVARIANT);
    let media = || captured("https://a/v.m3u8", MEDIA);
    for (requests, only, expected) in [
        (vec![media(), multivariant(), multivariant()], "", vec!["https://a/m.m3u8?e=1767225600"]),
        (
            vec![media(), captured("https://b/v.m3u8#t", MEDIA)],
            "",
            vec!["https://a/v.m3u8", "https://b/v.m3u8"],
        ),
        (vec![media(), captured("https://b/v.m3u8", MEDIA)], "//b/", vec!["https://b/v.m3u8"]),
        (vec![captured("https://a/m.m3u8", "<html>")], "", vec![]),
        (vec![CapturedRequest { status: 403, ..multivariant() }], "", vec![]),
        (vec![captured("https://a/live", MULTIVARIANT)], "", vec![]),
        (
            vec![CapturedRequest {
                mime: "application/x-mpegURL".into(),
                ..captured("https://a/live", MULTIVARIANT)
            }],
            "",
            vec!["https://a/live"],
        ),
        (vec![captured("blob:https://a/m.m3u8", MULTIVARIANT)], "", vec![]),
    ] {
        let only = (!only.is_empty()).then(|| Regex::new(only).unwrap());
        let found = selection::select_candidates(&requests, only.as_ref(), &source(""));
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
    let found = selection::select_candidates(
        &[CapturedRequest { headers, ..multivariant() }],
        None,
        &source(""),
    )
    .remove(0);
    let expected = text(&[
        ("User-Agent", "UA"),
        ("referer", "https://a/"),
        ("cookie", "s=1"),
        ("x-token", "t"),
    ]);
    assert_eq!(found.headers, expected);
    assert!(found.expires_at.is_some());
}

#[tokio::test]
async fn a_page_is_monitored_clicked_and_its_playlists_captured() {
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let egress = EgressProxy::start(Arc::new(fetcher), AddressPolicy::default()).await.unwrap();
    let url = Url::parse("https://a.example/app").unwrap();
    let headers = [("X-Key".to_owned(), "k".to_owned())];
    let click = ["button.play".to_owned()];
    let run = BrowserRun { url: &url, click_selectors: &click, headers: &headers, egress: &egress };
    let mut monitor = NetworkMonitor::new(&run, "page".to_owned());
    let event = |method: &str, parameters: Value| CdpMessage {
        session: Some("page".into()),
        method: method.into(),
        parameters,
        ..CdpMessage::default()
    };
    let mut send_event = |method: &str, parameters: Value| {
        let calls = monitor.handle_message(event(method, parameters)).into_iter();
        calls.map(|(call, purpose)| (call.method, call.parameters, purpose)).collect::<Vec<_>>()
    };

    // The source's headers are sent to its origin only; only the proxy's challenge gets
    // credentials.
    for (request, expected) in [
        (
            "https://a.example/x",
            json!([{"name": "A", "value": "1"}, {"name": "X-Key", "value": "k"}]),
        ),
        ("https://cdn.example/x", Value::Null),
    ] {
        let request = json!({"requestId": "f", "request": {"url": request, "headers": {"A": "1"}}});
        let calls = send_event("Fetch.requestPaused", request);
        assert_eq!((calls[0].0, &calls[0].1["headers"]), ("Fetch.continueRequest", &expected));
    }
    for (who, expected) in [("Proxy", "ProvideCredentials"), ("Server", "CancelAuth")] {
        let calls = send_event(
            "Fetch.authRequired",
            json!({"requestId": "f", "authChallenge": {"source": who}}),
        );
        assert_eq!(calls[0].1["authChallengeResponse"]["response"], expected);
    }

    // A redirect does not replace the first URL and its headers.
    let request =
        |url: &str| json!({"requestId": "1", "request": {"url": url, "headers": {"Referer": "r"}}});
    send_event("Network.requestWillBeSent", request("https://a.example/m.m3u8"));
    send_event(
        "Network.requestWillBeSentExtraInfo",
        json!({"requestId": "1", "headers": {"cookie": "s=1", "referer": "r"}}),
    );
    send_event("Network.requestWillBeSent", request("https://cdn.example/e7/m.m3u8"));
    send_event(
        "Network.requestWillBeSentExtraInfo",
        json!({"requestId": "1", "headers": {"cookie": "s=2"}}),
    );
    send_event(
        "Network.responseReceived",
        json!({"requestId": "1", "response": {"status": 200, "mimeType": "application/vnd.apple.mpegurl"}}),
    );
    let calls = send_event("Network.loadingFinished", json!({"requestId": "1"}));
    assert_eq!(calls[0].0, "Network.getResponseBody");
    assert!(send_event("Network.loadingFinished", json!({"requestId": "unknown"})).is_empty());
    let inner = send_event(
        "Target.attachedToTarget",
        json!({"sessionId": "frame", "waitingForDebugger": true}),
    );
    let methods: Vec<_> = inner.iter().map(|(method, _, _)| *method).collect();
    assert_eq!(methods.last(), Some(&"Runtime.runIfWaitingForDebugger"));

    monitor.register_call(7, CallPurpose::Body(("page".into(), "1".into())));
    assert!(!monitor.has_playlist());
    monitor.handle_message(CdpMessage {
        id: Some(7),
        result: json!({"body": MULTIVARIANT}),
        ..CdpMessage::default()
    });
    assert!(monitor.has_playlist());

    // A click is repeated until its selector matches an element, and then not again.
    for (clicked, again) in [(false, true), (true, false)] {
        let (call, purpose) = monitor.next_click().unwrap();
        assert_eq!(call.method, "Runtime.evaluate");
        monitor.register_call(9, purpose);
        assert!(monitor.next_click().is_none(), "one at a time");
        let result = json!({"result": {"value": clicked}});
        monitor.handle_message(CdpMessage { id: Some(9), result, ..CdpMessage::default() });
        assert_eq!(monitor.next_click().is_some(), again);
    }

    let playlists = monitor.into_playlists();
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
        let error = ConfiguredSource::parse_file(&text).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }
    assert_eq!(source("match = 'x'\nclick = ['a']\nwait = '5s'").kind, "browser");
}
