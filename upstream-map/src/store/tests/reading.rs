//! Publishing and reading while all is well.

use super::*;

fn empty() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn readers_take_what_changed_and_converge() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let early = Process::edge(&server);
    leader.publish(100, &["World feed", "Onboard 44"]).await;
    leader.holds(100, &["World feed", "Onboard 44"]);
    early.reaches(100).await;
    early.holds(100, &["World feed", "Onboard 44"]);
    leader.publish(101, &["World feed", "Pit lane"]).await;
    let late = Process::edge(&server);
    for edge in [&early, &late] {
        edge.reaches(101).await;
        edge.holds(101, &["World feed", "Pit lane"]);
    }
    leader.publish(102, &["World feed"]).await;
    for edge in [&early, &late] {
        edge.reaches(102).await;
        edge.holds(102, &["World feed"]);
        assert!(edge.counted("pitwall_store_reads_total", "delta") >= 1);
    }
    assert_eq!(leader.counted("pitwall_store_publications_total", "whole"), 1);
    assert_eq!(leader.counted("pitwall_store_publications_total", "delta"), 2);
    assert_eq!(*early.store.changes().borrow(), 102);
}

#[tokio::test]
async fn only_what_changed_is_written_and_nothing_in_clear() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    leader.publish(1, &["World feed", "Onboard 44"]).await;
    let stored = || {
        let all: Vec<(String, Vec<u8>)> = server.ask(&["HGETALL", "{test}:map"]);
        all.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = stored();
    leader.publish(2, &["World feed"]).await;
    let after = stored();
    let changed: Vec<_> =
        after.iter().filter(|(field, it)| before.get(*field) != Some(it)).collect();
    let changed: Vec<&str> = changed.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(changed, ["document/status", "head", "version"]);
    assert!(before.contains_key("stream/onboard-44") && !after.contains_key("stream/onboard-44"));
    for (field, value) in &before {
        let text = String::from_utf8_lossy(value);
        assert!(!text.contains("example") && !text.contains("secret"), "{field} is in clear");
    }
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert!(keys.iter().all(|key| key.starts_with("{test}:")), "{keys:?}");
}

#[tokio::test]
async fn an_outdated_version_is_refused() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    leader.publish(10, &["World feed"]).await;
    for outdated in [10, 9] {
        let refused = leader.store.publish(sample(outdated, &[])).await.unwrap_err();
        assert!(matches!(refused, StoreError::Outdated { current: 10, .. }), "{refused}");
    }
    // Nor by Redis itself, from a process that has not read what is there.
    let mut paused = Process::on(&server);
    paused.store.held.fence.send_replace(*leader.store.fence().borrow());
    let refused = paused.store.publish(sample(10, &[])).await.unwrap_err();
    assert!(matches!(refused, StoreError::Outdated { current: 10, .. }), "{refused}");
    paused.kill();
    leader.holds(10, &["World feed"]);
}

#[tokio::test]
async fn keys_rotate_without_a_break() {
    let server = RedisServer::start();
    let mut old = Process::leader(&server).await;
    old.publish(1, &["World feed", "Onboard 44"]).await;
    old.kill();
    let rotated = || Process::with(&server, (2, Some(KEY)), empty());
    let new = rotated().following().leading();
    new.reaches(1).await;
    new.leads().await;
    new.publish(2, &["World feed", "Onboard 44"]).await;
    let edge = rotated().following();
    edge.reaches(2).await;
    let later = Process::with(&server, (2, None), empty()).following();
    later.reaches(2).await;
    later.holds(2, &["World feed", "Onboard 44"]);
}

#[tokio::test]
async fn a_lost_notice_is_found_out() {
    let server = RedisServer::start();
    let mut leader = Process::on(&server);
    // Nobody listens there.
    Arc::get_mut(&mut leader.store).unwrap().names.news = "elsewhere".to_owned();
    let leader = leader.following().leading();
    leader.leads().await;
    let edge = Process::edge(&server);
    for (version, feed) in [(1, "World feed"), (2, "Pit lane")] {
        leader.publish(version, &[feed]).await;
        edge.reaches(version).await;
        edge.holds(version, &[feed]);
    }
    assert_eq!(edge.counted("pitwall_store_reads_total", "delta"), 0);
}

#[tokio::test]
async fn demand_reaches_the_leader() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let (one, two) = (Process::edge(&server), Process::edge(&server));
    let stream = StreamId::of_feed("World feed").unwrap();
    leader.store.demand().watch(&stream, 1);
    one.store.demand().watch(&stream, 2);
    two.store.demand().watch(&stream, 4);
    let viewers = || leader.store.demand().watched().get(&stream).copied();
    eventually("all viewers are counted", || viewers() == Some(7)).await;
    two.store.demand().watch(&stream, 0);
    eventually("those that left are not", || viewers() == Some(3)).await;
    let report = crate::demand::Report {
        stream: stream.clone(),
        source: "club".to_owned(),
        generation: 1,
        what: crate::demand::Seen::Failed { status: Some(403) },
    };
    one.store.demand().report(report.clone());
    let mut heard = Vec::new();
    eventually("the report is heard", || {
        heard.extend(leader.store.demand().take_reports());
        !heard.is_empty()
    })
    .await;
    assert_eq!(heard, [report]);
}

#[tokio::test]
async fn a_server_without_resp3_will_do() {
    let server = RedisServer::start();
    let old = || {
        let mut process = Process::on(&server);
        *Arc::get_mut(&mut process.store).unwrap().link.resp2.get_mut() = true;
        process.following()
    };
    let (leader, edge) = (old().leading(), old());
    leader.leads().await;
    for (version, feed) in [(1, "World feed"), (2, "Pit lane")] {
        leader.publish(version, &[feed]).await;
        edge.reaches(version).await;
    }
    edge.holds(2, &["Pit lane"]);
    assert!(edge.counted("pitwall_store_reads_total", "delta") > 0);
}

#[tokio::test]
async fn a_user_needs_no_more_than_its_prefix() {
    let server = RedisServer::start();
    let rights = ["on", ">secret", "~{test}:*", "&{test}:*", "+@all", "-@dangerous"];
    let () = server.ask(&[&["ACL", "SETUSER", "pitwall"][..], &rights].concat());
    let url = server.url().replace("redis://", "redis://pitwall:secret@");
    let process = || {
        let address = RedisAddress::parse(&url, &[]).unwrap();
        Process::at(address, (KEY, None), empty()).following()
    };
    let (leader, edge) = (process().leading(), process());
    leader.leads().await;
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    let stream = StreamId::of_feed("World feed").unwrap();
    edge.store.demand().watch(&stream, 1);
    let watched = || leader.store.demand().watched().contains_key(&stream);
    eventually("demand is carried", watched).await;
}
