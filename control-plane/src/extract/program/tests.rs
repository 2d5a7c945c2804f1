use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use pitwall_fetch::{Fetcher, Timeouts};

use super::*;
use crate::extract::ConfiguredSource;
use crate::extract::{ExtractConfig, ExtractionRunner};

/// Runs a source whose yt-dlp is this shell script, in which `HERE` is a directory of the test;
/// returns the playlists, the failures and the directory.
async fn run_script(script: &str, timeout: &str) -> (Vec<String>, Vec<String>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("yt-dlp");
    let script = script.replace("HERE", &directory.path().display().to_string());
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "[[source]]\nname = 'a'\nkind = 'yt-dlp'\nfeed = 'f'\nurl = 'https://a.example/secret'\n\
         timeout = '{timeout}'\nheaders = {{ Cookie = 'c=secret' }}"
    );
    let source = ConfiguredSource::parse_file(&text).unwrap().remove(0);
    let fetcher = Arc::new(Fetcher::new(Timeouts::default(), Vec::new()));
    let config = ExtractConfig { yt_dlp: program, ..ExtractConfig::default() };
    let extraction = ExtractionRunner::new(fetcher, &config).extract(&source).await;
    let found = extraction.candidates.iter().map(|it| it.playlist.to_string()).collect();
    (found, extraction.failures.iter().map(ToString::to_string).collect(), directory)
}

fn is_alive(pid: &str) -> bool {
    // A zombie (killed, but not yet waited for) is not alive.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

const PLAYABLE_OUTPUT_SCRIPT: &str =
    r#"echo '{"formats":[{"protocol":"m3u8","url":"https://a.example/x.m3u8"}]}'"#;

#[tokio::test]
async fn programs_succeed_fail_or_print_too_much() {
    for (script, found, failure) in [
        (PLAYABLE_OUTPUT_SCRIPT, vec!["https://a.example/x.m3u8"], ""),
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
        // The program does not see Pitwall's environment, and its home is removed afterwards.
        (
            "env | grep -q CARGO && exit 1; echo \"$HOME\" > HERE/home; cp $3 HERE/orders; echo null",
            vec![],
            "formats: nothing",
        ),
    ] {
        let (got, failures, directory) = run_script(script, "2s").await;
        assert_eq!(got, found, "{script}");
        assert!(
            failures.iter().all(|it| it.starts_with(failure) && !failure.is_empty()),
            "{failures:?}"
        );
        assert_eq!(failures.is_empty(), failure.is_empty(), "{script}");
        if let Ok(home) = std::fs::read_to_string(directory.path().join("home")) {
            assert!(!Path::new(home.trim()).exists(), "{home}");
            let config = std::fs::read_to_string(directory.path().join("orders")).unwrap();
            assert!(config.contains("--proxy 'http://pitwall:"), "{config}");
            assert!(config.contains("--add-headers 'Cookie:c=secret'"), "{config}");
            assert!(config.ends_with("'https://a.example/secret'"), "{config}");
        }
    }
}

/// A program that misses the deadline is killed with the processes that it started.
#[tokio::test]
async fn a_program_that_hangs_is_killed_with_its_children() {
    let script = "sleep 1000 &\necho $! > HERE/child; echo $$ > HERE/pid; wait";
    let (found, failures, directory) = run_script(script, "1s").await;
    assert!(found.is_empty());
    assert_eq!(failures, ["run: not finished within 1s"]);
    for file in ["child", "pid"] {
        let pid = std::fs::read_to_string(directory.path().join(file)).unwrap();
        while is_alive(pid.trim()) {
            tokio::task::yield_now().await;
        }
    }
}

#[test]
fn failures_are_explained_by_the_output() {
    let denial = || Some(StepFailure::permanent("the target is not allowed by the address policy"));
    for (output, denied, message, retryable) in [
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
            denial(),
            "the target is not allowed by the address policy",
            false,
        ),
        ("Traceback", None, "it failed", true),
        ("", None, "it failed", true),
    ] {
        let failure = explain_failure(output, denied);
        assert_eq!((failure.message.as_str(), failure.retryable), (message, retryable));
        assert!(!failure.detail.unwrap_or_default().contains("path"));
    }
}
