//! Redis goes, comes back, or comes back empty.

use super::*;

#[tokio::test]
async fn flushed_it_is_written_again_and_nobody_loses_the_map() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let edge = Process::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    let mut changes = edge.store.changes();
    changes.mark_unchanged();
    for _ in 0..3 {
        let () = server.ask(&["FLUSHALL"]);
        let there = || server.ask::<i64>(&["EXISTS", "{test}:map"]) == 1;
        eventually("it is written again", there).await;
    }
    edge.holds(1, &["World feed"]);
    assert!(!changes.has_changed().unwrap(), "the edge saw another map");
    let newcomer = Process::edge(&server);
    newcomer.reaches(1).await;
    leader.publish(2, &["Pit lane"]).await;
    for edge in [&edge, &newcomer] {
        edge.reaches(2).await;
        edge.holds(2, &["Pit lane"]);
    }
}

#[tokio::test]
async fn with_nobody_to_write_it_again_the_last_good_map_stays() {
    let server = RedisServer::start();
    let mut leader = Process::leader(&server).await;
    let edge = Process::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    leader.kill();
    let () = server.ask(&["FLUSHALL"]);
    let empty = || edge.counted("pitwall_store_refused_total", "empty") > 0;
    eventually("it is seen to be empty", empty).await;
    edge.holds(1, &["World feed"]);
}

#[tokio::test]
async fn a_restart_is_survived_with_and_without_what_was_stored() {
    let mut server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let edge = Process::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    for (version, forgets) in [(2, false), (3, true)] {
        server.kill();
        assert!(leader.store.publish(sample(version, &[])).await.is_err());
        edge.holds(version - 1, &["World feed"]);
        if forgets {
            server.forget();
        }
        server.start_again();
        leader.leads().await;
        let newcomer = Process::edge(&server);
        newcomer.reaches(version - 1).await;
        leader.publish(version, &["World feed"]).await;
        edge.reaches(version).await;
        newcomer.reaches(version).await;
    }
}

#[tokio::test]
async fn a_server_that_stands_still_delays_no_reader() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let edge = Process::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    server.signal("-STOP");
    let began = Instant::now();
    for _ in 0..10_000 {
        assert_eq!(edge.version(), 1);
        edge.store.demand().watch(&StreamId::of_feed("World feed").unwrap(), 1);
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    let fence = leader.store.fence();
    eventually("a lease that was not renewed is over", || fence.borrow().is_none()).await;
    server.signal("-CONT");
    leader.leads().await;
    leader.publish(2, &["Pit lane"]).await;
    edge.reaches(2).await;
}

#[tokio::test]
async fn an_edge_boots_from_disk_with_redis_dead() {
    let mut server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let mut edge = Process::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    let file = edge.is_on_disk().await;
    edge.kill();
    server.kill();
    let again = Process::with(&server, (KEY, None), edge.state.clone()).following();
    again.holds(1, &["World feed"]);
    assert_eq!(*again.store.changes().borrow(), 1);
    server.start_again();
    leader.leads().await;
    leader.publish(2, &["Pit lane"]).await;
    again.reaches(2).await;
    std::fs::write(&file, b"pitwall map 1\nrubbish").unwrap();
    let _ = std::fs::remove_file(edge.state().join("map.previous"));
    let damaged = Process::with(&server, (KEY, None), edge.state.clone());
    assert_eq!(damaged.version(), 0);
    assert_eq!(damaged.counted("pitwall_store_refused_total", "disk"), 1);
    damaged.following().reaches(2).await;
}

#[tokio::test]
async fn killed_between_publications_it_holds_one_of_them() {
    let mut server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let feeds: Vec<String> = (0..300).map(|n| format!("Feed {n}")).collect();
    let feeds: Vec<&str> = feeds.iter().map(String::as_str).collect();
    for round in 1..=3 {
        let first = 1 + leader.version();
        let writes = async {
            for n in 0.. {
                leader.publish(first + n, &feeds[(n as usize % 7)..]).await;
            }
        };
        let dies = async {
            eventually("it writes", || leader.version() >= first + 2 * round).await;
            server.kill();
        };
        tokio::select! {
            () = writes => {}
            () = dies => {}
        }
        let acknowledged = leader.version();
        server.start_again();
        let reader = Process::on(&server);
        let task = tokio::spawn(reader.store.clone().follow(std::future::pending()));
        eventually("a map", || reader.version() > 0).await;
        let version = reader.version();
        assert!(version >= acknowledged, "{version} is older than what was acknowledged");
        assert_eq!(reader.counted("pitwall_store_refused_total", "damaged"), 0);
        task.abort();
    }
}
