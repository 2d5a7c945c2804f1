//! Splice decisions that edges share over Redis.

use super::*;
use crate::store::splice_registry::tests::{check, proposal_sequence, query};
use crate::store::{RenditionStart, SpliceProposal};

fn start_proposal(generation: u64, published: u64, record: &str) -> SpliceProposal {
    let start = Some(RenditionStart { published, record: record.into() });
    SpliceProposal { switch_record: record.into(), start, ..query("v", generation) }
}

/// Waits until the connection for proposals is up, so that a test's proposals are not decided
/// alone.
async fn wait_until_responsive(process: &StoreProcess) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !process.store.propose_splice(&query("nobody", 0)).await.is_shared {
        assert!(Instant::now() < deadline, "the edge does not reach Redis");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn redis_decides_like_the_memory_registry() {
    let server = RedisServer::start();
    let edges = [StoreProcess::edge(&server), StoreProcess::edge(&server)];
    for edge in &edges {
        wait_until_responsive(edge).await;
    }
    for (index, (what, proposal, expected)) in proposal_sequence().into_iter().enumerate() {
        let decision = edges[index % 2].store.propose_splice(&proposal).await;
        check(what, &decision, expected);
        assert!(decision.is_shared, "{what}");
        check(
            what,
            &edges[(index + 1) % 2].store.propose_splice(&query(&proposal.rendition, 0)).await,
            expected,
        );
    }
    let key = "{test}:splice:world-feed";
    assert_eq!(server.query::<String>(&["HGET", key, "generation"]), "10");
    let splice_record: Vec<u8> = server.query(&["HGET", key, "part/v"]);
    assert!(!splice_record.is_empty() && splice_record != b"g200", "not in clear");
    assert!(server.query::<i64>(&["PTTL", key]) > 0, "the key expires");
}

/// A splice record has the segments of earlier sources, which may be those of hours: Redis sends it
/// to an edge once, and not with each number.
#[tokio::test]
async fn a_splice_record_is_sent_once_to_each_edge() {
    let server = RedisServer::start();
    let edges = [StoreProcess::edge(&server), StoreProcess::edge(&server)];
    for edge in &edges {
        wait_until_responsive(edge).await;
    }
    let sent_bytes = || -> u64 {
        let stats: String = server.query(&["INFO", "stats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse().unwrap()
    };
    let record = |seed: u64| -> String {
        (0..2_000u64)
            .map(|n| blake3::hash(&(seed + n).to_le_bytes()).to_hex().to_string())
            .collect()
    };
    for (generation, record) in [(1, record(0)), (2, record(1 << 32))] {
        let begins = SpliceProposal {
            switch_record: generation.to_string().into(),
            ..start_proposal(generation, generation * 100, &record)
        };
        edges[0].store.propose_splice(&begins).await;
        for edge in &edges {
            let decision = edge.store.propose_splice(&query("v", generation)).await;
            assert_eq!(decision.splice_record.as_deref(), Some(record.as_bytes()));
        }
        let before = sent_bytes();
        for next_number in generation * 100 + 1..generation * 100 + 21 {
            for edge in &edges {
                let published = SpliceProposal { next_number, start: None, ..begins.clone() };
                let decision = edge.store.propose_splice(&published).await;
                assert!(decision.is_shared && decision.next_number == next_number);
                assert_eq!(decision.splice_record.as_deref(), Some(record.as_bytes()));
            }
        }
        let sent = sent_bytes() - before;
        assert!(sent < 40_000, "{sent} bytes for 40 decisions");
    }
}

/// An edge is told of each number that another one has published, and not of its own.
#[tokio::test]
async fn the_others_are_told_of_each_number() {
    let server = RedisServer::start();
    let edges = [StoreProcess::edge(&server), StoreProcess::edge(&server)];
    for edge in &edges {
        wait_until_responsive(edge).await;
    }
    let heard = |edge: usize| {
        let number = edges[edge].store.find_peer_next_number("world-feed", "v");
        number.map(|number| number.next_number)
    };
    edges[0].store.propose_splice(&start_proposal(1, 100, "a")).await;
    for (edge, next_number, expected) in [
        (0, 101, [None, Some(101)]),
        (0, 102, [None, Some(102)]),
        // It is published already.
        (1, 102, [None, Some(102)]),
        (1, 103, [Some(103), Some(102)]),
    ] {
        let published = SpliceProposal { next_number, ..start_proposal(1, 100, "a") };
        let published = SpliceProposal { start: None, ..published };
        edges[edge].store.propose_splice(&published).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while [heard(0), heard(1)] != expected {
            assert!(Instant::now() < deadline, "{next_number}: {:?}", [heard(0), heard(1)]);
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Redis tells how old a generation and a tail record are, by its own clock, and a registry that has
/// lost them goes on from what an edge knows.
#[tokio::test]
async fn ages_are_by_the_clock_of_redis() {
    let server = RedisServer::start();
    let edges = [StoreProcess::edge(&server), StoreProcess::edge(&server)];
    for edge in &edges {
        wait_until_responsive(edge).await;
    }
    let begins = |generation: u64, generation_age| {
        let record = generation.to_string();
        SpliceProposal { generation_age, ..start_proposal(generation, generation, &record) }
    };
    let published = SpliceProposal { next_number: 9, ..begins(3, None) };
    for (what, proposal, generation_age, tail_age) in [
        ("it begins now", begins(1, Some(Duration::ZERO)), Some(0), None),
        ("it is not known when it began", begins(2, None), None, None),
        ("a record is restored", begins(3, Some(Duration::from_secs(90))), Some(90), None),
        ("it is published", SpliceProposal { start: None, ..published }, Some(90), Some(0)),
    ] {
        edges[0].store.propose_splice(&proposal).await;
        let decision = edges[1].store.propose_splice(&query("v", 0)).await;
        let seconds = |age: Option<Duration>| age.map(|age| age.as_secs() / 30 * 30);
        let got = (seconds(decision.generation_age), seconds(decision.tail_age));
        assert_eq!(got, (generation_age, tail_age), "{what}");
    }
    sleep(Duration::from_millis(20)).await;
    let decision = edges[1].store.propose_splice(&query("v", 0)).await;
    assert!(decision.tail_age.unwrap() >= Duration::from_millis(20), "{decision:?}");
}

/// Edges restart with rotated keys, one after the other, and see one playlist all the while.
#[tokio::test]
async fn edges_share_decisions_while_keys_rotate() {
    const RENDITIONS: [&str; 2] = ["v", "seldom"];
    let server = RedisServer::start();
    let edge = |current, previous| {
        let state = Arc::new(tempfile::tempdir().unwrap());
        StoreProcess::with_keys(&server, (current, previous), state).start_sync()
    };
    let mut next = 1;
    for (round, keys) in [
        [(1, None), (1, Some(2))],
        [(1, Some(2)), (1, Some(2))],
        [(1, Some(2)), (2, Some(1))],
        [(2, Some(1)), (1, Some(2))],
        [(2, Some(1)), (2, Some(1))],
        [(2, Some(1)), (2, None)],
        [(2, None), (2, None)],
    ]
    .into_iter()
    .enumerate()
    {
        for (current, previous) in keys {
            let edge = edge(current, previous);
            wait_until_responsive(&edge).await;
            let rendition = |name: &str, proposal: SpliceProposal| SpliceProposal {
                rendition: name.into(),
                ..proposal
            };
            if next == 1 {
                for name in RENDITIONS {
                    edge.store.propose_splice(&rendition(name, start_proposal(1, 0, "a"))).await;
                }
            }
            // Records that were not read during the rotation can still be read at the end.
            let renditions = if round == 6 { &RENDITIONS[..] } else { &RENDITIONS[..1] };
            for name in renditions {
                let proposal = SpliceProposal {
                    next_number: next,
                    switch_record: b"a".to_vec(),
                    ..query("v", 1)
                };
                let decision = edge.store.propose_splice(&rendition(name, proposal)).await;
                check(&format!("{round} {name}"), &decision, (1, "a", "a", next));
                assert!(decision.is_shared, "{round}");
            }
            next += 1;
        }
    }
}

#[tokio::test]
async fn one_of_several_simultaneous_proposals_is_accepted() {
    let server = RedisServer::start();
    let edges: Vec<_> = (0..4).map(|_| StoreProcess::edge(&server)).collect();
    for edge in &edges {
        wait_until_responsive(edge).await;
    }
    let proposals = edges.iter().enumerate().map(|(index, edge)| {
        let proposal = start_proposal(1, index as u64, &format!("of edge {index}"));
        async move { edge.store.propose_splice(&proposal).await }
    });
    let decisions = futures::future::join_all(proposals).await;
    for other in &decisions {
        assert_eq!(other, &decisions[0]);
        assert_eq!(Some(&other.switch_record), other.splice_record.as_ref());
    }
}

#[tokio::test]
async fn decisions_made_without_redis_are_restored_to_it() {
    let mut server = RedisServer::start();
    let edge = StoreProcess::edge(&server);
    wait_until_responsive(&edge).await;
    edge.store.propose_splice(&start_proposal(1, 0, "a")).await;
    server.kill();
    server.delete_data();
    let alone = edge.store.propose_splice(&start_proposal(2, 107, "b")).await;
    assert_eq!((alone.generation, alone.is_shared), (2, false));
    server.start_again();
    wait_until_responsive(&edge).await;
    // This edge alone has the records, and restores them before any edge starts over.
    let restored = edge.store.propose_splice(&start_proposal(1, 0, "anew")).await;
    assert_eq!(
        (restored.generation, restored.splice_record, restored.is_shared),
        (2, Some(b"b".to_vec()), true)
    );
    let new_edge = StoreProcess::edge(&server);
    wait_until_responsive(&new_edge).await;
    let decision = new_edge.store.propose_splice(&start_proposal(1, 0, "anew")).await;
    assert_eq!(
        (decision.generation, decision.splice_record, decision.next_number),
        (2, Some(b"b".to_vec()), 107)
    );
}

/// A viewer's request waits for the decision.
#[tokio::test]
async fn a_slow_redis_is_not_waited_for() {
    let server = RedisServer::start();
    let edge = StoreProcess::edge(&server);
    wait_until_responsive(&edge).await;
    edge.store.propose_splice(&start_proposal(1, 0, "a")).await;
    server.signal("-STOP");
    let late_count = || edge.counter_value("pitwall_splice_proposals_total", "late");
    let before = late_count();
    // Redis does not reply, so paused time advances whenever all tasks wait.
    tokio::time::pause();
    for next in 1..=20 {
        let proposal =
            SpliceProposal { next_number: next, switch_record: b"a".to_vec(), ..query("v", 1) };
        let decision = edge.store.propose_splice(&proposal).await;
        check("alone", &decision, (1, "a", "a", next));
        assert!(!decision.is_shared);
        sleep(Duration::from_secs(1)).await;
    }
    tokio::time::resume();
    assert_eq!(late_count() - before, 1, "only the first proposal waited for the timeout");
    server.signal("-CONT");
    wait_until_responsive(&edge).await;
    let proposal =
        SpliceProposal { next_number: 21, switch_record: b"a".to_vec(), ..query("v", 1) };
    let decision = edge.store.propose_splice(&proposal).await;
    check("together", &decision, (1, "a", "a", 21));
    assert!(decision.is_shared);
}

#[tokio::test]
async fn decisions_are_saved_on_disk() {
    let server = RedisServer::start();
    let mut edge = StoreProcess::edge(&server);
    wait_until_responsive(&edge).await;
    edge.store.propose_splice(&start_proposal(3, 107, "c")).await;
    let file = edge.state_dir().join("splices");
    eventually("the splices file is on disk", || file.exists()).await;
    edge.kill();
    drop(server);
    let restarted = StoreProcess::with_address(
        RedisAddress::parse("redis://127.0.0.1:1", &[]).unwrap(),
        (SEAL_KEY_BYTE, None),
        edge.state.clone(),
    );
    let decision = restarted.store.propose_splice(&query("v", 0)).await;
    check("from disk", &decision, (3, "c", "c", 107));
    assert!(!decision.is_shared);
}

/// Redis and all edges lose their memory at once when the machine that runs them loses its power:
/// whatever plays afterwards begins above all numbers that were published.
#[tokio::test]
async fn numbers_published_with_redis_are_reserved_on_disk() {
    const PUBLISHED: u64 = 1000;
    let server = RedisServer::start();
    let edge = StoreProcess::edge(&server);
    wait_until_responsive(&edge).await;
    edge.store.propose_splice(&start_proposal(3, 1, "c")).await;
    for next_number in 2..=PUBLISHED {
        let switch_record = b"c".to_vec();
        let proposal = SpliceProposal { next_number, switch_record, ..query("v", 3) };
        // On a busy machine a reply may be late; then the same is proposed again.
        let deadline = Instant::now() + Duration::from_secs(20);
        while !edge.store.propose_splice(&proposal).await.is_shared {
            assert!(Instant::now() < deadline, "{next_number}");
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let restarted = StoreProcess::with_address(
            RedisAddress::parse("redis://127.0.0.1:1", &[]).unwrap(),
            (SEAL_KEY_BYTE, None),
            edge.state.clone(),
        );
        let decision = restarted.store.propose_splice(&start_proposal(4, 1, "d")).await;
        if decision.first_free_number() >= PUBLISHED {
            break;
        }
        assert!(Instant::now() < deadline, "{decision:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
