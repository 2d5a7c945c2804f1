use super::*;

fn client(text: &str) -> ClientNetwork {
    text.parse::<IpAddr>().unwrap().into()
}

#[test]
fn connections_are_limited_per_client_and_in_all() {
    let limits = LimitsConfig {
        connections: NonZeroUsize::new(4).unwrap(),
        connections_per_client: NonZeroUsize::new(2),
        ..LimitsConfig::default()
    };
    let limiter = ClientLimiter::default();
    let one = Some(client("192.0.2.1"));
    let first = limiter.acquire_connection(&limits, one);
    let second = limiter.acquire_connection(&limits, one);
    assert!(first.is_some() && second.is_some());
    assert!(limiter.acquire_connection(&limits, one).is_none(), "of one client");
    let same = limiter.acquire_connection(&limits, Some(client("::ffff:192.0.2.1")));
    assert!(same.is_none(), "however it is written");
    let proxy =
        (limiter.acquire_connection(&limits, None), limiter.acquire_connection(&limits, None));
    assert!(proxy.0.is_some() && proxy.1.is_some());
    assert!(limiter.acquire_connection(&limits, Some(client("192.0.2.2"))).is_none(), "in all");
    drop((first, second));
    assert!(limiter.acquire_connection(&limits, one).is_some(), "permits are released");
    drop(proxy);
    let left = limiter.connections.lock_counts();
    assert_eq!((left.total, left.by_client.len()), (0, 0));
}

#[test]
fn without_a_limit_only_public_clients_have_one() {
    let (limiter, limits) = (ClientLimiter::default(), LimitsConfig::default());
    for (address, expected) in [
        ("8.8.8.8", 256),
        ("2a00:1450::1", 256),
        ("127.0.0.1", 300),
        ("192.168.1.2", 300),
        ("fd00::1", 300),
    ] {
        let permits =
            std::iter::from_fn(|| limiter.acquire_connection(&limits, Some(client(address))));
        let held: Vec<_> = permits.take(300).collect();
        assert_eq!(held.len(), expected, "{address}");
    }
}

/// Limits that are lowered end nothing that is open.
#[test]
fn limits_change_while_permits_are_held() {
    let limiter = ClientLimiter::default();
    let of_two = LimitsConfig { connections: at_least_one(2), ..LimitsConfig::default() };
    let of_one = LimitsConfig { connections: at_least_one(1), ..LimitsConfig::default() };
    let held: Vec<_> = (0..3).map(|_| limiter.acquire_connection(&of_two, None)).collect();
    assert_eq!(held.iter().flatten().count(), 2);
    assert!(limiter.acquire_connection(&of_one, None).is_none());
    drop(held);
    let held = limiter.acquire_connection(&of_one, None);
    assert!(held.is_some() && limiter.acquire_connection(&of_one, None).is_none());
    assert!(limiter.acquire_connection(&of_two, None).is_some());
}

/// Who takes all that one client may have leaves the rest to others.
#[test]
fn what_is_held_open_is_limited_per_client() {
    let limits = LimitsConfig {
        event_streams: at_least_one(5),
        event_streams_per_client: at_least_one(2),
        blocked_reloads_per_client: at_least_one(3),
        ..LimitsConfig::default()
    };
    let limiter = ClientLimiter::default();
    let mut streams = Vec::new();
    for (address, expected) in [
        ("192.0.2.1", "ok"),
        ("192.0.2.1", "ok"),
        ("192.0.2.1", "too-many-requests"),
        ("::ffff:192.0.2.1", "too-many-requests"),
        ("192.0.2.2", "ok"),
        ("2001:db8::1", "ok"),
        ("2001:db8::2", "ok"),
        ("2001:db8::3", "too-many-requests"),
        ("2001:db8:0:1::1", "busy"),
        ("192.0.2.1", "too-many-requests"),
    ] {
        match limiter.acquire_event_stream(&limits, Some(client(address))) {
            Ok(permit) => streams.push(permit),
            Err(problem) => {
                assert_eq!(problem.name(), expected, "{address}");
                continue;
            }
        }
        assert_eq!(expected, "ok", "{address}");
    }
    streams.clear();
    assert!(limiter.acquire_event_stream(&limits, Some(client("192.0.2.1"))).is_ok());
    let one = Some(client("192.0.2.1"));
    let reloads: Vec<_> =
        (0..4).map_while(|_| limiter.acquire_blocked_reload(&limits, one).ok()).collect();
    assert_eq!(reloads.len(), 3);
    assert!(limiter.acquire_blocked_reload(&limits, Some(client("192.0.2.2"))).is_ok());
}

#[tokio::test(start_paused = true)]
async fn requests_are_limited_per_client_and_in_all() {
    let limits = LimitsConfig {
        requests: NonZeroUsize::new(100),
        requests_per_client: NonZeroU32::new(10),
        ..LimitsConfig::default()
    };
    let limiter = ClientLimiter::default();
    const TOO_MANY: Problem =
        Problem::TooManyRequests("More requests a second than one client may send.");
    let one = client("2001:db8::1");
    let taken =
        |client| (0..100).take_while(|_| limiter.admit_request(&limits, client, 1).is_ok()).count();
    assert_eq!(taken(one), 20, "two seconds together");
    assert_eq!(limiter.admit_request(&limits, client("2001:db8::ffff"), 1), Err(TOO_MANY));
    assert_eq!(taken(client("2001:db8:0:1::1")), 20, "another client");
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(taken(one), 5);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(limiter.admit_request(&limits, one, 1), Ok(()));
    assert_eq!(
        limiter.token_buckets.lock_shard_of_key(one).by_client.len(),
        1,
        "full ones are dropped"
    );
    assert!(matches!(limiter.admit_request(&limits, one, 101), Err(Problem::Busy(_))));
    let limits = LimitsConfig::default();
    assert!(
        (0..1000).all(|_| limiter.admit_request(&limits, one, 100_000).is_ok()),
        "no limit by default"
    );
}
