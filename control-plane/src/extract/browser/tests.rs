use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::cdp::CdpMessage;
use super::monitor::{CallPurpose, NetworkMonitor};
use super::run::MonitoredPage;
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

fn event(session: &str, method: &str, parameters: Value) -> CdpMessage {
    CdpMessage {
        session: Some(session.to_owned()),
        method: method.to_owned(),
        parameters,
        ..CdpMessage::default()
    }
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
        (vec![captured("https://a/live", MULTIVARIANT)], "", vec!["https://a/live"]),
        (
            vec![CapturedRequest {
                mime: "text/html".into(),
                ..captured("https://a/live", MULTIVARIANT)
            }],
            "",
            vec![],
        ),
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
async fn a_page_is_monitored_and_its_playlists_captured() {
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let egress = LoopbackProxy::start(Arc::new(fetcher), AddressPolicy::default()).await.unwrap();
    let url = Url::parse("https://a.example/app").unwrap();
    let headers = [("X-Key".to_owned(), "k".to_owned())];
    let mut monitor = NetworkMonitor::new(&url, &headers, &egress, true);
    let mut send_event = |method: &str, parameters: Value| {
        let calls = monitor.handle_message(event("page", method, parameters)).into_iter();
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

    let playlists = monitor.into_playlists();
    assert_eq!(playlists.len(), 1);
    assert_eq!(playlists[0].url, "https://a.example/m.m3u8");
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(playlists[0].headers, [pair("Referer", "r"), pair("cookie", "s=1")]);
}

/// Sends events of a session to a monitor, and the body of each request that it asks for.
fn send_events(monitor: &mut NetworkMonitor<'_>, session: &str, events: &[(&str, Value, &str)]) {
    for ((method, parameters, body), id) in events.iter().zip(100..) {
        let calls = monitor.handle_message(event(session, method, parameters.clone()));
        for (_, purpose) in calls {
            monitor.register_call(id, purpose);
            let result = json!({"body": body});
            monitor.handle_message(CdpMessage { id: Some(id), result, ..CdpMessage::default() });
        }
    }
}

/// What each request says, and the URLs that are playlists.
#[tokio::test]
async fn playlists_of_other_types_and_of_service_workers() {
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let egress = LoopbackProxy::start(Arc::new(fetcher), AddressPolicy::default()).await.unwrap();
    let page_url = Url::parse("https://a.example/app").unwrap();
    let mpegurl = "application/vnd.apple.mpegurl";
    let request = |url: &str, mime: &str, of_worker: bool, length: u64, body: &'static str| {
        let url = format!("https://a.example/{url}");
        let response = json!({"status": 200, "mimeType": mime, "fromServiceWorker": of_worker});
        [
            (
                "Network.requestWillBeSent",
                json!({"requestId": url, "request": {"url": url, "headers": {}}}),
                "",
            ),
            ("Network.responseReceived", json!({"requestId": url, "response": response}), ""),
            (
                "Network.loadingFinished",
                json!({"requestId": url, "encodedDataLength": length}),
                body,
            ),
        ]
    };
    for (of_worker, of_page, expected) in [
        (None, request("x", "text/plain", false, 99, MEDIA), vec!["x"]),
        (None, request("x", "application/octet-stream", false, 99, MEDIA), vec!["x"]),
        (None, request("x", "application/octet-stream", false, 1 << 20, MEDIA), vec![]),
        (None, request("x", "application/octet-stream", false, 99, "no"), vec![]),
        (None, request("x", "text/html", false, 99, MEDIA), vec![]),
        // The worker asks for another URL, whose body is the page's.
        (
            Some(request("real.m3u8", mpegurl, false, 99, "")),
            request("fake", mpegurl, true, 99, MEDIA),
            vec!["real.m3u8"],
        ),
        // The worker answers out of its own store.
        (None, request("fake", mpegurl, true, 99, MEDIA), vec!["fake"]),
    ] {
        let mut monitor = NetworkMonitor::new(&page_url, &[], &egress, false);
        if let Some(events) = of_worker {
            send_events(&mut monitor, "worker", &events);
        }
        send_events(&mut monitor, "page", &of_page);
        let found = monitor.into_playlists();
        let found: Vec<_> =
            found.iter().map(|it| it.url.trim_start_matches("https://a.example/")).collect();
        assert_eq!(found, expected, "{of_page:?}");
    }
    // A dialog would stop the page.
    let mut monitor = NetworkMonitor::new(&page_url, &[], &egress, false);
    let calls = monitor.handle_message(event("page", "Page.javascriptDialogOpening", json!({})));
    assert_eq!(calls[0].0.method, "Page.handleJavaScriptDialog");
    assert_eq!(calls[0].0.parameters, json!({"accept": true}));
}

/// A browser that finds an element in the documents of one session only, and logs the calls whose
/// method begins with `Input`.
async fn scripted_browser(
    session_with_element: &'static str,
) -> (Url, tokio::sync::mpsc::UnboundedReceiver<Value>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (log, logged) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(frame)) = socket.next().await {
            let Ok(call) = serde_json::from_slice::<Value>(&frame.into_data()) else { continue };
            let result = match call["method"].as_str().unwrap() {
                "Runtime.evaluate" if call["sessionId"] == session_with_element => {
                    json!({"result": {"subtype": "node", "objectId": "element"}})
                }
                "Runtime.evaluate"
                    if call["params"]["expression"].as_str().unwrap().contains("###") =>
                {
                    json!({"exceptionDetails": {"exception": {"description": "SyntaxError: '###' is not a valid selector."}}})
                }
                "DOM.getContentQuads" => json!({"quads": [[10, 20, 30, 20, 30, 40, 10, 40]]}),
                "DOM.getFrameOwner" => json!({"backendNodeId": 5}),
                "DOM.getBoxModel" => {
                    json!({"model": {"content": [100, 200, 400, 200, 400, 500, 100, 500]}})
                }
                "Input.dispatchMouseEvent" => {
                    log.send(call.clone()).unwrap();
                    json!({})
                }
                _ => json!({}),
            };
            let reply = json!({"id": call["id"], "result": result}).to_string();
            socket.send(tokio_tungstenite::tungstenite::Message::text(reply)).await.unwrap();
        }
    });
    (Url::parse(&format!("ws://{address}/")).unwrap(), logged)
}

#[tokio::test]
async fn an_element_is_pressed_in_its_place_in_the_page() {
    let fetcher = Fetcher::new(Timeouts::default(), Vec::new());
    let egress = LoopbackProxy::start(Arc::new(fetcher), AddressPolicy::default()).await.unwrap();
    let url = Url::parse("https://a.example/app").unwrap();
    for (session_with_element, selector, expected) in [
        ("page", "b", Ok(Some((20, 30)))),
        ("frame", "b", Ok(Some((120, 230)))),
        ("inner", "b", Ok(Some((220, 430)))),
        ("none", "b", Ok(None)),
        ("none", "###", Err("`click` has a selector that is none")),
    ] {
        let (endpoint, mut logged) = scripted_browser(session_with_element).await;
        let mut monitor = NetworkMonitor::new(&url, &[], &egress, true);
        for (session, inner) in [("page", "frame"), ("frame", "inner")] {
            let target =
                json!({"sessionId": inner, "targetInfo": {"type": "iframe", "targetId": "T"}});
            monitor.handle_message(event(session, "Target.attachedToTarget", target));
        }
        for session in ["page", "frame", "inner"] {
            let context =
                json!({"context": {"id": 1, "auxData": {"isDefault": true, "frameId": "F"}}});
            monitor.handle_message(event(session, "Runtime.executionContextCreated", context));
        }
        let cdp = cdp::CdpConnection::connect(&endpoint).await.unwrap();
        let (session, deadline) = ("page".to_owned(), Instant::now() + Duration::from_secs(60));
        let mut page = MonitoredPage { cdp, monitor, session, deadline };
        let clicked = page.click(selector).await.map_err(|failure| failure.message);
        let clicked = clicked.as_ref().copied().map_err(String::as_str);
        assert_eq!(clicked, expected.map(|at| at.is_some()), "{session_with_element} {selector}");
        let events: Vec<Value> = std::iter::from_fn(|| logged.try_recv().ok()).collect();
        let Ok(Some((x, y))) = expected else {
            assert!(events.is_empty(), "{events:?}");
            continue;
        };
        let kinds: Vec<_> =
            events.iter().map(|it| it["params"]["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["mouseMoved", "mousePressed", "mouseReleased"]);
        for event in events {
            assert_eq!(event["sessionId"], "page");
            let place = (event["params"]["x"].as_f64(), event["params"]["y"].as_f64());
            assert_eq!(place, (Some(f64::from(x)), Some(f64::from(y))), "{session_with_element}");
        }
    }
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
