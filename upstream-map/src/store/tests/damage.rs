//! The stored entries are not those that were written.

use super::*;

#[tokio::test]
async fn a_damaged_entry_leaves_the_old_map_and_the_leader_repairs_it() {
    let server = RedisServer::start();
    let mut leader = StoreProcess::leader(&server).await;
    let edge = StoreProcess::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    leader.wait_for_map_file().await;
    leader.kill();
    let damage = || {
        let () = server.query(&["HSET", "{test}:map", "stream/world-feed", "forged"]);
        let () = server.query(&["PUBLISH", "{test}:news", "{\"version\":2,\"delta\":null}"]);
    };
    damage();
    let damaged =
        |edge: &StoreProcess| edge.counter_value("pitwall_store_rejected_total", "damaged");
    eventually("the damaged map is rejected", || damaged(&edge) == 1).await;
    edge.assert_map(1, &["World feed"]);
    let new_edge = StoreProcess::edge(&server);
    eventually("a new edge rejects it too", || damaged(&new_edge) == 1).await;
    assert_eq!(new_edge.version(), 0);
    // The next leader detects the damage too, and has the undamaged map on disk.
    let next_leader = StoreProcess::with_keys(&server, (SEAL_KEY_BYTE, None), leader.state.clone())
        .start_election();
    eventually("the next leader loads the map from disk", || next_leader.version() == 1).await;
    next_leader.wait_for_leadership().await;
    let next_leader = next_leader.start_sync();
    new_edge.wait_for_version(1).await;
    new_edge.assert_map(1, &["World feed"]);
    next_leader.publish(2, &["Pit lane"]).await;
    new_edge.wait_for_version(2).await;
}

#[tokio::test]
async fn entries_of_two_maps_are_rejected() {
    let server = RedisServer::start();
    let mut leader = StoreProcess::leader(&server).await;
    leader.publish(1, &["World feed"]).await;
    let old: Vec<u8> = server.query(&["HGET", "{test}:map", "document/status"]);
    leader.publish(2, &["World feed"]).await;
    leader.kill();
    let mut command = redis::cmd("HSET");
    command.arg("{test}:map").arg("document/status").arg(old);
    let () = command.query(&mut server.connection()).unwrap();
    let edge = StoreProcess::edge(&server);
    let damaged = || edge.counter_value("pitwall_store_rejected_total", "damaged") == 1;
    eventually("the mixed map is rejected", damaged).await;
    assert_eq!(edge.version(), 0);
}

#[tokio::test]
async fn a_map_sealed_with_another_key_is_not_read() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    leader.publish(1, &["World feed"]).await;
    let state = Arc::new(tempfile::tempdir().unwrap());
    let foreign = StoreProcess::with_keys(&server, (9, None), state).start_sync();
    let damaged = || foreign.counter_value("pitwall_store_rejected_total", "damaged") > 0;
    eventually("the map is rejected", damaged).await;
    assert_eq!(foreign.version(), 0);
    let reason = "the map is sealed with another key than [access] seal_key_file /run/seal.key";
    assert_eq!(foreign.store.unreadable_reason().as_deref(), Some(reason));
    assert_eq!(leader.store.unreadable_reason(), None);
}

/// One damaged entry is no mistake of the operator, and the leader repairs it.
#[tokio::test]
async fn one_damaged_entry_makes_no_edge_unready() {
    let server = RedisServer::start();
    let mut leader = StoreProcess::leader(&server).await;
    let edge = StoreProcess::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    leader.kill();
    let () = server.query(&["HSET", "{test}:map", "stream/world-feed", "forged"]);
    let () = server.query(&["PUBLISH", "{test}:news", "{\"version\":2,\"delta\":null}"]);
    let damaged = || edge.counter_value("pitwall_store_rejected_total", "damaged") == 1;
    eventually("the damaged map is rejected", damaged).await;
    assert_eq!(edge.store.unreadable_reason(), None);
}

/// Keys rotated in the wrong order: an edge with only the old key serves its last map, but is not
/// ready until it has both keys.
#[tokio::test]
async fn a_map_that_cannot_be_read_any_more_makes_an_edge_unready_until_it_can() {
    let server = RedisServer::start();
    let mut old = StoreProcess::leader(&server).await;
    let edge = StoreProcess::edge(&server);
    old.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    old.kill();
    let new = StoreProcess::with_keys(&server, (2, Some(SEAL_KEY_BYTE)), old.state.clone())
        .start_sync()
        .start_election();
    new.wait_for_leadership().await;
    new.publish(2, &["World feed"]).await;
    eventually("the edge reports an unreadable map", || edge.store.unreadable_reason().is_some())
        .await;
    edge.assert_map(1, &["World feed"]);
    let both =
        StoreProcess::with_keys(&server, (SEAL_KEY_BYTE, Some(2)), edge.state.clone()).start_sync();
    both.wait_for_version(2).await;
    assert_eq!(both.store.unreadable_reason(), None);
}
