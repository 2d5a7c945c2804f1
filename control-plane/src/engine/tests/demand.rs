//! What edges tell.

use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::demand::{Report, Seen};

use super::*;

fn world_feed() -> StreamId {
    StreamId::of_feed("World feed").unwrap()
}

/// Somebody watches for so long.
async fn watch(bench: &Bench, seconds: u64) {
    for _ in 0..seconds {
        bench.store.demand().watch(&world_feed(), 3);
        bench.pass(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_watched_is_checked_every_target_duration() {
    let bench = Bench::start(&[
        ("a", &[Run::Finds(ONE, "a.example", None)]),
        ("b", &[Run::Finds(ONE, "b.example", None)]),
    ]);
    let count = |host: &str| bench.world.checks(host).len();
    bench.pass(100).await;
    assert!((9..=12).contains(&count("a.example")), "{} unwatched", count("a.example"));
    let before = (count("a.example"), count("b.example"));
    watch(&bench, 100).await;
    let (a, b) = (count("a.example") - before.0, count("b.example") - before.1);
    assert!((45..=51).contains(&a), "{a} in 100 s, at a target duration of 2 s");
    assert!((9..=12).contains(&b), "{b}: what does not play is checked on its interval");
    assert_eq!(bench.explanation("world-feed").viewers, 3);
    bench.pass(60).await;
    assert_eq!(bench.explanation("world-feed").viewers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_complaint_makes_a_check_and_an_old_one_does_not() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.pass(45).await;
    let report = |generation| Report {
        stream: world_feed(),
        source: "a".into(),
        generation,
        what: Seen::Failed { status: Some(403) },
    };
    let generation = bench.generation("world-feed", "a");
    let checks = || bench.world.checks("a.example").len();
    let before = checks();
    bench.store.demand().report(report(generation - 1));
    bench.pass(1).await;
    assert_eq!(checks(), before, "its predecessor is not to blame");
    for _ in 0..100 {
        bench.store.demand().report(report(generation));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(checks(), before + 1, "one check, however many complain");
}

#[tokio::test(start_paused = true)]
async fn stalls_are_seen_and_alone_move_nobody() {
    let bench = Bench::start(&[
        ("a", &[Run::Finds(ONE, "a.example", None)]),
        ("b", &[Run::Finds(ONE, "b.example", None)]),
    ]);
    bench.pass(60).await;
    for _ in 0..300 {
        bench.store.demand().report(Report {
            stream: world_feed(),
            source: "a".into(),
            generation: bench.generation("world-feed", "a"),
            what: Seen::Stalled { stalls: 10, of: 10 },
        });
        bench.pass(1).await;
    }
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
    let explanation = bench.explanation("world-feed");
    let stalls = &explanation.upstreams[0].parts[3];
    assert!(stalls.name == "stalls" && stalls.value < 0.1, "{stalls:?}");
    assert!(explanation.summary.contains("another scores"), "{}", explanation.summary);
}

#[tokio::test(start_paused = true)]
async fn checks_are_bounded_by_source() {
    let bench = Bench::start(&[("a", &[Run::FindsMany(60, "a.example")])]);
    bench.pass(5).await;
    assert_eq!(bench.streams().len(), 60);
    bench.world.slows("a.example", Duration::from_millis(500));
    bench.pass(12).await;
    let (most, waiting) = (bench.world.busiest(), bench.figure("pitwall_checks_waiting", &[]));
    assert!(most <= 8, "{most} at once");
    assert!(waiting.is_some());
    assert_eq!(bench.streams().len(), 60, "waiting for a check is no failure");
}
