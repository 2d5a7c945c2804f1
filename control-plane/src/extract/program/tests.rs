use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use pitwall_fetch::{Fetcher, Timeouts};

use super::*;
use crate::extract::{ExtractConfig, Runner};
use crate::source::Source;

/// Runs a source whose yt-dlp is this shell script; `HERE` is a folder of the test's.
async fn run_script(script: &str, timeout: &str) -> (Vec<String>, Vec<String>, tempfile::TempDir) {
    let here = tempfile::tempdir().unwrap();
    let program = here.path().join("yt-dlp");
    let script = script.replace("HERE", &here.path().display().to_string());
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "[[source]]\nname = 'a'\nkind = 'yt-dlp'\nfeed = 'f'\nurl = 'https://a.example/secret'\n\
         timeout = '{timeout}'\nheaders = {{ Cookie = 'c=secret' }}"
    );
    let source = Source::parse_file(&text).unwrap().remove(0);
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let config = ExtractConfig { yt_dlp: program, ..ExtractConfig::default() };
    let extraction = Runner::new(fetcher, &config).extract(&source).await;
    let found = extraction.candidates.iter().map(|it| it.playlist.to_string()).collect();
    (found, extraction.failures.iter().map(ToString::to_string).collect(), here)
}

fn alive(pid: &str) -> bool {
    // One that is killed and not yet waited for is not alive.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

const GOOD: &str = r#"echo '{"formats":[{"protocol":"m3u8","url":"https://a.example/x.m3u8"}]}'"#;

#[tokio::test]
async fn what_programs_do() {
    for (script, found, failure) in [
        (GOOD, vec!["https://a.example/x.m3u8"], ""),
        ("exit 3", vec![], "yt-dlp: it failed"),
        ("kill -SEGV $$", vec![], "yt-dlp: it failed"),
        ("echo nonsense", vec![], "formats: its output is not what it should be"),
        ("yes", vec![], "yt-dlp: it said more than it should"),
        ("yes complaint >&2", vec![], "run: not finished within 2s"),
        (
            "echo 'ERROR: x: HTTP Error 503: no' >&2; exit 1",
            vec![],
            "yt-dlp: the server answered 503",
        ),
        // It sees nothing of ours, and its orders and its home are gone afterwards.
        (
            "env | grep -q CARGO && exit 1; echo \"$HOME\" > HERE/home; cp $3 HERE/orders; echo null",
            vec![],
            "formats: nothing",
        ),
    ] {
        let (got, failures, here) = run_script(script, "2s").await;
        assert_eq!(got, found, "{script}");
        assert!(
            failures.iter().all(|it| it.starts_with(failure) && !failure.is_empty()),
            "{failures:?}"
        );
        assert_eq!(failures.is_empty(), failure.is_empty(), "{script}");
        if let Ok(home) = std::fs::read_to_string(here.path().join("home")) {
            assert!(!Path::new(home.trim()).exists(), "{home}");
            let orders = std::fs::read_to_string(here.path().join("orders")).unwrap();
            assert!(orders.contains("--proxy 'http://pitwall:"), "{orders}");
            assert!(orders.contains("--add-headers 'Cookie:c=secret'"), "{orders}");
            assert!(orders.ends_with("'https://a.example/secret'"), "{orders}");
        }
    }
}

/// At the deadline it ends, and whatever it started.
#[tokio::test]
async fn one_that_hangs_is_ended_with_its_children() {
    let script = "sleep 1000 &\necho $! > HERE/child; echo $$ > HERE/pid; wait";
    let (found, failures, here) = run_script(script, "1s").await;
    assert!(found.is_empty());
    assert_eq!(failures, ["run: not finished within 1s"]);
    for file in ["child", "pid"] {
        let pid = std::fs::read_to_string(here.path().join(file)).unwrap();
        while alive(pid.trim()) {
            tokio::task::yield_now().await;
        }
    }
}

#[test]
fn reasons() {
    let refusal = || Some(Failure::lasting("the target is not allowed by the address policy"));
    for (complaint, refused, message, retryable) in [
        (
            "ERROR: [generic] x: HTTP Error 404: Not Found (caused by ..)",
            None,
            "the server answered 404",
            false,
        ),
        ("x (503 Server Error: y for url: http://a/)", None, "the server answered 503", true),
        (
            "ERROR: Unsupported URL: https://secret.example/path",
            None,
            "it does not know this kind of page",
            false,
        ),
        (
            "Tunnel connection failed: 403 Forbidden",
            refusal(),
            "the target is not allowed by the address policy",
            false,
        ),
        ("Traceback", None, "it failed", true),
        ("", None, "it failed", true),
    ] {
        let failure = reason(complaint, refused);
        assert_eq!((failure.message.as_str(), failure.retryable), (message, retryable));
        assert!(!failure.detail.unwrap_or_default().contains("path"));
    }
}
