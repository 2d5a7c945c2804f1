//! What an operator finds in the log: an access line for each request by its id, in either format,
//! and at the level that the admin listener has set.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{client, eventually, fetch, free_address};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const SEGMENT: &str = "/live/camera/v1080-avc";

/// An edge and a control plane in one process, whose log goes to a file.
struct LoggingEdge {
    child: Child,
    folder: tempfile::TempDir,
    url: String,
    admin: String,
}

impl LoggingEdge {
    async fn start(log_section: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listen, admin) = (free_address(), free_address());
        fs::write(folder.path().join("token"), TOKEN).unwrap();
        fs::write(
            folder.path().join("pitwall.toml"),
            format!(
                "[edge]\nlisten = \"{listen}\"\nadmin = \"{admin}\"\n\
                 [access]\nadmin_token_file = \"token\"\n[schedule]\nproviders = []\n\
                 [log]\n{log_section}\n"
            ),
        )
        .unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pitwall"))
            .args(["run", "--config", "pitwall.toml"])
            .current_dir(folder.path())
            .env_remove("PITWALL_LOG")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let (url, admin) = (format!("http://{listen}"), format!("http://{admin}"));
        let edge = Self { child, folder, url, admin };
        let healthz = format!("{}/healthz", edge.url);
        eventually("the edge answers", || async {
            fetch(&healthz).await.ok().filter(|response| response.status().is_success())
        })
        .await;
        edge
    }

    /// Sends a request; the `X-Request-Id` of its response.
    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let mut request = client().get(format!("{}{path}", self.url));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    }

    async fn put_level(&self, token: &str, level: &str) -> (u16, String) {
        let request = client().put(format!("{}/log/level", self.admin)).bearer_auth(token);
        let response = request.body(level.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The line of the log that holds `text`.
    async fn line_with(&self, text: &str) -> String {
        eventually(&format!("a line with {text}"), || async {
            self.log().lines().find(|line| line.contains(text)).map(str::to_owned)
        })
        .await
    }
}

impl Drop for LoggingEdge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_response_leads_to_its_line_in_the_log() {
    let edge = LoggingEdge::start("format = \"json\"\naccess = true").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    for (path, fields, id, route, status) in [
        ("/healthz", vec![("x-request-id", "given-1")], Some("given-1"), "/healthz|/readyz", 200),
        (
            "/api/openapi.json",
            vec![("traceparent", &*traceparent)],
            Some(trace),
            "/api/{document}",
            200,
        ),
        // A stream that only the client names is not in the log, nor is the key in a query.
        ("/live/secret-name/index.m3u8?key=SECRET", vec![], None, "/live/{stream}/index.m3u8", 404),
        ("/healthz", vec![("x-request-id", "two words")], None, "/healthz|/readyz", 200),
    ] {
        let got = edge.get(path, &fields).await;
        if let Some(id) = id {
            assert_eq!(got, id, "{path}");
        }
        let line: Value = serde_json::from_str(&edge.line_with(&got).await).unwrap();
        assert_eq!(line["target"], "pitwall::access", "{line}");
        for (field, expected) in [
            ("request_id", Value::from(&*got)),
            ("client", "127.0.0.1".into()),
            ("method", "GET".into()),
            ("route", route.into()),
            ("stream", "-".into()),
            ("status", status.into()),
            ("aborted", false.into()),
        ] {
            assert_eq!(line[field], expected, "{field} in {line}");
        }
        assert!(line["bytes"].as_u64().is_some() && line["duration_ms"].as_f64().is_some());
        assert!(line["first_byte_ms"].as_f64() <= line["duration_ms"].as_f64(), "{line}");
        let expected = if id == Some(trace) { trace } else { line["trace_id"].as_str().unwrap() };
        assert_eq!(line["trace_id"], expected);
    }
    let log = edge.log();
    assert!(!log.contains("secret-name") && !log.contains("SECRET"), "{log}");
    let not_json = log.lines().find(|line| serde_json::from_str::<Value>(line).is_err());
    assert_eq!(not_json, None);
}

#[tokio::test]
async fn the_admin_listener_changes_what_is_logged() {
    let edge = LoggingEdge::start("level = \"warn\"").await;
    edge.get(SEGMENT, &[("x-request-id", "unlogged-1")]).await;
    let (status, text) = edge.put_level("wrong", "debug").await;
    assert_eq!(status, 401, "{text}");
    let (status, text) = edge.put_level(TOKEN, "a=b=c").await;
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("is not a filter"), "{text}");
    let filter = "warn,pitwall::access=info";
    assert_eq!(edge.put_level(TOKEN, filter).await, (200, format!("{filter}\n")));
    edge.get(SEGMENT, &[("x-request-id", "logged-1")]).await;
    let line = edge.line_with("logged-1").await;
    assert!(line.contains("pitwall::access: request_id=\"logged-1\""), "text by default: {line}");
    // Empty text stands for the configuration.
    let back = "warn,pitwall::access=off";
    assert_eq!(edge.put_level(TOKEN, "").await, (200, format!("{back}\n")));
    edge.get(SEGMENT, &[("x-request-id", "unlogged-2")]).await;
    let shown = fetch(&format!("{}/log/level", edge.admin)).await.unwrap();
    assert_eq!(shown.text().await.unwrap(), format!("{back}\n"));
    let log = edge.log();
    assert!(log.contains("the operator has changed what is logged"), "{log}");
    assert!(!log.contains("unlogged"), "{log}");
}
