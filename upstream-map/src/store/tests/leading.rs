//! Several control planes, of which one leads.

use super::*;
use crate::store::Leadership;

#[tokio::test]
async fn one_leads_and_another_takes_over() {
    let server = RedisServer::start();
    let mut first = Process::leader(&server).await;
    let second = Process::on(&server).following().leading();
    first.publish(1, &["World feed"]).await;
    second.reaches(1).await;
    let refused = second.store.publish(sample(2, &[])).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotLeading), "{refused}");
    let theirs = Leadership::Theirs(first.place());
    eventually("it knows who leads", || second.store.leadership() == theirs).await;
    assert_eq!(first.store.leadership(), Leadership::Ours);
    let old = first.store.fence().borrow().unwrap();
    first.kill();
    second.leads().await;
    assert_eq!(second.store.leadership(), Leadership::Ours);
    assert!(second.store.fence().borrow().unwrap() > old);
    second.publish(2, &["World feed", "Pit lane"]).await;
    // It was paused, not dead, and still believes.
    let refused = first.store.publish(sample(3, &[])).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotLeading), "{refused}");
    assert!(first.store.fence().borrow().is_none(), "and knows better now");
    second.holds(2, &["World feed", "Pit lane"]);
}

/// Whether Redis refuses connections or stands still, and for whoever led as for who stood by.
#[tokio::test]
async fn without_a_store_nobody_leads() {
    let mut server = RedisServer::start();
    let first = Process::leader(&server).await;
    let second = Process::on(&server).following().leading();
    let theirs = Leadership::Theirs(first.place());
    eventually("it knows who leads", || second.store.leadership() == theirs).await;
    let nobody = async || {
        for process in [&first, &second] {
            let nobody = || process.store.leadership() == Leadership::Unreachable;
            eventually("nobody leads", nobody).await;
        }
    };
    let somebody = async || {
        let ours = |one: &Process| one.store.leadership() == Leadership::Ours;
        eventually("one of them leads", || ours(&first) || ours(&second)).await;
    };
    server.signal("-STOP");
    nobody().await;
    server.signal("-CONT");
    somebody().await;
    server.kill();
    nobody().await;
    server.start_again();
    somebody().await;
}

/// Whoever was told that it failed must not find it done when Redis goes on.
#[tokio::test]
async fn what_was_refused_is_not_published_later() {
    let server = RedisServer::start();
    let leader = Process::leader(&server).await;
    leader.publish(1, &["World feed"]).await;
    let limit = Duration::from_millis(400);
    leader.store.publish_within(sample(2, &["World feed"]), limit).await.unwrap();
    assert_eq!(leader.version(), 2);
    let stored = || server.ask::<String>(&["HGET", "{test}:map", "version"]);
    // It stands still before it is asked anything, and after it was asked what time it is.
    for (version, pause) in [(3, None), (4, Some(["CLIENT", "PAUSE", "1500", "WRITE"]))] {
        match pause {
            None => server.signal("-STOP"),
            Some(pause) => server.ask(&pause),
        }
        let began = Instant::now();
        let refused = leader.store.publish_within(sample(version, &["Pit lane"]), limit).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, StoreError::Unreachable(_)), "{refused}");
        assert!(began.elapsed() < Duration::from_millis(1400), "{:?}", began.elapsed());
        if pause.is_none() {
            server.signal("-CONT");
        }
        // Written after all that was held up.
        let () = server.ask(&["SET", "other", "1"]);
        assert_eq!(stored(), "2", "{version} was refused");
        leader.leads().await;
    }
    leader.holds(2, &["World feed"]);
    leader.publish(5, &["World feed"]).await;
    assert_eq!(stored(), "5");
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
        assert_eq!(standby.store.leadership(), Leadership::Theirs(expected));
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
