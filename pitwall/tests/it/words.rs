//! What operators say: it is in force when it is answered 200, and stays so whatever dies; and what
//! is refused is not done.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::{Cluster, Control, Edge, TOKEN, empty};
use crate::support::{client, eventually, within};
use crate::twins::{both_are_there, sources, upstream};

const PINNED: &str = "second plays because an operator chose it.";
/// The store has 2 s, and an answer that is on its way half a second; the rest is for a busy machine.
const BOUND: Duration = Duration::from_secs(5);
/// How long a word that was refused would have had to take effect.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// Status and body, and that it came in time.
async fn switch(base: &str, body: &Value) -> (u16, String) {
    let began = Instant::now();
    let request = client().post(format!("{base}/api/streams/world-feed/switch"));
    let answer = request.bearer_auth(TOKEN).json(body).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    assert!(began.elapsed() < BOUND, "{:?}: {text}", began.elapsed());
    (status, text)
}

/// That it is refused, nothing being changed, for want of a store.
async fn is_refused(base: &str, says: &str) {
    let (status, text) = switch(base, &json!({ "source": "first", "pin": true })).await;
    assert_eq!(status, 503, "{text}");
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(problem["type"], "urn:pitwall:problem:store-unavailable", "{text}");
    for says in [says, "the store cannot be reached", "othing was changed"] {
        assert!(problem["detail"].as_str().unwrap().contains(says), "{text}");
    }
}

async fn summary(edge: &Edge) -> Option<String> {
    let answer = client().get(edge.url("/api/streams/world-feed/explain")).send().await.ok()?;
    let explanation: Value = answer.error_for_status().ok()?.json().await.ok()?;
    Some(explanation["summary"].as_str()?.to_owned())
}

async fn is_pinned(edges: &[&Edge]) {
    for edge in edges {
        let pinned = || async { (summary(edge).await.as_deref() == Some(PINNED)).then_some(()) };
        eventually("it is pinned", pinned).await;
    }
}

/// At no time anything else.
async fn stays_pinned(edges: &[&Edge]) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let until = Instant::now() + AFTERWARDS;
    while Instant::now() < until {
        ticks.tick().await;
        for edge in edges {
            assert_eq!(summary(edge).await.as_deref(), Some(PINNED));
        }
    }
}

async fn one_leads(controls: [&Control; 2]) -> usize {
    within(40, "one of them leads", || async {
        let leads = [controls[0].is_leader().await, controls[1].is_leader().await];
        (leads[0] != leads[1]).then_some(usize::from(leads[1]))
    })
    .await
}

async fn nobody_leads(controls: [&Control; 2]) {
    eventually("nobody leads", || async {
        let leads = [controls[0].is_leader().await, controls[1].is_leader().await];
        (leads == [false; 2]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_an_operator_said_outlives_redis_and_the_leader() {
    let (site, _twins) = upstream().await;
    let (cluster, redis, first) = Cluster::with(&sources(&site, "live.m3u8")).led().await;
    let second = cluster.control();
    let controls = [first.address, second.address];
    let one = cluster.edge_of(&controls, empty());
    let two = cluster.edge_of(&[controls[1], controls[0]], empty());
    let edges = [&one, &two];
    for edge in edges {
        both_are_there(&edge.url("")).await;
    }
    let standing_by =
        format!("this control plane stands by: another one leads leader={:?}", first.address);
    let standing_by = standing_by.replace('"', "");
    let said = |control: &Control| control.log().replace('"', "").matches(&standing_by).count();
    eventually("the second says for whom it stands by", || async {
        (said(&second) == 1).then_some(())
    })
    .await;

    // Through the one that stands by.
    let (status, text) = switch(&two.url(""), &json!({ "source": "second" })).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"pinned\":true"), "{text}");
    is_pinned(&edges).await;
    assert_eq!(said(&second), 1, "once");

    // Redis stands still, and goes on before the lease has ended.
    redis.signal("-STOP");
    is_refused(&one.url(""), "").await;
    redis.signal("-CONT");
    stays_pinned(&edges).await;

    // It dies, for longer than the lease, and comes back empty.
    redis.kill();
    let outage = Instant::now();
    is_refused(&one.url(""), "").await;
    is_refused(&two.url(""), "").await;
    nobody_leads([&first, &second]).await;
    for base in [
        one.url(""),
        two.url(""),
        format!("http://{}", controls[0]),
        format!("http://{}", controls[1]),
    ] {
        is_refused(&base, "nobody leads").await;
    }
    tokio::time::sleep_until(outage + Duration::from_secs(13)).await;
    let redis = cluster.redis().await;
    one_leads([&first, &second]).await;
    stays_pinned(&edges).await;

    // It stands still for longer than the lease.
    redis.signal("-STOP");
    nobody_leads([&first, &second]).await;
    eventually("nobody leads, and both know", || async {
        let (_, text) = switch(&two.url(""), &json!({ "source": "first" })).await;
        text.contains("nobody leads").then_some(())
    })
    .await;
    is_refused(&one.url(""), "nobody leads").await;
    redis.signal("-CONT");
    let leader = one_leads([&first, &second]).await;
    stays_pinned(&edges).await;

    // The leader dies; the other one goes by what was said, and takes commands through both edges.
    let (dying, next) = if leader == 0 { (first, second) } else { (second, first) };
    dying.process.kill();
    next.leads().await;
    stays_pinned(&edges).await;
    for edge in edges {
        let (status, text) = within(20, "it has found its feet", || async {
            let answer = switch(&edge.url(""), &json!({ "source": "second" })).await;
            (answer.0 != 503).then_some(answer)
        })
        .await;
        assert_eq!(status, 200, "{text}");
    }
    // And so does one that starts anew.
    let third = cluster.control();
    next.process.kill();
    third.leads().await;
    stays_pinned(&edges).await;
}

/// With nothing left but what it has on disk.
#[tokio::test]
async fn a_pin_outlives_redis_and_the_control_plane_together() {
    let (site, _twins) = upstream().await;
    let (cluster, redis, control) = Cluster::with(&sources(&site, "live.m3u8")).led().await;
    let edge = cluster.edge(control.address, empty());
    both_are_there(&edge.url("")).await;
    let (status, text) = switch(&edge.url(""), &json!({ "source": "second" })).await;
    assert_eq!(status, 200, "{text}");
    let state = control.state.clone();
    control.process.kill();
    redis.kill();
    let _redis = cluster.redis().await;
    let control = cluster.control_in(state);
    control.leads().await;
    let edge = cluster.edge(control.address, empty());
    is_pinned(&[&edge]).await;
    stays_pinned(&[&edge]).await;
    // Taken off, and that too is remembered.
    let (status, text) = switch(&edge.url(""), &json!({ "source": "first", "pin": false })).await;
    assert_eq!(status, 200, "{text}");
    let state = control.state.clone();
    control.process.kill();
    let control = cluster.control_in(state);
    control.leads().await;
    let edge = cluster.edge(control.address, empty());
    both_are_there(&edge.url("")).await;
    assert_ne!(summary(&edge).await.as_deref(), Some(PINNED));
}
