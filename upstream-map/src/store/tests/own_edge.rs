//! A control plane that leads the edge of its own process while Redis cannot be reached.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::store::{Leadership, MapReach};

const LIMIT: Duration = Duration::from_millis(600);
/// An operator is answered in less than this, with time for a busy machine.
const ANSWER_MAX: Duration = Duration::from_millis(1500);

impl StoreProcess {
    async fn publish_switch(&self, version: u64, feeds: &[&str]) -> MapReach {
        let began_at = Instant::now();
        let published = self.store.publish_within(sample_map(version, feeds), LIMIT).await;
        assert!(began_at.elapsed() < ANSWER_MAX, "{:?}", began_at.elapsed());
        published.unwrap()
    }

    fn empty_state() -> Arc<tempfile::TempDir> {
        Arc::new(tempfile::tempdir().unwrap())
    }
}

/// A way to Redis that can be cut.
struct Cable {
    address: RedisAddress,
    is_cut: watch::Sender<bool>,
}

impl Cable {
    async fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (redis, is_cut) = (server.address(), watch::Sender::new(false));
        let cuts = is_cut.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                tokio::spawn(async move {
                    if *cuts.borrow() {
                        return;
                    }
                    let mut far = TcpStream::connect(redis).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.wait_for(|is_cut| *is_cut) => {}
                    }
                });
            }
        });
        Self { address: RedisAddress::parse(&url, &[]).unwrap(), is_cut }
    }
}

#[tokio::test]
async fn maps_reach_the_own_edge_at_once_and_others_when_redis_is_back() {
    let mut server = RedisServer::start();
    let process = StoreProcess::with_own_edge(&server, StoreProcess::empty_state());
    process.wait_for_leadership().await;
    let other = StoreProcess::edge(&server);
    let mut version = 1;
    for is_killed in [false, true] {
        process.publish(version, &["World feed"]).await;
        other.wait_for_version(version).await;
        match is_killed {
            true => server.kill(),
            false => server.signal("-STOP"),
        }
        // Before the lease ends, and after.
        for pause in [Duration::ZERO, LEASE_DURATION * 2] {
            sleep(pause).await;
            version += 1;
            let reach = process.publish_switch(version, &["World feed", "Pit lane"]).await;
            assert_eq!((reach, process.version()), (MapReach::OwnEdge, version));
            assert_eq!(process.store.leadership(), Leadership::Leader);
        }
        assert!(!process.store.holds_lease() && process.store.leads_own_edge_only());
        assert_eq!(other.version(), version - 2);
        match is_killed {
            true => server.start_again(),
            false => server.signal("-CONT"),
        }
        other.wait_for_version(version).await;
        other.assert_map(version, &["World feed", "Pit lane"]);
        let is_shared = || !process.store.leads_own_edge_only();
        eventually("all edges are led again", is_shared).await;
        version += 1;
        let reach = process.publish_switch(version, &["World feed"]).await;
        assert_eq!(reach, MapReach::AllEdges);
        other.wait_for_version(version).await;
        version += 1;
    }
}

/// In a process without an edge there is nobody whom a control plane could lead.
#[tokio::test]
async fn without_an_own_edge_nothing_is_published_without_redis() {
    let mut server = RedisServer::start();
    let process = StoreProcess::leader(&server).await;
    process.publish(1, &["World feed"]).await;
    server.kill();
    let error = process.store.publish_within(sample_map(2, &[]), LIMIT).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    assert_eq!(process.version(), 1);
}

#[tokio::test]
async fn what_was_published_without_redis_is_on_disk_when_it_is_answered() {
    let mut server = RedisServer::start();
    let state = StoreProcess::empty_state();
    let mut process = StoreProcess::with_own_edge(&server, state.clone());
    process.wait_for_leadership().await;
    process.publish(1, &["World feed"]).await;
    server.kill();
    for version in 2..5 {
        process.publish_switch(version, &["World feed", "Pit lane"]).await;
    }
    process.kill();
    let restarted = StoreProcess::with_own_edge(&server, state);
    restarted.assert_map(4, &["World feed", "Pit lane"]);
    // It leads its edge again, and writes its map when Redis is back with an older one.
    restarted.wait_for_leadership().await;
    assert!(restarted.store.leads_own_edge_only());
    server.start_again();
    let other = StoreProcess::edge(&server);
    other.wait_for_version(4).await;
}

/// Whatever the cut-off leader decided, with versions below or above: the map of the control plane
/// that has the lease is in force, also there.
#[tokio::test]
async fn a_leader_that_was_cut_off_follows_its_successor() {
    for own_version in [2, 1_000] {
        let server = RedisServer::start();
        let cable = Cable::to(&server).await;
        let keys = (SEAL_KEY_BYTE, None);
        let state = StoreProcess::empty_state();
        let first = StoreProcess::with_config(cable.address.clone(), keys, state, true);
        let first = first.start_sync().start_election();
        first.wait_for_leadership().await;
        first.publish(1, &["World feed"]).await;
        cable.is_cut.send_replace(true);
        let second = StoreProcess::leader(&server).await;
        second.wait_for_version(1).await;
        second.publish(100, &["World feed", "Pit lane"]).await;
        assert_eq!(first.publish_switch(own_version, &["Onboard"]).await, MapReach::OwnEdge);
        cable.is_cut.send_replace(false);
        let is_standby = || matches!(first.store.leadership(), Leadership::Standby(_));
        eventually("the first stands by", is_standby).await;
        first.wait_for_version(100).await;
        first.assert_map(100, &["World feed", "Pit lane"]);
        let error = first.store.publish(sample_map(2_000, &[])).await.unwrap_err();
        assert!(matches!(error, StoreError::NotLeading), "{error}");
        second.publish(101, &["World feed"]).await;
        first.wait_for_version(101).await;
    }
}

/// The same where the successor is gone when the cut-off leader is back: it has the lease again, and
/// goes on from its successor's map.
#[tokio::test]
async fn a_leader_that_was_cut_off_goes_on_from_its_successors_map() {
    let server = RedisServer::start();
    let cable = Cable::to(&server).await;
    let (keys, state) = ((SEAL_KEY_BYTE, None), StoreProcess::empty_state());
    let first = StoreProcess::with_config(cable.address.clone(), keys, state, true);
    let first = first.start_sync().start_election();
    first.wait_for_leadership().await;
    first.publish(1, &["World feed"]).await;
    let fence = first.store.subscribe_fence().borrow().unwrap();
    cable.is_cut.send_replace(true);
    let mut second = StoreProcess::leader(&server).await;
    second.publish(100, &["World feed", "Pit lane"]).await;
    first.publish_switch(2, &["Onboard"]).await;
    second.kill();
    cable.is_cut.send_replace(false);
    let leads_again = || first.store.subscribe_fence().borrow().is_some_and(|now| now > fence);
    eventually("the first leads again", leads_again).await;
    first.wait_for_version(100).await;
    first.assert_map(100, &["World feed", "Pit lane"]);
}

/// Two processes of both kinds: the one that led when Redis was lost leads when it is back, so that
/// what an operator decided there holds everywhere.
#[tokio::test]
async fn a_standby_leaves_the_lease_to_the_former_leader() {
    let mut server = RedisServer::start();
    let leader = StoreProcess::with_own_edge(&server, StoreProcess::empty_state());
    leader.wait_for_leadership().await;
    leader.publish(1, &["World feed"]).await;
    let standby = StoreProcess::with_own_edge(&server, StoreProcess::empty_state());
    standby.wait_for_version(1).await;
    let is_standby = || matches!(standby.store.leadership(), Leadership::Standby(_));
    eventually("the second stands by", is_standby).await;
    server.kill();
    leader.publish_switch(2, &["World feed", "Pit lane"]).await;
    // After the time of a lease the standby leads its own edge.
    standby.wait_for_leadership().await;
    assert_eq!(standby.publish_switch(2, &["Onboard"]).await, MapReach::OwnEdge);
    server.start_again();
    standby.wait_for_version(2).await;
    eventually("the second stands by again", is_standby).await;
    let follows = || standby.store.map().streams.contains_key("pit-lane");
    eventually("the second follows", follows).await;
    leader.assert_map(2, &["World feed", "Pit lane"]);
    assert_eq!(leader.publish_switch(3, &["World feed"]).await, MapReach::AllEdges);
    standby.wait_for_version(3).await;
}
