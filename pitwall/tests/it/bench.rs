//! `pitwall bench` in front of the demo's origin and of an edge.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::generate_simple_self_signed;

use crate::support::{Edge, free_address, run_pitwall, start_and_read_line};

/// `pitwall origin`, which is killed when it is dropped.
struct Origin {
    process: Child,
    url: String,
}

impl Origin {
    fn start() -> Self {
        let address = free_address().to_string();
        let (process, _) = start_and_read_line(&["origin", "--listen", &address]);
        Self { process, url: format!("http://{address}/open/world-feed/master.m3u8") }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bench(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    run_pitwall(&[&["bench"], arguments].concat(), directory)
}

#[test]
fn a_run_is_reported_as_text_json_and_a_page() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let again = format!("{}?key=secret", origin.url);
    let arguments = [
        ["--against", &origin.url, "--against", &again].as_slice(),
        &["--viewers", "6", "--seconds", "2", "--ramp", "500ms", "--variant", "spread"],
        &["--html", "report.html", "--json"],
    ]
    .concat();
    let (code, stdout, stderr) = bench(&arguments, directory.path());
    assert_eq!(code, 0, "{stderr}");
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&report["viewers"], &report["ramp_seconds"]), (&6.into(), &0.5.into()));
    let streams = report["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 2);
    for stream in streams {
        assert_eq!((&stream["viewers"], &stream["failures"]), (&3.into(), &0.into()));
        assert_eq!(stream["url"], origin.url, "without the query");
        assert!(stream["by_viewer"]["bitrate_mbps"]["p50"].as_f64().unwrap() > 0.0);
    }
    let arrived = &report["intervals"][0]["viewers"];
    assert_eq!(arrived, &6, "{}", report["intervals"]);
    assert!(report["http"]["HTTP/1.1"].as_u64().unwrap() > 12, "{}", report["http"]);
    let page = std::fs::read_to_string(directory.path().join("report.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.matches("<svg").count() == 5, "{page}");
    assert!(!page.contains("secret") && !stdout.contains("secret"), "{page}{stdout}");
    for outside in ["<script", "src=", "href=", "@import"] {
        assert!(!page.contains(outside), "{outside} in {page}");
    }
}

#[test]
fn a_wrong_option_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["--against", "tv.example"][..], "pitwall: --against: "),
        (
            &["--against", "http://127.0.0.1:9/a.m3u8", "--seconds", "2", "--ramp", "3s"],
            "pitwall: --ramp: longer than the 2 s of --seconds",
        ),
        (&[], "error: the following required arguments were not provided:\n  --against <URL>"),
    ] {
        let (code, _, stderr) = bench(arguments, directory.path());
        assert!(code == 2 && stderr.starts_with(expected), "{arguments:?}: {code} {stderr}");
    }
}

#[test]
fn nobody_is_served_where_nobody_listens() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("http://{}/index.m3u8", free_address());
    let (code, stdout, stderr) =
        bench(&["--against", &url, "--viewers", "2", "--seconds", "1"], directory.path());
    assert_eq!((code, stderr.as_str()), (1, "pitwall: nobody saw anything\n"));
    assert!(stdout.contains("failed        2 x no connection: "), "{stdout}");
    assert!(stdout.contains("2 saw nothing"), "{stdout}");
}

#[tokio::test]
async fn players_speak_the_version_that_is_asked_for() {
    let (origin, directory) = (Origin::start(), tempfile::tempdir().unwrap());
    let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let source = format!(
        "[schedule]\nproviders = []\n[edge.tls]\ncert = {cert:?}\nkey = {key:?}\n\
         [[source]]\nname = \"open\"\nkind = \"static\"\nfeed = \"World feed\"\n\
         url = {:?}\nallow_private = [\"127.0.0.0/8\"]\n",
        origin.url
    );
    let edge = Edge::start(&source).await;
    let port = edge.address.port();
    let playlist = format!("https://localhost:{port}/live/world-feed/index.m3u8");
    // The source may not have been checked yet: players try again.
    let start = |http: &str| {
        Command::new(env!("CARGO_BIN_EXE_pitwall"))
            .args(["bench", "--against", &playlist, "--viewers", "2", "--seconds", "3"])
            .args(["--http", http, "--json"])
            .env("SSL_CERT_FILE", &cert)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let runs = [("auto", "HTTP/2.0"), ("2", "HTTP/2.0"), ("1.1", "HTTP/1.1")];
    for (run, (http, expected)) in runs.map(|(http, _)| start(http)).into_iter().zip(runs) {
        let output = run.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{http}: {stderr}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let versions = report["http"].as_object().unwrap();
        assert_eq!(versions.keys().collect::<Vec<_>>(), [expected], "{http}: {report}");
    }
}
