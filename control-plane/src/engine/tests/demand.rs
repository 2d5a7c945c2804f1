//! Feedback from the edges.

use pitwall_upstream_map::StreamId;
use pitwall_upstream_map::feedback::{Observation, UpstreamReport};

use super::*;

fn world_feed() -> StreamId {
    StreamId::of_feed("World feed").unwrap()
}

/// Reports viewers of the world feed for this long.
async fn watch_for(harness: &EngineHarness, seconds: u64) {
    for _ in 0..seconds {
        harness.store.feedback().set_local_viewers(&world_feed(), 3);
        harness.advance(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_watched_stream_is_checked_every_target_duration() {
    let harness = EngineHarness::start(&[
        ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)]),
    ]);
    let count = |host: &str| harness.executor.check_times(host).len();
    harness.advance(100).await;
    assert!((9..=12).contains(&count("a.example")), "{} unwatched", count("a.example"));
    let before = (count("a.example"), count("b.example"));
    watch_for(&harness, 100).await;
    let (a, b) = (count("a.example") - before.0, count("b.example") - before.1);
    assert!((45..=51).contains(&a), "{a} in 100 s, at a target duration of 2 s");
    assert!((9..=12).contains(&b), "{b}: what does not play is checked on its interval");
    assert_eq!(harness.explanation("world-feed").viewers, 3);
    harness.advance(60).await;
    assert_eq!(harness.explanation("world-feed").viewers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_complaint_makes_a_check_and_an_old_one_does_not() {
    let harness =
        EngineHarness::start(&[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])]);
    harness.advance(45).await;
    let report = |generation| UpstreamReport {
        stream: world_feed(),
        source: "a".into(),
        generation,
        what: Observation::Failed { status: Some(403) },
    };
    let generation = harness.generation("world-feed", "a");
    let checks = || harness.executor.check_times("a.example").len();
    let before = checks();
    harness.store.feedback().push_report(report(generation - 1));
    harness.advance(1).await;
    assert_eq!(checks(), before, "its predecessor is not to blame");
    for _ in 0..100 {
        harness.store.feedback().push_report(report(generation));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(checks(), before + 1, "one check, however many complain");
}

#[tokio::test(start_paused = true)]
async fn stalls_are_seen_and_alone_move_nobody() {
    let harness = EngineHarness::start(&[
        ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)]),
    ]);
    harness.advance(60).await;
    for _ in 0..300 {
        harness.store.feedback().push_report(UpstreamReport {
            stream: world_feed(),
            source: "a".into(),
            generation: harness.generation("world-feed", "a"),
            what: Observation::Stalled { stalls: 10, of: 10 },
        });
        harness.advance(1).await;
    }
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
    let explanation = harness.explanation("world-feed");
    let stalls = &explanation.upstreams[0].parts[3];
    assert!(stalls.name == "stalls" && stalls.value < 0.1, "{stalls:?}");
    assert!(explanation.summary.contains("another scores"), "{}", explanation.summary);
}

#[tokio::test(start_paused = true)]
async fn checks_are_bounded_by_source() {
    let harness = EngineHarness::start(&[("a", &[ScriptedRun::FindsMany(60, "a.example")])]);
    harness.advance(5).await;
    assert_eq!(harness.streams().len(), 60);
    harness.executor.delay_host("a.example", Duration::from_millis(500));
    harness.advance(12).await;
    let (peak, waiting) = (
        harness.executor.max_concurrent_checks(),
        harness.metric_value("pitwall_checks_waiting", &[]),
    );
    assert!(peak <= 8, "{peak} at once");
    assert!(waiting.is_some());
    assert_eq!(harness.streams().len(), 60, "waiting for a check is no failure");
}
