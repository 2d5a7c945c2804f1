//! Leader election among several control planes.

use super::*;
use crate::store::Leadership;

#[tokio::test]
async fn a_standby_takes_over_and_the_old_leader_is_fenced() {
    let server = RedisServer::start();
    let mut first = StoreProcess::leader(&server).await;
    let second = StoreProcess::start(&server).start_sync().start_election();
    first.publish(1, &["World feed"]).await;
    second.wait_for_version(1).await;
    let error = second.store.publish(sample_map(2, &[])).await.unwrap_err();
    assert!(matches!(error, StoreError::NotLeading), "{error}");
    let expected = Leadership::Standby(first.command_address());
    eventually("the standby knows the leader", || second.store.leadership() == expected).await;
    assert_eq!(first.store.leadership(), Leadership::Leader);
    let old_fence = first.store.subscribe_fence().borrow().unwrap();
    first.kill();
    second.wait_for_leadership().await;
    assert_eq!(second.store.leadership(), Leadership::Leader);
    assert!(second.store.subscribe_fence().borrow().unwrap() > old_fence);
    second.publish(2, &["World feed", "Pit lane"]).await;
    // The first process was paused, not killed, and still believes in its lease.
    let error = first.store.publish(sample_map(3, &[])).await.unwrap_err();
    assert!(matches!(error, StoreError::NotLeading), "{error}");
    assert!(first.store.subscribe_fence().borrow().is_none(), "the old leader has stepped down");
    second.assert_map(2, &["World feed", "Pit lane"]);
}

/// The lease lasts longer than a successor waits for it.
#[tokio::test]
async fn a_leader_that_yields_passes_the_lease_on_and_can_seek_it_again() {
    let server = RedisServer::start();
    let first = StoreProcess::leader(&server).await;
    first.store.yield_leadership().await;
    assert_eq!(*first.store.subscribe_fence().borrow(), None);
    let mut second = StoreProcess::start(&server).start_sync().start_election();
    let began_at = Instant::now();
    second.wait_for_leadership().await;
    assert!(began_at.elapsed() < LEASE_DURATION, "{:?}", began_at.elapsed());
    assert_eq!(*first.store.subscribe_fence().borrow(), None, "it does not seek the lease");
    second.kill();
    first.store.resume_leadership();
    first.wait_for_leadership().await;
}

/// No process leads while Redis refuses connections or hangs, whether it was the leader or a
/// standby before.
#[tokio::test]
async fn without_a_store_no_process_leads() {
    let mut server = RedisServer::start();
    let first = StoreProcess::leader(&server).await;
    let second = StoreProcess::start(&server).start_sync().start_election();
    let expected = Leadership::Standby(first.command_address());
    eventually("the standby knows the leader", || second.store.leadership() == expected).await;
    let nobody = async || {
        for process in [&first, &second] {
            let nobody = || process.store.leadership() == Leadership::Unreachable;
            eventually("nobody leads", nobody).await;
        }
    };
    let somebody = async || {
        let ours = |one: &StoreProcess| one.store.leadership() == Leadership::Leader;
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

/// A publication that was reported as failed must not happen when Redis resumes.
#[tokio::test]
async fn a_failed_publication_does_not_happen_later() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    leader.publish(1, &["World feed"]).await;
    let limit = Duration::from_millis(400);
    leader.store.publish_within(sample_map(2, &["World feed"]), limit).await.unwrap();
    assert_eq!(leader.version(), 2);
    let stored = || server.query::<String>(&["HGET", "{test}:map", "version"]);
    // Redis hangs before its clock is read, and after.
    for (version, pause) in [(3, None), (4, Some(["CLIENT", "PAUSE", "1500", "WRITE"]))] {
        match pause {
            None => server.signal("-STOP"),
            Some(pause) => server.query(&pause),
        }
        let started_at = Instant::now();
        let result = leader.store.publish_within(sample_map(version, &["Pit lane"]), limit).await;
        let result = result.unwrap_err();
        assert!(matches!(result, StoreError::Unreachable(_)), "{result}");
        assert!(started_at.elapsed() < Duration::from_millis(1400), "{:?}", started_at.elapsed());
        if pause.is_none() {
            server.signal("-CONT");
        }
        // This command runs after all that were held up.
        let () = server.query(&["SET", "other", "1"]);
        assert_eq!(stored(), "2", "{version} was refused");
        leader.wait_for_leadership().await;
    }
    leader.assert_map(2, &["World feed"]);
    leader.publish(5, &["World feed"]).await;
    assert_eq!(stored(), "5");
}

/// Commands for the leader must not be sent to an address that anybody forged in Redis.
#[tokio::test]
async fn a_forged_leader_address_is_ignored() {
    let server = RedisServer::start();
    let standby = StoreProcess::start(&server);
    let sealed = standby.store.cipher.seal("lease", b"abc here.example:8081");
    let other_field = standby.store.cipher.seal("head", b"abc evil.example:8081");
    for (lease, expected) in [
        (sealed.as_slice(), Some("here.example:8081".to_owned())),
        (b"abc evil.example:8081", None),
        (other_field.as_slice(), None),
        (standby.store.cipher.seal("lease", b"abc ").as_slice(), None),
    ] {
        standby.store.note_leader(lease);
        assert_eq!(standby.store.leadership(), Leadership::Standby(expected));
    }
}

#[tokio::test]
async fn a_stopping_leader_releases_the_lease_at_once() {
    let server = RedisServer::start();
    let first = StoreProcess::start(&server);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let election = tokio::spawn(first.store.clone().run_leader_election(None, async {
        let _ = stopped.await;
    }));
    first.wait_for_leadership().await;
    stop.send(()).unwrap();
    election.await.unwrap();
    assert_eq!(server.query::<i64>(&["EXISTS", "{test}:lease"]), 0);
    let second = StoreProcess::start(&server).start_election();
    second.wait_for_leadership().await;
}

/// Fencing tokens and versions count exactly beyond the integers of a double.
#[tokio::test]
async fn fences_and_versions_may_be_high() {
    const HIGH: u64 = 1 << 53;
    let server = RedisServer::start();
    let mut first = StoreProcess::start(&server).start_sync();
    let () = server.query(&["SET", "{test}:fence", &HIGH.to_string()]);
    first = first.start_election();
    first.wait_for_leadership().await;
    assert_eq!(first.store.subscribe_fence().borrow().unwrap(), HIGH + 1);
    let second = StoreProcess::start(&server).start_sync().start_election();
    for version in [HIGH, HIGH + 1, HIGH + 2] {
        first.publish(version, &["World feed"]).await;
        second.wait_for_version(version).await;
    }
    first.kill();
    second.wait_for_leadership().await;
    assert_eq!(second.store.subscribe_fence().borrow().unwrap(), HIGH + 2);
    second.publish(HIGH + 3, &["World feed"]).await;
    let error = first.store.publish(sample_map(HIGH + 4, &[])).await.unwrap_err();
    assert!(matches!(error, StoreError::NotLeading), "{error}");
    for (last, expected) in [("9", "10"), ("1899", "1900"), ("0", "1"), ("999", "1000")] {
        let script = concat!(include_str!("../decimal.lua"), "return following(ARGV[1])");
        assert_eq!(server.query::<String>(&["EVAL", script, "0", last]), expected);
    }
}

#[tokio::test]
async fn fences_grow_even_if_redis_loses_them() {
    let server = RedisServer::start();
    let leader = StoreProcess::leader(&server).await;
    let mut last = leader.store.subscribe_fence().borrow().unwrap();
    for _ in 0..2 {
        let () = server.query(&["FLUSHALL"]);
        let fence = || leader.store.subscribe_fence().borrow().unwrap_or(0);
        eventually("a higher fence", || fence() > last).await;
        last = fence();
    }
}
