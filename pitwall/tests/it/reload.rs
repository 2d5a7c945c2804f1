//! The configuration is read again while viewers watch: by `POST /reload`, when a file changes, and
//! on SIGHUP.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Edge, client, eventually, fetch};
use crate::twin_sources::{ADMIN_TOKEN, sources, start_upstream, wait_for_both_sources};
use crate::viewer::{Viewer, find_media_playlist};

/// A configuration with both twins and further text.
fn config(upstream_url: &str, more: &str) -> String {
    format!(
        "[access]\nadmin_token_file = \"admin.token\"\n[schedule]\nproviders = []\n{more}\n{}",
        sources(upstream_url, "live.m3u8")
    )
}

/// Replaces a file as configuration management does.
fn replace(directory: &Path, name: &str, content: &str) {
    std::fs::write(directory.join("new"), content).unwrap();
    std::fs::rename(directory.join("new"), directory.join(name)).unwrap();
}

/// Posts a reload with this token: status, content type and body.
async fn post_reload(edge: &Edge, token: &str) -> (u16, String, Value) {
    let request = client().post(format!("http://{}/reload", edge.admin)).bearer_auth(token);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let content_type = headers["content-type"].to_str().unwrap().to_owned();
    (status, content_type, response.json().await.unwrap())
}

/// The value of a series on the admin listener.
async fn metric(edge: &Edge, series: &str) -> Option<String> {
    let text = fetch(&format!("http://{}/metrics", edge.admin)).await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(series)?.trim().to_owned()))
}

/// Starts a viewer of the stream who polls until the flag is set, and then gives how often it did.
///
/// Any answer but a playlist that continues the last one fails the task.
fn start_viewer(base: String, stopping: Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
    tokio::spawn(async move {
        let playlist = find_media_playlist(&base).await;
        let (mut viewer, mut polls) = (Viewer::default(), 0);
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !stopping.load(Ordering::SeqCst) {
            ticks.tick().await;
            let response = fetch(&playlist).await.unwrap();
            assert_eq!(response.status(), 200, "after {polls} polls");
            viewer.record_playlist(&playlist, &response.text().await.unwrap());
            polls += 1;
        }
        polls
    })
}

#[tokio::test]
async fn a_reload_applies_what_changed_and_no_viewer_notices() {
    let (upstream_url, _twins) = start_upstream().await;
    let edge = Edge::start_with(&config(&upstream_url, ""), |directory| {
        std::fs::write(directory.join("admin.token"), ADMIN_TOKEN).unwrap();
        std::fs::create_dir(directory.join("sources")).unwrap();
    })
    .await;
    let directory = edge.directory();
    wait_for_both_sources(&edge.url("")).await;
    let stopping = Arc::new(AtomicBool::new(false));
    let viewer = start_viewer(edge.url(""), stopping.clone());
    let runs = "pitwall_extractor_runs_total{outcome=\"success\",source=\"first\",step=\"none\"}";
    let runs_before = metric(&edge, runs).await.unwrap();

    // A file that comes is a change, also one that an operator saves by command.
    let third = format!(
        "name = \"third\"\nkind = \"static\"\nfeed = \"Pit lane\"\n\
         url = \"{upstream_url}/second/live.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n"
    );
    let saved = client().put(edge.url("/api/sources/third")).bearer_auth(ADMIN_TOKEN);
    let saved = saved.header("if-none-match", "*").json(&json!({ "text": third }));
    assert_eq!(saved.send().await.unwrap().status(), 201);
    let pit_lane = edge.url("/live/pit-lane/index.m3u8");
    let plays = || async { (fetch(&pit_lane).await.ok()?.status() == 200).then_some(()) };
    eventually("the new source plays", plays).await;

    // A mistake changes nothing, and is named.
    replace(directory, "pitwall.toml", &config(&upstream_url, "[edge.limits]\nrequests = \"x\""));
    let (status, content_type, problem) = post_reload(&edge, ADMIN_TOKEN).await;
    assert_eq!((status, content_type.as_str()), (422, "application/problem+json"), "{problem}");
    assert_eq!(problem["type"], "urn:pitwall:problem:config-invalid");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("pitwall.toml:6: edge.limits.requests: "), "{detail}");
    let successful = "pitwall_config_last_reload_successful";
    assert_eq!(metric(&edge, successful).await.as_deref(), Some("0"));

    // What can change, changes; what cannot is named; sources that stay are not asked again.
    let link =
        edge.url(&crate::support::plain_link("/proxy", &format!("{upstream_url}/first/live.m3u8")));
    assert_eq!(fetch(&link).await.unwrap().status(), 403);
    let host = upstream_url.strip_prefix("http://").unwrap();
    let more = format!(
        "[edge]\nthreads = 3\n[upstream]\nallow_hosts = [{host:?}]\n\
         allow_private = [\"127.0.0.0/8\"]"
    );
    replace(directory, "pitwall.toml", &config(&upstream_url, &more));
    let (status, _, body) = post_reload(&edge, ADMIN_TOKEN).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body,
        json!({
            "changed": ["upstream.allow_hosts", "upstream.allow_private"],
            "sources": { "added": [], "changed": [], "removed": [] },
            "needs_restart": ["edge.threads"],
        })
    );
    assert_eq!(fetch(&link).await.unwrap().status(), 200);
    assert_eq!(metric(&edge, successful).await.as_deref(), Some("1"));

    // The command does the same as the admin listener, which has just done it.
    let command = client().post(edge.url("/api/reload")).bearer_auth(ADMIN_TOKEN);
    let again: Value = command.send().await.unwrap().json().await.unwrap();
    assert_eq!((&again["changed"], &again["needs_restart"]), (&json!([]), &body["needs_restart"]));

    // The token is a file too, and holds at once.
    let token = "another-admin-token-of-enough-characters";
    replace(directory, "admin.token", token);
    assert_eq!(post_reload(&edge, token).await.0, 401, "not before it was read");
    assert_eq!(post_reload(&edge, ADMIN_TOKEN).await.0, 200);
    assert_eq!(post_reload(&edge, ADMIN_TOKEN).await.0, 401);

    // A source that is removed stops playing, and the viewer of another stream plays on.
    std::fs::remove_file(directory.join("sources/third.toml")).unwrap();
    let pid = edge.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let is_gone = || async { (fetch(&pit_lane).await.ok()?.status() == 404).then_some(()) };
    eventually("the removed source is gone", is_gone).await;
    assert_eq!(metric(&edge, runs).await, Some(runs_before));
    stopping.store(true, Ordering::SeqCst);
    assert!(viewer.await.unwrap() > 20);
}

#[tokio::test]
async fn only_the_admin_token_reloads() {
    let config = "[schedule]\nproviders = []\n";
    let edge = Edge::start(config).await;
    let (status, _, problem) = post_reload(&edge, ADMIN_TOKEN).await;
    assert_eq!((status, &problem["status"]), (403, &json!(403)), "no token is configured");
    let get = fetch(&format!("http://{}/reload", edge.admin)).await.unwrap();
    assert_eq!((get.status().as_u16(), get.headers()["allow"].to_str().unwrap()), (405, "POST"));
}
