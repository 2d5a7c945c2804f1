//! Publishing and reading without failures.

use super::*;

fn empty_state_dir() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn readers_apply_deltas_and_converge() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let early = StoreProcess::edge(&server);
    leader.publish(100, &["World feed", "Onboard 44"]).await;
    leader.assert_map(100, &["World feed", "Onboard 44"]);
    early.wait_for_version(100).await;
    early.assert_map(100, &["World feed", "Onboard 44"]);
    leader.publish(101, &["World feed", "Pit lane"]).await;
    let late = StoreProcess::edge(&server);
    for edge in [&early, &late] {
        edge.wait_for_version(101).await;
        edge.assert_map(101, &["World feed", "Pit lane"]);
    }
    leader.publish(102, &["World feed"]).await;
    for edge in [&early, &late] {
        edge.wait_for_version(102).await;
        edge.assert_map(102, &["World feed"]);
        assert!(edge.counter_value("pitwall_store_reads_total", "delta") >= 1);
    }
    assert_eq!(leader.counter_value("pitwall_store_publications_total", "whole"), 1);
    assert_eq!(leader.counter_value("pitwall_store_publications_total", "delta"), 2);
    assert_eq!(*early.store.subscribe_versions().borrow(), 102);
}

#[tokio::test]
async fn only_changed_entries_are_written_and_none_in_clear() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    leader.publish(1, &["World feed", "Onboard 44"]).await;
    let stored = || {
        let all: Vec<(String, Vec<u8>)> = server.query(&["HGETALL", "{test}:map"]);
        all.into_iter().collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = stored();
    leader.publish(2, &["World feed"]).await;
    let after = stored();
    let changed: Vec<_> =
        after.iter().filter(|(field, value)| before.get(*field) != Some(value)).collect();
    let changed: Vec<&str> = changed.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(changed, ["document/status", "head", "version"]);
    assert!(before.contains_key("stream/onboard-44") && !after.contains_key("stream/onboard-44"));
    for (field, value) in &before {
        let text = String::from_utf8_lossy(value);
        assert!(!text.contains("example") && !text.contains("secret"), "{field} is in clear");
    }
    let keys: Vec<String> = server.query(&["KEYS", "*"]);
    assert!(keys.iter().all(|key| key.starts_with("{test}:")), "{keys:?}");
}

#[tokio::test]
async fn an_outdated_version_is_refused() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    leader.publish(10, &["World feed"]).await;
    for outdated in [10, 9] {
        let error = leader.store.publish(sample_map(outdated, &[])).await.unwrap_err();
        assert!(matches!(error, StoreError::Outdated { current: 10, .. }), "{error}");
    }
    // Redis rejects it too, from a process that has not read the current map.
    let mut paused = StoreProcess::start(&server);
    paused.store.current_map.fence.send_replace(*leader.store.subscribe_fence().borrow());
    let error = paused.store.publish(sample_map(10, &[])).await.unwrap_err();
    assert!(matches!(error, StoreError::Outdated { current: 10, .. }), "{error}");
    paused.kill();
    leader.assert_map(10, &["World feed"]);
}

#[tokio::test]
async fn keys_rotate_without_interruption() {
    let server = RedisServer::start();
    let mut old = StoreProcess::leader(&server).await;
    old.publish(1, &["World feed", "Onboard 44"]).await;
    old.kill();
    let rotated = || StoreProcess::with_keys(&server, (2, Some(SEAL_KEY_BYTE)), empty_state_dir());
    let new = rotated().start_sync().start_election();
    new.wait_for_version(1).await;
    new.wait_for_leadership().await;
    new.publish(2, &["World feed", "Onboard 44"]).await;
    let edge = rotated().start_sync();
    edge.wait_for_version(2).await;
    let later = StoreProcess::with_keys(&server, (2, None), empty_state_dir()).start_sync();
    later.wait_for_version(2).await;
    later.assert_map(2, &["World feed", "Onboard 44"]);
}

#[tokio::test]
async fn a_lost_notice_is_detected() {
    let server = RedisServer::start();
    let mut leader = StoreProcess::start(&server);
    // No edge subscribes to this channel.
    Arc::get_mut(&mut leader.store).unwrap().keys.changes_channel = "elsewhere".to_owned();
    let leader = leader.start_sync().start_election();
    leader.wait_for_leadership().await;
    let edge = StoreProcess::edge(&server);
    for (version, feed) in [(1, "World feed"), (2, "Pit lane")] {
        leader.publish(version, &[feed]).await;
        edge.wait_for_version(version).await;
        edge.assert_map(version, &[feed]);
    }
    assert_eq!(edge.counter_value("pitwall_store_reads_total", "delta"), 0);
}

#[tokio::test]
async fn feedback_reaches_the_leader() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let (first, second) = (StoreProcess::edge(&server), StoreProcess::edge(&server));
    let stream = StreamId::of_feed("World feed").unwrap();
    leader.store.feedback().set_local_viewers(&stream, 1);
    first.store.feedback().set_local_viewers(&stream, 2);
    second.store.feedback().set_local_viewers(&stream, 4);
    let viewers = || leader.store.feedback().viewers_by_stream().get(&stream).copied();
    eventually("all viewers are counted", || viewers() == Some(7)).await;
    second.store.feedback().set_local_viewers(&stream, 0);
    eventually("those that left are not", || viewers() == Some(3)).await;
    let report = crate::feedback::UpstreamReport {
        stream: stream.clone(),
        source: "club".to_owned(),
        generation: 1,
        what: crate::feedback::Observation::Failed { status: Some(403) },
    };
    first.store.feedback().push_report(report.clone());
    let mut received = Vec::new();
    eventually("the report is received", || {
        received.extend(leader.store.feedback().take_reports());
        !received.is_empty()
    })
    .await;
    assert_eq!(received, [report]);
}

#[tokio::test]
async fn a_server_without_resp3_works() {
    let server = RedisServer::start();
    let resp2_process = || {
        let mut process = StoreProcess::start(&server);
        *Arc::get_mut(&mut process.store).unwrap().connector.is_resp2_only.get_mut() = true;
        process.start_sync()
    };
    let (leader, edge) = (resp2_process().start_election(), resp2_process());
    leader.wait_for_leadership().await;
    for (version, feed) in [(1, "World feed"), (2, "Pit lane")] {
        leader.publish(version, &[feed]).await;
        edge.wait_for_version(version).await;
    }
    edge.assert_map(2, &["Pit lane"]);
    assert!(edge.counter_value("pitwall_store_reads_total", "delta") > 0);
}

#[tokio::test]
async fn a_redis_user_needs_access_to_its_prefix_only() {
    let server = RedisServer::start();
    let rights = ["on", ">secret", "~{test}:*", "&{test}:*", "+@all", "-@dangerous"];
    let () = server.query(&[&["ACL", "SETUSER", "pitwall"][..], &rights].concat());
    let url = server.url().replace("redis://", "redis://pitwall:secret@");
    let process = || {
        let address = RedisAddress::parse(&url, &[]).unwrap();
        StoreProcess::with_address(address, (SEAL_KEY_BYTE, None), empty_state_dir()).start_sync()
    };
    let (leader, edge) = (process().start_election(), process());
    leader.wait_for_leadership().await;
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    let stream = StreamId::of_feed("World feed").unwrap();
    edge.store.feedback().set_local_viewers(&stream, 1);
    let is_watched = || leader.store.feedback().viewers_by_stream().contains_key(&stream);
    eventually("viewers reach the leader", is_watched).await;
}
