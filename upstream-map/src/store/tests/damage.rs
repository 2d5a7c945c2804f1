//! What is stored is not what was written.

use super::*;

#[tokio::test]
async fn a_damaged_entry_leaves_the_old_map_and_is_written_again() {
    let server = RedisServer::start();
    let mut leader = Process::leader(&server).await;
    let edge = Process::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    leader.is_on_disk().await;
    leader.kill();
    let damage = || {
        let () = server.ask(&["HSET", "{test}:map", "stream/world-feed", "forged"]);
        let () = server.ask(&["PUBLISH", "{test}:news", "{\"version\":2,\"delta\":null}"]);
    };
    damage();
    let damaged = |edge: &Process| edge.counted("pitwall_store_refused_total", "damaged");
    eventually("it is refused", || damaged(&edge) == 1).await;
    edge.holds(1, &["World feed"]);
    let newcomer = Process::edge(&server);
    eventually("by a newcomer too", || damaged(&newcomer) == 1).await;
    assert_eq!(newcomer.version(), 0);
    // The next leader sees it as well, and has the map that was there.
    let next = Process::with(&server, (KEY, None), leader.state.clone()).leading();
    eventually("from disk", || next.version() == 1).await;
    next.leads().await;
    let next = next.following();
    newcomer.reaches(1).await;
    newcomer.holds(1, &["World feed"]);
    next.publish(2, &["Pit lane"]).await;
    newcomer.reaches(2).await;
}

#[tokio::test]
async fn entries_of_two_maps_are_no_map() {
    let server = RedisServer::start();
    let mut leader = Process::leader(&server).await;
    leader.publish(1, &["World feed"]).await;
    let old: Vec<u8> = server.ask(&["HGET", "{test}:map", "document/status"]);
    leader.publish(2, &["World feed"]).await;
    leader.kill();
    let mut command = redis::cmd("HSET");
    command.arg("{test}:map").arg("document/status").arg(old);
    let () = command.query(&mut server.connection()).unwrap();
    let edge = Process::edge(&server);
    let damaged = || edge.counted("pitwall_store_refused_total", "damaged") == 1;
    eventually("each is ours, together they are not", damaged).await;
    assert_eq!(edge.version(), 0);
}

#[tokio::test]
async fn with_another_key_nothing_is_read() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    leader.publish(1, &["World feed"]).await;
    let state = Arc::new(tempfile::tempdir().unwrap());
    let stranger = Process::with(&server, (9, None), state).following();
    let damaged = || stranger.counted("pitwall_store_refused_total", "damaged") > 0;
    eventually("it says so", damaged).await;
    assert_eq!(stranger.version(), 0);
    let why = "the map is sealed with another key than [access] seal_key_file /run/seal.key";
    assert_eq!(stranger.store.unreadable().as_deref(), Some(why));
    assert_eq!(leader.store.unreadable(), None);
}

/// Which is not the operator's mistake, and is mended by the one that leads.
#[tokio::test]
async fn one_damaged_entry_makes_no_edge_unready() {
    let server = RedisServer::start();
    let mut leader = Process::leader(&server).await;
    let edge = Process::edge(&server);
    leader.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    leader.kill();
    let () = server.ask(&["HSET", "{test}:map", "stream/world-feed", "forged"]);
    let () = server.ask(&["PUBLISH", "{test}:news", "{\"version\":2,\"delta\":null}"]);
    let damaged = || edge.counted("pitwall_store_refused_total", "damaged") == 1;
    eventually("it is refused", damaged).await;
    assert_eq!(edge.store.unreadable(), None);
}

/// A rotation in the wrong order: the edge that has only the old key plays on with the map that it
/// has, but is not ready, until it has both.
#[tokio::test]
async fn a_map_that_cannot_be_read_any_more_makes_an_edge_unready_until_it_can() {
    let server = RedisServer::start();
    let mut old = Process::leader(&server).await;
    let edge = Process::edge(&server);
    old.publish(1, &["World feed"]).await;
    edge.reaches(1).await;
    old.kill();
    let new = Process::with(&server, (2, Some(KEY)), old.state.clone()).following().leading();
    new.leads().await;
    new.publish(2, &["World feed"]).await;
    eventually("it is noticed", || edge.store.unreadable().is_some()).await;
    edge.holds(1, &["World feed"]);
    let both = Process::with(&server, (KEY, Some(2)), edge.state.clone()).following();
    both.reaches(2).await;
    assert_eq!(both.store.unreadable(), None);
}
