//! Webhooks against a receiver that fails as scripted.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use pitwall_fetch::Timeouts;
use pitwall_upstream_map::StreamId;

use super::*;
use crate::model::alert::AlertEvent;

/// The responses that the receiver is to send, and the requests that it received.
#[derive(Default)]
struct WebhookReceiver {
    answers: Mutex<VecDeque<StatusCode>>,
    requests: Mutex<Vec<(HeaderMap, String)>>,
}

async fn receive(
    State(receiver): State<Arc<WebhookReceiver>>,
    headers: HeaderMap,
    body: String,
) -> Response {
    receiver.requests.lock().unwrap().push((headers, body));
    let answer = receiver.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
    (answer, [("retry-after", "0")]).into_response()
}

/// Delivers one alert to a receiver with these responses.
async fn deliver(answers: &[StatusCode], settings: &str) -> (Arc<WebhookReceiver>, IntCounterVec) {
    let receiver = Arc::new(WebhookReceiver {
        answers: Mutex::new(answers.iter().copied().collect()),
        ..WebhookReceiver::default()
    });
    let router = Router::new().fallback(receive).with_state(receiver.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let text = format!(
        "name = 'phone'\nurl = 'http://{address}/topic'\nallow_private = ['127.0.0.0/8']\n{settings}"
    );
    let config = toml::from_str(&text).unwrap();
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let registry = Registry::new();
    let (mut notifier, webhooks) =
        Notifier::new(fetcher, Clock::system(), register_alert_counter(&registry).unwrap());
    notifier.set_webhooks(&[Webhook::load(config).unwrap()]);
    notifier.notify(failover_alert());
    let counter = notifier.alert_counter.clone();
    drop(notifier);
    webhooks.run().await;
    (receiver, counter)
}

fn failover_alert() -> Alert {
    let what = AlertEvent::Failover {
        stream: StreamId::of_feed("World feed").unwrap(),
        from: "club".into(),
        to: "mirror".into(),
        reason: Some("the playlist was answered with 403".into()),
    };
    Alert::new(what, "2026-05-03T17:00:00Z".parse().unwrap())
}

#[tokio::test]
async fn retries() {
    let (ok, busy) = (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE);
    for (answers, attempts, outcome) in [
        (&[ok][..], 1, "delivered"),
        (&[busy, busy, ok], 3, "delivered"),
        (&[StatusCode::TOO_MANY_REQUESTS, ok], 2, "delivered"),
        (&[busy; 9], 5, "failed"),
        (&[StatusCode::NOT_FOUND, ok], 1, "failed"),
    ] {
        let (receiver, counter) = deliver(answers, "").await;
        let got = receiver.requests.lock().unwrap();
        assert_eq!(got.len(), attempts, "{answers:?}");
        assert_eq!(counter.with_label_values(&["phone", outcome]).get(), 1, "{answers:?}");
        let id = |index: usize| got[index].0["x-pitwall-id"].clone();
        assert!((0..attempts).all(|index| id(index) == id(0)), "each attempt is the same notice");
    }
}

#[tokio::test]
async fn json_and_its_signature() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "a secret of thirty-two bytes, or more\n").unwrap();
    let settings = format!("secret_file = '{}'\nheaders = {{ X-Own = 'yes' }}", path.display());
    let (receiver, _) = deliver(&[], &settings).await;
    let (headers, body) = receiver.requests.lock().unwrap().remove(0);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-pitwall-event"], "failover");
    assert_eq!(headers["x-own"], "yes");
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "id": headers["x-pitwall-id"].to_str().unwrap(),
        "at": "2026-05-03T17:00:00Z", "event": "failover", "stream": "world-feed",
        "from": "club", "to": "mirror", "reason": "the playlist was answered with 403",
        "text": "world-feed moved from club to mirror: the playlist was answered with 403",
    });
    assert_eq!(json, expected);
    // Verified as a receiver would verify it.
    let signature = headers["x-pitwall-signature"].to_str().unwrap();
    let time = signature.strip_prefix("t=").unwrap().split(',').next().unwrap();
    let secret = b"a secret of thirty-two bytes, or more";
    let expected = delivery::sign_body(secret, time.parse().unwrap(), body.as_bytes()).unwrap();
    assert_eq!(signature, expected);
}

/// The expected value is from another implementation: `printf '1777827600.{}' | openssl dgst
/// -sha256 -hmac key…`.
#[test]
fn the_signature_equals_that_of_openssl() {
    let signature = delivery::sign_body(&[b'k'; 32], 1_777_827_600, b"{}").unwrap();
    let expected =
        "t=1777827600,v1=0718ede54b747269bb7918e67672c26b455d9a8dc2184e44001d46fc54e7c944";
    assert_eq!(signature, expected);
}

#[tokio::test]
async fn ntfy() {
    let (receiver, _) = deliver(&[], "kind = 'ntfy'").await;
    let (headers, body) = receiver.requests.lock().unwrap().remove(0);
    assert_eq!(body, "world-feed moved from club to mirror: the playlist was answered with 403");
    assert_eq!(headers["title"], "Pitwall");
    assert_eq!(
        (&headers["priority"], &headers["tags"]),
        (&"3".parse().unwrap(), &"failover".parse().unwrap())
    );
    assert!(!headers.contains_key("x-pitwall-signature"), "there is no secret");
}

#[tokio::test]
async fn unselected_events_are_not_sent() {
    let (receiver, _) = deliver(&[], "events = ['source-dead', 'no-healthy-stream']").await;
    assert!(receiver.requests.lock().unwrap().is_empty());
}

#[test]
fn alerts_of_a_dark_stream() {
    let (stream, at) = (StreamId::of_feed("Garage camera").unwrap(), "2026-11-29T01:52:38Z");
    let since = "2026-11-29T01:52:28Z".parse().unwrap();
    let name = || "Garage camera".to_owned();
    let dark = AlertEvent::StreamDark {
        stream: stream.clone(),
        name: name(),
        since,
        reason: "the connection was refused".into(),
    };
    let back = AlertEvent::StreamBack { stream, name: name(), source: Some("cam".into()), since };
    for (what, priority, expected) in [
        (
            dark,
            "5",
            serde_json::json!({
                "event": "stream-dark", "reason": "the connection was refused",
                "text": "Garage camera is dark, nothing of it plays since 2026-11-29 01:52:28 UTC: \
                         the connection was refused",
            }),
        ),
        (
            back,
            "3",
            serde_json::json!({
                "event": "stream-back", "source": "cam",
                "text": "Garage camera plays again from cam; it was dark since 2026-11-29 01:52:28 UTC",
            }),
        ),
    ] {
        let alert = Alert::new(what, at.parse().unwrap());
        let mut json = serde_json::to_value(&alert).unwrap();
        let common = serde_json::json!({
            "id": alert.id, "at": at, "stream": "garage-camera", "name": "Garage camera",
            "since": "2026-11-29T01:52:28Z",
        });
        let mut whole = expected.as_object().unwrap().clone();
        whole.extend(common.as_object().unwrap().clone());
        assert_eq!(json.as_object_mut().unwrap(), &mut whole);
        assert_eq!(alert.what.event_name().priority(), priority);
        // `events` selects the event by the same name.
        let events = format!("events = ['{}']", alert.what.event_name().as_str());
        let hook = format!("name = 'phone'\nurl = 'https://hook.example/'\n{events}");
        let config: WebhookConfig = toml::from_str(&hook).unwrap();
        assert_eq!(config.events, Some(vec![alert.what.event_name()]));
    }
}

#[test]
fn a_missing_or_short_secret_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    assert!(read_secret("phone", &path).unwrap_err().to_string().contains("No such file"));
    std::fs::write(&path, "short").unwrap();
    assert!(read_secret("phone", &path).unwrap_err().to_string().contains("less than 32 bytes"));
}

/// The denial is known without a delivery.
#[test]
fn a_url_that_the_policy_forbids_names_the_key() {
    for (url, allowed, expected) in [
        ("https://ntfy.example/x", "", None),
        ("http://192.168.1.5:8080/x", "'192.168.1.0/24'", None),
        (
            "http://192.168.1.5:8080/x",
            "",
            Some(
                "192.168.1.5 is private: allow_private = [\"192.168.1.5/32\"] in webhook \
                 \"phone\" allows it",
            ),
        ),
    ] {
        let text = format!("name = 'phone'\nurl = '{url}'\nallow_private = [{allowed}]");
        let config: WebhookConfig = toml::from_str(&text).unwrap();
        assert_eq!(config.denial().as_deref(), expected, "{url}");
    }
}
