//! The commands that read and change files, and those that try something out.

use serde_json::json;

use super::*;

const SOURCE: &str = "# by mail\nname = \"club\"\nkind = \"static\"\nfeed = \"Pit lane\"\nurl = \
                      \"http://127.0.0.1:9/live.m3u8\"\nallow_private = [\"127.0.0.1/32\"]\nheaders \
                      = { Authorization = \"Basic YTpi\" }\n";

async fn plane() -> TestControlPlane {
    TestControlPlane::start_with_sources(Some(TOKEN), "", ()).await
}

/// Sends JSON with these further header lines.
async fn send(
    plane: &TestControlPlane,
    request: &str,
    headers: &str,
    body: &Value,
) -> (u16, String, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let json = "content-type: application/json\r\n";
    plane.ask(request, &format!("{}{json}{headers}", authorization_header()), &body).await
}

fn if_match(head: &str) -> String {
    let etag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    format!("if-match: {etag}\r\n")
}

#[tokio::test]
async fn a_source_is_made_changed_and_removed() {
    let plane = plane().await;
    let path = plane.state.path().join("sources/club.toml");
    let stored = || std::fs::read_to_string(&path).unwrap_or_default();
    let new = "if-none-match: *\r\n";
    let text = json!({ "text": SOURCE });
    let (status, head, saved) = send(&plane, "PUT /api/sources/club", new, &text).await;
    assert_eq!((status, stored()), (201, SOURCE.to_owned()), "{saved}");
    assert!(!saved.to_string().contains("YTpi"), "{saved}");
    let (_, read_head, read) = send(&plane, "GET /api/sources/club", "", &Value::Null).await;
    assert_eq!((if_match(&read_head), &read), (if_match(&head), &saved));
    let first = if_match(&head);
    let patch = json!({ "patch": { "feed": "World feed" } });
    let (status, head, changed) = send(&plane, "PUT /api/sources/club", &first, &patch).await;
    assert_eq!((status, stored()), (200, SOURCE.replace("Pit lane", "World feed")), "{changed}");
    let second = if_match(&head);
    let broken = json!({ "text": SOURCE.replace("http://", "") });
    let other = json!({ "text": SOURCE.replace("\"club\"", "\"b\"") });
    for (request, headers, body, status, name, detail) in [
        ("PUT /api/sources/club", &*first, &patch, 412, "file-changed", "somebody else"),
        ("PUT /api/sources/club", new, &text, 412, "file-changed", ""),
        ("PUT /api/sources/club", "", &text, 428, "version-missing", "If-Match"),
        ("PUT /api/sources/club", &*second, &broken, 422, "file-invalid", "club.toml:5: url: "),
        ("PUT /api/sources/b", new, &text, 409, "source-name-taken", "sources/club.toml"),
        ("PUT /api/sources/B", new, &other, 422, "bad-name", "[a-z0-9_-]"),
        ("PUT /api/sources/..%2fpitwall", new, &other, 422, "bad-name", ""),
        ("GET /api/sources/b", "", &Value::Null, 404, "source-file-unknown", "b.toml"),
        ("DELETE /api/sources/club", "", &Value::Null, 428, "version-missing", ""),
        ("DELETE /api/sources/club", new, &Value::Null, 428, "version-missing", ""),
        ("DELETE /api/sources/club", &*first, &Value::Null, 412, "file-changed", ""),
        ("DELETE /api/sources/b", &*first, &Value::Null, 404, "source-file-unknown", ""),
        ("POST /api/sources/club", "", &Value::Null, 405, "method-not-allowed", ""),
        ("PUT /api/sources/club", &*second, &json!({ "txt": 1 }), 400, "bad-body", "txt"),
    ] {
        let (got, _, problem) = send(&plane, request, headers, body).await;
        assert_eq!(got, status, "{request} {headers:?} {body}: {problem}");
        assert_eq!(problem["type"], format!("urn:pitwall:problem:{name}"), "{request}");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(detail), "{request}: {said}");
    }
    assert_eq!(stored(), SOURCE.replace("Pit lane", "World feed"), "nothing was changed");
    let (status, ..) = send(&plane, "DELETE /api/sources/club", &second, &Value::Null).await;
    assert_eq!((status, path.exists()), (204, false));
    let (status, _, list) = send(&plane, "GET /api/sources", "", &Value::Null).await;
    assert_eq!((status, &list["sources"], &list["editable"]), (200, &json!([]), &json!(true)));
}

#[tokio::test]
async fn a_draft_is_checked_and_tried_without_being_saved() {
    let plane = plane().await;
    let text = json!({ "text": SOURCE });
    let (status, _, checked) = send(&plane, "POST /api/sources/club/check", "", &text).await;
    assert_eq!(
        (status, &checked["kind"], &checked["warnings"]),
        (200, &json!("static"), &json!([]))
    );
    let (status, _, started) = send(&plane, "POST /api/sources/club/trial", "", &text).await;
    assert_eq!(status, 202, "{started}");
    let request = format!("GET /api/trials/{}", started["trial"].as_str().unwrap());
    let trial = loop {
        let (status, _, trial) = send(&plane, &request, "", &Value::Null).await;
        assert_eq!(status, 200, "{trial}");
        if !trial["result"].is_null() {
            break trial;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let found = &trial["result"]["candidates"][0];
    assert_eq!((&found["feed"], &found["plays"]), (&json!("Pit lane"), &json!(false)), "{trial}");
    assert!(found["found"].as_str().unwrap().contains("refused"), "{trial}");
    assert!(!plane.state.path().join("sources").exists());
    let (status, _, problem) = send(&plane, "GET /api/trials/0", "", &Value::Null).await;
    assert_eq!((status, &problem["type"]), (404, &json!("urn:pitwall:problem:trial-unknown")));
}

#[tokio::test]
async fn the_override_file_is_checked_and_saved() {
    let plane = plane().await;
    let path = plane.state.path().join("overrides.toml");
    let good = "[[meeting]]\nid = \"2026:bahrain-grand-prix:bahrain\"\nhidden = true\n";
    let (status, head, read) = send(&plane, "GET /api/overrides", "", &Value::Null).await;
    assert_eq!(
        (status, &read["text"], &read["overrides"]),
        (200, &json!("# nothing yet\n"), &json!(0))
    );
    let version = if_match(&head);
    let bad = good.replace("true", "\"yes\"");
    let check = "POST /api/overrides/check";
    let save = "PUT /api/overrides";
    for (request, headers, body, status, expected) in [
        (check, "", json!({ "text": good }), 200, "1"),
        (check, "", json!({ "text": bad }), 422, "overrides.toml:3: meeting.hidden: "),
        (check, "", json!({}), 400, "text is missing"),
        (save, "", json!({ "text": good }), 428, "version-missing"),
        (save, "if-match: \"0\"\r\n", json!({ "text": good }), 412, "file-changed"),
        (save, &*version, json!({ "text": bad }), 422, "meeting.hidden"),
        (save, &*version, Value::Null, 400, "text is missing"),
        (save, &*version, json!({ "text": good }), 200, "\"overrides\":1"),
        (save, &*version, json!({ "text": good }), 412, "file-changed"),
    ] {
        let (got, _, answer) = send(&plane, request, headers, &body).await;
        assert_eq!(got, status, "{request} {body}: {answer}");
        assert!(answer.to_string().contains(expected), "{request}: {answer}");
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), good);
}

#[tokio::test]
async fn each_webhook_says_what_it_answered_to_a_test() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).await.unwrap();
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let status = if text.starts_with("POST /gone") { "410 Gone" } else { "204 No Content" };
            sent.send(text).unwrap();
            let answer =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let webhook = |name: &str, more: &str| -> WebhookConfig {
        let url = format!("http://{address}/{name}");
        toml::from_str(&format!("name = '{name}'\nurl = '{url}'\n{more}")).unwrap()
    };
    let private = "allow_private = ['127.0.0.1/32']\nevents = ['failover']";
    let webhooks = vec![webhook("ops", private), webhook("gone", private), webhook("denied", "")];
    let store = MemoryStore::new();
    let plane = TestControlPlane::start_with_webhooks(store, Some(TOKEN), "", webhooks, ()).await;
    let (status, _, tested) = send(&plane, "POST /api/notifications/test", "", &Value::Null).await;
    assert_eq!(status, 200, "{tested}");
    for (index, name, delivered, answer) in [
        (0, "ops", true, "answered with 204"),
        (1, "gone", false, "answered with 410"),
        (2, "denied", false, "allow_private"),
    ] {
        let result = &tested["webhooks"][index];
        assert_eq!((&result["webhook"], &result["delivered"]), (&json!(name), &json!(delivered)));
        assert!(result["answer"].as_str().unwrap().contains(answer), "{tested}");
    }
    let alert = received.recv().await.unwrap();
    assert!(alert.to_lowercase().contains("x-pitwall-event: test\r\n"), "{alert}");
}

#[tokio::test]
async fn viewers_are_counted_per_stream() {
    let plane = TestControlPlane::start(Some(TOKEN)).await;
    let (status, _, counts) = send(&plane, "GET /api/viewers", "", &Value::Null).await;
    let stream = json!({
        "stream": "world-feed", "feed": "World feed", "viewers": 0, "source": null,
        "pinned": false, "playing_seconds": null,
    });
    assert_eq!((status, &counts["viewers"]), (200, &json!(0)));
    assert!(counts["streams"] == json!([stream]) || counts["streams"] == json!([]), "{counts}");
}
