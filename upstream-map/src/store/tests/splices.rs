//! What edges agree on about splices.

use super::*;
use crate::store::ledger::tests::{check, conversation, word};
use crate::store::{Part, Word};

fn begins(generation: u64, published: u64, record: &str) -> Word {
    let part = Some(Part { published, record: record.into() });
    Word { change: record.into(), part, ..word("v", generation) }
}

/// The words of a test wait for no connection that is still being made.
async fn speaks(process: &Process) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !process.store.agree(&word("nobody", 0)).await.shared {
        assert!(Instant::now() < deadline, "Redis is not asked");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn it_is_as_in_memory_whichever_edge_speaks() {
    let server = RedisServer::start();
    let edges = [Process::edge(&server), Process::edge(&server)];
    for edge in &edges {
        speaks(edge).await;
    }
    for (turn, (what, said, expected)) in conversation().into_iter().enumerate() {
        let agreed = edges[turn % 2].store.agree(&said).await;
        check(what, &agreed, expected);
        assert!(agreed.shared, "{what}");
        check(what, &edges[(turn + 1) % 2].store.agree(&word(&said.rendition, 0)).await, expected);
    }
    let key = "{test}:splice:world-feed";
    assert_eq!(server.ask::<String>(&["HGET", key, "generation"]), "10");
    let part: Vec<u8> = server.ask(&["HGET", key, "part/v"]);
    assert!(!part.is_empty() && part != b"g200", "not in clear");
    assert!(server.ask::<i64>(&["PTTL", key]) > 0, "it ends by itself");
}

/// Edges start again with other keys, one after the other: to each of them it is one playlist.
#[tokio::test]
async fn keys_rotate_and_edges_agree_all_the_while() {
    const RENDITIONS: [&str; 2] = ["v", "seldom"];
    let server = RedisServer::start();
    let edge = |current, previous| {
        let state = Arc::new(tempfile::tempdir().unwrap());
        Process::with(&server, (current, previous), state).following()
    };
    let mut next = 1;
    for (turn, keys) in [
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
            speaks(&edge).await;
            let rendition = |name: &str, word: Word| Word { rendition: name.into(), ..word };
            if next == 1 {
                for name in RENDITIONS {
                    edge.store.agree(&rendition(name, begins(1, 0, "a"))).await;
                }
            }
            // What nobody asks for in between can be read at the end all the same.
            let asked = if turn == 6 { &RENDITIONS[..] } else { &RENDITIONS[..1] };
            for name in asked {
                let said = Word { next, change: b"a".to_vec(), ..word("v", 1) };
                let agreed = edge.store.agree(&rendition(name, said)).await;
                check(&format!("{turn} {name}"), &agreed, (1, "a", "a", next));
                assert!(agreed.shared, "{turn}");
            }
            next += 1;
        }
    }
}

#[tokio::test]
async fn one_of_many_that_speak_at_once_is_heard() {
    let server = RedisServer::start();
    let edges: Vec<_> = (0..4).map(|_| Process::edge(&server)).collect();
    for edge in &edges {
        speaks(edge).await;
    }
    let said = edges.iter().enumerate().map(|(index, edge)| {
        let word = begins(1, index as u64, &format!("of edge {index}"));
        async move { edge.store.agree(&word).await }
    });
    let agreed = futures::future::join_all(said).await;
    for other in &agreed {
        assert_eq!(other, &agreed[0]);
        assert_eq!(Some(&other.change), other.part.as_ref());
    }
}

#[tokio::test]
async fn without_redis_it_is_decided_here_and_said_when_it_is_back() {
    let mut server = RedisServer::start();
    let edge = Process::edge(&server);
    speaks(&edge).await;
    edge.store.agree(&begins(1, 0, "a")).await;
    server.kill();
    server.forget();
    let alone = edge.store.agree(&begins(2, 107, "b")).await;
    assert_eq!((alone.generation, alone.shared), (2, false));
    server.start_again();
    speaks(&edge).await;
    // Nobody else remembers: whoever does says it again, before anybody begins anew.
    let again = edge.store.agree(&begins(1, 0, "anew")).await;
    assert_eq!((again.generation, again.part, again.shared), (2, Some(b"b".to_vec()), true));
    let newcomer = Process::edge(&server);
    speaks(&newcomer).await;
    let told = newcomer.store.agree(&begins(1, 0, "anew")).await;
    assert_eq!((told.generation, told.part, told.next), (2, Some(b"b".to_vec()), 107));
}

/// A viewer waits for it.
#[tokio::test]
async fn a_slow_redis_is_not_waited_for() {
    let server = RedisServer::start();
    let edge = Process::edge(&server);
    speaks(&edge).await;
    edge.store.agree(&begins(1, 0, "a")).await;
    server.signal("-STOP");
    let late = || edge.counted("pitwall_store_words_total", "late");
    let before = late();
    // It answers nothing, so that time passes at once when all wait for it.
    tokio::time::pause();
    for next in 1..=20 {
        let word = Word { next, change: b"a".to_vec(), ..word("v", 1) };
        let agreed = edge.store.agree(&word).await;
        check("alone", &agreed, (1, "a", "a", next));
        assert!(!agreed.shared);
        sleep(Duration::from_secs(1)).await;
    }
    tokio::time::resume();
    assert_eq!(late() - before, 1, "one viewer waited, and nobody in 20 s");
    server.signal("-CONT");
    speaks(&edge).await;
    let word = Word { next: 21, change: b"a".to_vec(), ..word("v", 1) };
    let agreed = edge.store.agree(&word).await;
    check("together", &agreed, (1, "a", "a", 21));
    assert!(agreed.shared);
}

#[tokio::test]
async fn it_is_on_disk() {
    let server = RedisServer::start();
    let mut edge = Process::edge(&server);
    speaks(&edge).await;
    edge.store.agree(&begins(3, 107, "c")).await;
    let file = edge.state().join("splices");
    eventually("it is on disk", || file.exists()).await;
    edge.kill();
    drop(server);
    let again = Process::at(
        RedisAddress::parse("redis://127.0.0.1:1", &[]).unwrap(),
        (KEY, None),
        edge.state.clone(),
    );
    let agreed = again.store.agree(&word("v", 0)).await;
    check("from disk", &agreed, (3, "c", "c", 107));
    assert!(!agreed.shared);
}
