//! Operators' commands: a command answered with 200 is in force and survives the death of Redis and
//! control planes; a command that is refused never takes effect.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::{ADMIN_TOKEN, Cluster, Control, Edge, empty_directory};
use crate::support::{client, eventually, eventually_within};
use crate::twin_sources::{sources, start_upstream, wait_for_both_sources};

const PINNED_SUMMARY: &str = "second plays because an operator chose it.";
/// Limit of a command's response time: the store has 2 s, a response in flight half a second, and
/// the rest allows for a busy machine.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// Time in which a refused command could still take effect.
const LATE_EFFECT_PERIOD: Duration = Duration::from_secs(5);

/// Posts a switch; status and body.
///
/// # Panics
/// When the response takes longer than [`COMMAND_TIMEOUT`].
async fn request_switch(base: &str, body: &Value) -> (u16, String) {
    let began = Instant::now();
    let request = client().post(format!("{base}/api/streams/world-feed/switch"));
    let response = request.bearer_auth(ADMIN_TOKEN).json(body).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    assert!(began.elapsed() < COMMAND_TIMEOUT, "{:?}: {text}", began.elapsed());
    (status, text)
}

/// Asserts that a switch is refused because the store is unavailable, and that the problem's detail
/// contains `detail`.
async fn assert_switch_refused(base: &str, detail: &str) {
    let (status, text) = request_switch(base, &json!({ "source": "first", "pin": true })).await;
    assert_eq!(status, 503, "{text}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["type"], "urn:pitwall:problem:store-unavailable", "{text}");
    for expected in [detail, "the store cannot be reached", "othing was changed"] {
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{text}");
    }
}

/// The summary of the stream's explanation.
async fn summary(edge: &Edge) -> Option<String> {
    let response = client().get(edge.url("/api/streams/world-feed/explain")).send().await.ok()?;
    let explanation: Value = response.error_for_status().ok()?.json().await.ok()?;
    Some(explanation["summary"].as_str()?.to_owned())
}

async fn wait_until_pinned(edges: &[&Edge]) {
    for edge in edges {
        let pinned =
            || async { (summary(edge).await.as_deref() == Some(PINNED_SUMMARY)).then_some(()) };
        eventually("it is pinned", pinned).await;
    }
}

/// Asserts that the pinned source stays active for [`LATE_EFFECT_PERIOD`].
async fn assert_stays_pinned(edges: &[&Edge]) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let deadline = Instant::now() + LATE_EFFECT_PERIOD;
    while Instant::now() < deadline {
        ticks.tick().await;
        for edge in edges {
            assert_eq!(summary(edge).await.as_deref(), Some(PINNED_SUMMARY));
        }
    }
}

async fn wait_for_one_leader(controls: [&Control; 2]) -> usize {
    eventually_within(40, "one of them leads", || async {
        let leads = [controls[0].is_leader().await, controls[1].is_leader().await];
        (leads[0] != leads[1]).then_some(usize::from(leads[1]))
    })
    .await
}

async fn wait_for_no_leader(controls: [&Control; 2]) {
    eventually("nobody leads", || async {
        let leads = [controls[0].is_leader().await, controls[1].is_leader().await];
        (leads == [false; 2]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_command_outlives_redis_and_the_leader() {
    let (upstream_url, _twins) = start_upstream().await;
    let (cluster, redis, first) =
        Cluster::with(&sources(&upstream_url, "live.m3u8")).start_with_leader().await;
    let second = cluster.start_control();
    let controls = [first.address, second.address];
    let one = cluster.start_edge_with_controls(&controls, empty_directory());
    let two = cluster.start_edge_with_controls(&[controls[1], controls[0]], empty_directory());
    let edges = [&one, &two];
    for edge in edges {
        wait_for_both_sources(&edge.url("")).await;
    }
    let message =
        format!("this control plane stands by: another one leads leader={:?}", first.address);
    let message = message.replace('"', "");
    let standby_log_count =
        |control: &Control| control.log().replace('"', "").matches(&message).count();
    eventually("the second says for whom it stands by", || async {
        (standby_log_count(&second) == 1).then_some(())
    })
    .await;

    // The command goes through the standby.
    let (status, text) = request_switch(&two.url(""), &json!({ "source": "second" })).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"pinned\":true"), "{text}");
    wait_until_pinned(&edges).await;
    assert_eq!(standby_log_count(&second), 1, "once");

    // Redis is stopped, and continues before the lease expires.
    redis.signal("-STOP");
    assert_switch_refused(&one.url(""), "").await;
    redis.signal("-CONT");
    assert_stays_pinned(&edges).await;

    // Redis is killed for longer than the lease, and comes back empty.
    redis.kill();
    let outage = Instant::now();
    assert_switch_refused(&one.url(""), "").await;
    assert_switch_refused(&two.url(""), "").await;
    wait_for_no_leader([&first, &second]).await;
    for base in [
        one.url(""),
        two.url(""),
        format!("http://{}", controls[0]),
        format!("http://{}", controls[1]),
    ] {
        assert_switch_refused(&base, "nobody leads").await;
    }
    tokio::time::sleep_until(outage + Duration::from_secs(13)).await;
    let redis = cluster.start_redis().await;
    wait_for_one_leader([&first, &second]).await;
    assert_stays_pinned(&edges).await;

    // Redis is stopped for longer than the lease.
    redis.signal("-STOP");
    wait_for_no_leader([&first, &second]).await;
    eventually("nobody leads, and both know", || async {
        let (_, text) = request_switch(&two.url(""), &json!({ "source": "first" })).await;
        text.contains("nobody leads").then_some(())
    })
    .await;
    assert_switch_refused(&one.url(""), "nobody leads").await;
    redis.signal("-CONT");
    let leader = wait_for_one_leader([&first, &second]).await;
    assert_stays_pinned(&edges).await;

    // The leader is killed; the new leader keeps the pin, and takes commands through both edges.
    let (dying, next) = if leader == 0 { (first, second) } else { (second, first) };
    dying.process.kill();
    next.wait_until_leader().await;
    assert_stays_pinned(&edges).await;
    for edge in edges {
        let (status, text) = eventually_within(20, "it has found its feet", || async {
            let response = request_switch(&edge.url(""), &json!({ "source": "second" })).await;
            (response.0 != 503).then_some(response)
        })
        .await;
        assert_eq!(status, 200, "{text}");
    }
    // A newly started control plane keeps the pin too.
    let third = cluster.start_control();
    next.process.kill();
    third.wait_until_leader().await;
    assert_stays_pinned(&edges).await;
}

/// A control plane restores the pin from its disk when Redis has lost it.
#[tokio::test]
async fn a_pin_outlives_redis_and_the_control_plane_together() {
    let (upstream_url, _twins) = start_upstream().await;
    let (cluster, redis, control) =
        Cluster::with(&sources(&upstream_url, "live.m3u8")).start_with_leader().await;
    let edge = cluster.start_edge(control.address, empty_directory());
    wait_for_both_sources(&edge.url("")).await;
    let (status, text) = request_switch(&edge.url(""), &json!({ "source": "second" })).await;
    assert_eq!(status, 200, "{text}");
    let state = control.state.clone();
    control.process.kill();
    redis.kill();
    let _redis = cluster.start_redis().await;
    let control = cluster.start_control_in(state);
    control.wait_until_leader().await;
    let edge = cluster.start_edge(control.address, empty_directory());
    wait_until_pinned(&[&edge]).await;
    assert_stays_pinned(&[&edge]).await;
    // The pin is removed, which survives a restart too.
    let (status, text) =
        request_switch(&edge.url(""), &json!({ "source": "first", "pin": false })).await;
    assert_eq!(status, 200, "{text}");
    let state = control.state.clone();
    control.process.kill();
    let control = cluster.start_control_in(state);
    control.wait_until_leader().await;
    let edge = cluster.start_edge(control.address, empty_directory());
    wait_for_both_sources(&edge.url("")).await;
    assert_ne!(summary(&edge).await.as_deref(), Some(PINNED_SUMMARY));
}
