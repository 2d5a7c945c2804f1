//! Three Sentinels, a master and a replica.

use super::*;

#[tokio::test]
async fn a_failover_is_followed() {
    let mut master = RedisServer::start();
    let port = master.address().port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let sentinels: Vec<_> = (0..3).map(|_| RedisServer::start_sentinel(&master)).collect();
    let info = |server: &RedisServer, section: &str| {
        server.try_query::<String>(&["INFO", section]).unwrap_or_default()
    };
    eventually("the replica is in step", || {
        info(&replica, "replication").contains("master_link_status:up")
    })
    .await;
    for sentinel in &sentinels {
        eventually("the Sentinels know each other and the replica", || {
            info(sentinel, "sentinel").contains("slaves=1,sentinels=3")
        })
        .await;
    }
    let addresses: Vec<String> = sentinels.iter().map(|one| one.address().to_string()).collect();
    let process = || {
        let address = RedisAddress::parse("redis://mymaster", &addresses).unwrap();
        StoreProcess::with_address(
            address,
            (SEAL_KEY_BYTE, None),
            Arc::new(tempfile::tempdir().unwrap()),
        )
        .start_sync()
    };
    let (leader, edge) = (process().start_election(), process());
    leader.wait_for_leadership().await;
    leader.publish(1, &["World feed"]).await;
    edge.wait_for_version(1).await;
    let replicated = || replica.query::<Option<u64>>(&["HGET", "{test}:map", "version"]) == Some(1);
    eventually("it is replicated", replicated).await;
    master.kill();
    eventually("the replica is the master", || {
        info(&replica, "replication").contains("role:master")
    })
    .await;
    edge.assert_map(1, &["World feed"]);
    leader.publish(2, &["Pit lane"]).await;
    edge.wait_for_version(2).await;
    edge.assert_map(2, &["Pit lane"]);
    assert_eq!(replica.query::<Option<u64>>(&["HGET", "{test}:map", "version"]), Some(2));
}
