//! Several control planes, of which one leads.

use super::*;

#[tokio::test]
async fn one_leads_and_another_takes_over() {
    let server = RedisServer::start();
    let mut first = Process::leader(&server).await;
    let second = Process::on(&server).following().leading();
    first.publish(1, &["World feed"]).await;
    second.reaches(1).await;
    let refused = second.store.publish(sample(2, &[])).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotLeading), "{refused}");
    eventually("it knows who leads", || second.store.leader() == first.place()).await;
    assert_eq!(first.store.leader(), None, "nobody else does");
    let old = first.store.fence().borrow().unwrap();
    first.kill();
    second.leads().await;
    assert_eq!(second.store.leader(), None);
    assert!(second.store.fence().borrow().unwrap() > old);
    second.publish(2, &["World feed", "Pit lane"]).await;
    // It was paused, not dead, and still believes.
    let refused = first.store.publish(sample(3, &[])).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotLeading), "{refused}");
    assert!(first.store.fence().borrow().is_none(), "and knows better now");
    second.holds(2, &["World feed", "Pit lane"]);
}

/// Whoever may write to Redis shall not be sent what others send the leader.
#[tokio::test]
async fn a_leader_that_somebody_made_up_is_unknown() {
    let server = RedisServer::start();
    let standby = Process::on(&server);
    let sealed = standby.store.vault.seal("lease", b"abc here.example:8081");
    let elsewhere = standby.store.vault.seal("head", b"abc evil.example:8081");
    for (held, expected) in [
        (sealed.as_slice(), Some("here.example:8081".to_owned())),
        (b"abc evil.example:8081", None),
        (elsewhere.as_slice(), None),
        (standby.store.vault.seal("lease", b"abc ").as_slice(), None),
    ] {
        standby.store.heard_of(held);
        assert_eq!(standby.store.leader(), expected);
    }
}

#[tokio::test]
async fn who_stops_hands_over_at_once() {
    let server = RedisServer::start();
    let first = Process::on(&server);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let leading = tokio::spawn(first.store.clone().lead(None, async {
        let _ = stopped.await;
    }));
    first.leads().await;
    stop.send(()).unwrap();
    leading.await.unwrap();
    assert_eq!(server.ask::<i64>(&["EXISTS", "{test}:lease"]), 0);
    let second = Process::on(&server).leading();
    second.leads().await;
}

/// One by one, also where a double cannot count any more.
#[tokio::test]
async fn fences_and_versions_may_be_high() {
    const HIGH: u64 = 1 << 53;
    let server = RedisServer::start();
    let mut first = Process::on(&server).following();
    let () = server.ask(&["SET", "{test}:fence", &HIGH.to_string()]);
    first = first.leading();
    first.leads().await;
    assert_eq!(first.store.fence().borrow().unwrap(), HIGH + 1);
    let second = Process::on(&server).following().leading();
    for version in [HIGH, HIGH + 1, HIGH + 2] {
        first.publish(version, &["World feed"]).await;
        second.reaches(version).await;
    }
    first.kill();
    second.leads().await;
    assert_eq!(second.store.fence().borrow().unwrap(), HIGH + 2);
    second.publish(HIGH + 3, &["World feed"]).await;
    let refused = first.store.publish(sample(HIGH + 4, &[])).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotLeading), "{refused}");
    for (last, expected) in [("9", "10"), ("1899", "1900"), ("0", "1"), ("999", "1000")] {
        let script = concat!(include_str!("../decimal.lua"), "return following(ARGV[1])");
        assert_eq!(server.ask::<String>(&["EVAL", script, "0", last]), expected);
    }
}

#[tokio::test]
async fn fences_grow_though_redis_forgets_them() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    let mut last = leader.store.fence().borrow().unwrap();
    for _ in 0..2 {
        let () = server.ask(&["FLUSHALL"]);
        let fence = || leader.store.fence().borrow().unwrap_or(0);
        eventually("a higher fence", || fence() > last).await;
        last = fence();
    }
}
