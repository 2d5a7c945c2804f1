//! Which upstream is active, why, and after a restart.

use super::*;

const A: ScriptedRun = ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None);
const B: ScriptedRun = ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None);

fn permanent_error() -> CheckError {
    CheckError::permanent("the playlist was answered with 404")
}

#[tokio::test(start_paused = true)]
async fn viewers_fail_back_when_the_preferred_source_was_healthy_for_long_enough() {
    let options = HarnessOptions {
        settings: &[("b", "priority = 10")],
        rank: "fail_back = '5m'",
        ..HarnessOptions::default()
    };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(30).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@b:Healthy -"], "priority before order");
    harness.executor.fail_host("b.example", permanent_error());
    harness.advance(15).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
    harness.executor.repair_host("b.example");
    harness.advance(120).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"], "not yet");
    let explanation = harness.explanation("world-feed");
    assert!(explanation.summary.contains("has to be fine until 17:0"), "{}", explanation.summary);
    harness.advance(300).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@b:Healthy -"]);
}

#[tokio::test(start_paused = true)]
async fn viewers_are_moved_for_a_clear_margin_and_held_down() {
    let options =
        HarnessOptions { rank: "margin = 0.05\nhold = '1m'", ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(60).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
    let mut moves = Vec::new();
    let mut last = harness.active_upstreams();
    // The active source becomes slow, and the other one fast.
    for second in 0..600 {
        let (slow, fast) = match last[0].contains("@a") {
            true => ("a.example", "b.example"),
            false => ("b.example", "a.example"),
        };
        harness.executor.delay_host(slow, Duration::from_secs(3));
        harness.executor.delay_host(fast, Duration::from_millis(10));
        harness.advance(1).await;
        if std::mem::replace(&mut last, harness.active_upstreams()) != last {
            moves.push(second);
        }
    }
    assert!(moves.len() >= 2, "it moves: {moves:?}");
    for pair in moves.windows(2) {
        assert!(pair[1] - pair[0] >= 60, "held down: {moves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn preferences_are_applied_and_explained() {
    let options = HarnessOptions {
        rank: "[[prefer]]\nname = 'house rule'\nsource = 'b'\npoints = 0.3",
        ..HarnessOptions::default()
    };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(30).await;
    let explanation = harness.explanation("world-feed");
    assert_eq!(explanation.feed, "World feed");
    let got: Vec<_> = explanation
        .upstreams
        .iter()
        .map(|one| (one.source.as_str(), one.active, one.health, one.reason.as_str()))
        .collect();
    let expected = [
        ("b", true, Health::Healthy, "Plays."),
        ("a", false, Health::Healthy, "Scores 0.30 less than b."),
    ];
    assert_eq!(got, expected);
    assert!(explanation.summary.starts_with("b plays: it scores 1."), "{}", explanation.summary);
    for upstream in &explanation.upstreams {
        let sum: f64 = upstream.parts.iter().map(|part| part.points).sum();
        assert!((sum - upstream.score).abs() < 1e-9, "the parts make the score");
    }
    let names: Vec<_> = explanation.upstreams[0].parts.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["success", "latency", "throughput", "stalls", "house rule"]);

    harness.executor.fail_host("b.example", permanent_error());
    harness.advance(12).await;
    let explanation = harness.explanation("world-feed");
    assert_eq!(explanation.summary, "a plays: nothing else is healthy.");
    let reason = &explanation.upstreams[1].reason;
    assert!(reason.starts_with("Down: the playlist was answered with 404."), "{reason}");
    let text = serde_json::to_string(&explanation).unwrap();
    assert!(!text.contains("example") && !text.contains("http"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn scores_outlive_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let options = HarnessOptions { state_dir: Some(state.path()), ..HarnessOptions::default() };
    let scripts: Scripts<'_> = &[("a", &[A]), ("b", &[B])];
    let harness = EngineHarness::start_with(scripts, &options);
    harness.executor.fail_host("a.example", permanent_error());
    harness.advance(30).await;
    harness.executor.repair_host("a.example");
    harness.advance(400).await;
    assert_eq!(
        harness.active_upstreams(),
        ["world-feed@b:Healthy -"],
        "a is back, and not better enough"
    );
    let first_score =
        |harness: &EngineHarness| harness.explanation("world-feed").upstreams[0].score;
    let before = first_score(&harness);
    harness.stop().await;

    let harness = EngineHarness::start_with(scripts, &options);
    harness.advance(2).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@b:Healthy -"], "as before");
    assert!((first_score(&harness) - before).abs() < 0.05, "{} {before}", first_score(&harness));
    harness.stop().await;

    let harness = EngineHarness::start(scripts);
    harness.advance(2).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"], "whoever knows nothing");
    assert!(before - first_score(&harness) > 0.1);
}
