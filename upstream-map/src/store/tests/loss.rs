//! Redis goes down, comes back, or comes back empty.

use super::*;

#[tokio::test]
async fn after_a_flush_the_leader_writes_the_map_again() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let edge = StoreProcess::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    let mut changes = edge.store.subscribe_versions();
    changes.mark_unchanged();
    for _ in 0..3 {
        let () = server.query(&["FLUSHALL"]);
        let is_stored = || server.query::<i64>(&["EXISTS", "{test}:map"]) == 1;
        eventually("the map is written again", is_stored).await;
    }
    edge.assert_map(1, &["World feed"]);
    assert!(!changes.has_changed().unwrap(), "the edge saw another map");
    let new_edge = StoreProcess::edge(&server);
    new_edge.wait_for_version(1).await;
    leader.publish(2, &["Pit lane"]).await;
    for edge in [&edge, &new_edge] {
        edge.wait_for_version(2).await;
        edge.assert_map(2, &["Pit lane"]);
    }
}

#[tokio::test]
async fn without_a_leader_edges_keep_the_last_good_map_after_a_flush() {
    let server = RedisServer::start();
    let mut leader = StoreProcess::leader(&server).await;
    let edge = StoreProcess::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    leader.kill();
    let () = server.query(&["FLUSHALL"]);
    let empty = || edge.counter_value("pitwall_store_rejected_total", "empty") > 0;
    eventually("the edge sees an empty store", empty).await;
    edge.assert_map(1, &["World feed"]);
}

#[tokio::test]
async fn a_redis_restart_is_survived_with_and_without_its_data() {
    let mut server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let edge = StoreProcess::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    for (version, loses_data) in [(2, false), (3, true)] {
        server.kill();
        assert!(leader.store.publish(sample_map(version, &[])).await.is_err());
        edge.assert_map(version - 1, &["World feed"]);
        if loses_data {
            server.delete_data();
        }
        server.start_again();
        leader.wait_for_leadership().await;
        let new_edge = StoreProcess::edge(&server);
        new_edge.wait_for_version(version - 1).await;
        leader.publish(version, &["World feed"]).await;
        edge.wait_for_version(version).await;
        new_edge.wait_for_version(version).await;
    }
}

#[tokio::test]
async fn a_hanging_server_delays_no_reader() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let edge = StoreProcess::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    server.signal("-STOP");
    let started_at = Instant::now();
    for _ in 0..10_000 {
        assert_eq!(edge.version(), 1);
        edge.store.feedback().set_local_viewers(&StreamId::of_feed("World feed").unwrap(), 1);
    }
    assert!(started_at.elapsed() < Duration::from_millis(500), "{:?}", started_at.elapsed());
    let fence = leader.store.subscribe_fence();
    eventually("the lease that was not renewed has expired", || fence.borrow().is_none()).await;
    server.signal("-CONT");
    leader.wait_for_leadership().await;
    leader.publish(2, &["Pit lane"]).await;
    edge.wait_for_version(2).await;
}

#[tokio::test]
async fn an_edge_boots_from_disk_with_redis_dead() {
    let mut server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let mut edge = StoreProcess::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    let file = edge.wait_for_map_file().await;
    edge.kill();
    server.kill();
    let mut restarted =
        StoreProcess::with_keys(&server, (SEAL_KEY_BYTE, None), edge.state.clone()).start_sync();
    restarted.assert_map(1, &["World feed"]);
    assert_eq!(*restarted.store.subscribe_versions().borrow(), 1);
    server.start_again();
    leader.wait_for_leadership().await;
    leader.publish(2, &["Pit lane"]).await;
    restarted.wait_for_version(2).await;
    // Else it might save the map once more.
    restarted.kill();
    std::fs::write(&file, b"pitwall map 1\nrubbish").unwrap();
    let _ = std::fs::remove_file(edge.state_dir().join("map.previous"));
    let damaged = StoreProcess::with_keys(&server, (SEAL_KEY_BYTE, None), edge.state.clone());
    assert_eq!(damaged.version(), 0);
    assert_eq!(damaged.counter_value("pitwall_store_rejected_total", "disk"), 1);
    damaged.start_sync().wait_for_version(2).await;
}

#[tokio::test]
async fn a_killed_server_holds_one_complete_map() {
    let mut server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let feeds: Vec<String> = (0..300).map(|n| format!("Feed {n}")).collect();
    let feeds: Vec<&str> = feeds.iter().map(String::as_str).collect();
    for round in 1..=3 {
        let first = 1 + leader.version();
        let writes = async {
            for n in 0.. {
                leader.publish(first + n, &feeds[(n as usize % 7)..]).await;
            }
        };
        let kill = async {
            eventually("the leader publishes", || leader.version() >= first + 2 * round).await;
            server.kill();
        };
        tokio::select! {
            () = writes => {}
            () = kill => {}
        }
        let acknowledged = leader.version();
        server.start_again();
        let reader = StoreProcess::start(&server);
        let task = tokio::spawn(reader.store.clone().run_sync(std::future::pending()));
        eventually("a map", || reader.version() > 0).await;
        let version = reader.version();
        assert!(version >= acknowledged, "{version} is older than what was acknowledged");
        assert_eq!(reader.counter_value("pitwall_store_rejected_total", "damaged"), 0);
        task.abort();
    }
}
