//! Tokens expire and extractions fail, while streams play on.

use super::*;

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_before_they_end() {
    let harness = EngineHarness::start(&[(
        "a",
        &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(300))],
    )]);
    harness.advance(1).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy token=1"]);
    let first = harness.generation("world-feed", "a");
    // Ninety minutes without interruption.
    for _ in 0..5400 / 5 {
        harness.advance(5).await;
        let map = harness.store.map();
        let upstream = &map.streams["world-feed"].upstreams[0];
        let now = harness.executor.clock.now();
        assert!(upstream.expires_at.unwrap() > now, "at {now}");
        assert_eq!(upstream.health, Health::Healthy, "at {now}");
    }
    let runs = harness.executor.run_times("a");
    assert!((23..=27).contains(&runs.len()), "{} runs", runs.len());
    for pair in runs.windows(2) {
        let apart = pair[1] - pair[0];
        assert!((206.0..=226.0).contains(&apart), "{apart} s apart: 225 less a little jitter");
    }
    assert!(harness.generation("world-feed", "a") > first);
    let renewed = harness.metric_value("pitwall_refreshes_total", &["a", "renewed"]).unwrap();
    assert!((22.0..=26.0).contains(&renewed), "{renewed}");
    assert!(harness.metric_value("pitwall_token_remaining_seconds", &["a"]).unwrap() > 60.0);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_url_is_no_new_generation() {
    for run in [
        ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None),
        ScriptedRun::FindsWithNewAgent(WORLD_FEED_ONLY, "a.example"),
    ] {
        let harness = EngineHarness::start(&[("a", &[run])]);
        harness.advance(1).await;
        let before = harness.generation("world-feed", "a");
        harness.advance(700).await;
        assert_eq!(harness.executor.run_times("a").len(), 3, "every five minutes");
        assert_eq!(harness.generation("world-feed", "a"), before);
        assert_eq!(harness.metric_value("pitwall_refreshes_total", &["a", "unchanged"]), Some(2.0));
    }
}

/// What cannot be a stream is said; it is a failure only if a source lists nothing else.
#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_said() {
    for (feeds, state, message) in [
        (WORLD_FEED_ONLY, ExtractorState::Ok, "1 without a name; 2 left out"),
        (&WORLD_FEED_ONLY[..0], ExtractorState::Failing, "1 without a name"),
    ] {
        let run = ScriptedRun::FindsUnusable(feeds, "a.example");
        let harness = EngineHarness::start(&[("a", &[run])]);
        harness.advance(1).await;
        let status = harness.extractor_status(0);
        assert_eq!((status.state, status.error.unwrap().message.as_str()), (state, message));
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_changes_no_other_source() {
    let (a, b) = (
        ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(40)),
        ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", Some(900)),
    );
    let harness = EngineHarness::start(&[("a", &[a]), ("b", &[b])]);
    harness.advance(1).await;
    let (first, other) =
        (harness.generation("world-feed", "a"), harness.generation("world-feed", "b"));
    harness.advance(200).await;
    assert!(harness.generation("world-feed", "a") > first);
    assert_eq!(harness.generation("world-feed", "b"), other);
    assert_eq!(harness.executor.run_times("b").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_keep_what_plays_and_back_off() {
    let harness = EngineHarness::start(&[(
        "a",
        &[
            ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(100)),
            ScriptedRun::Fails,
            ScriptedRun::Panics,
            ScriptedRun::Fails,
        ],
    )]);
    harness.advance(85).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy token=1"], "nothing is wiped");
    let status = harness.extractor_status(0);
    assert_eq!(status.state, ExtractorState::Failing);
    assert_eq!(status.error.unwrap().step, "step 1 (get)");
    assert!(harness.extractor_activity("a").last_success_at.is_some());
    harness.advance(7).await;
    assert_eq!(
        harness.active_upstreams(),
        ["world-feed@a:Degraded token=1"],
        "nobody renews its token"
    );
    let error = harness.streams()[0].sources[0].error.clone();
    assert_eq!(error.as_deref(), Some("its token ends and is not renewed"));
    harness.advance(310).await;
    let runs = harness.executor.run_times("a");
    let gaps: Vec<_> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, longest) in gaps[1..].iter().zip([2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!((0.74 * longest..=1.01 * longest).contains(gap), "{gap} of {longest}: {gaps:?}");
    }
    assert_eq!(harness.metric_value("pitwall_extractor_failing", &["a"]), Some(1.0));
    assert!(
        harness.metric_value("pitwall_extractor_runs_total", &["a", "step 1 (get)"]).unwrap() > 5.0
    );
    assert_eq!(harness.metric_value("pitwall_extractor_runs_total", &["a", "run"]), Some(1.0));
    // Passed checks outweigh the expired token: the upstream is degraded, not down.
    assert_eq!(harness.streams()[0].health, Health::Degraded);
}

#[tokio::test(start_paused = true)]
async fn viewers_are_moved_before_an_unrenewed_token_expires() {
    let harness = EngineHarness::start(&[
        ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(100)), ScriptedRun::Fails]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)]),
    ]);
    harness.advance(85).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy token=1"]);
    harness.advance(7).await;
    assert_eq!(
        harness.active_upstreams(),
        ["world-feed@b:Healthy -"],
        "eight seconds before its end"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_url_that_fails_its_check_replaces_nothing() {
    let finds = |host| ScriptedRun::Finds(WORLD_FEED_ONLY, host, Some(100));
    let (good, bad) = (finds("good.example"), finds("bad.example"));
    let script = [good.clone(), bad.clone(), bad.clone(), bad, good];
    let harness = EngineHarness::start(&[("a", &script)]);
    harness.executor.fail_host("bad.example", CheckError::permanent("the playlist has ended"));
    harness.advance(76).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy token=1"]);
    assert_eq!(
        harness.extractor_status(0).error.unwrap().message,
        "World feed: the playlist has ended"
    );
    harness.advance(15).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy token=5"]);
    assert_eq!(harness.extractor_status(0).state, ExtractorState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_delays_no_other_source() {
    let harness = EngineHarness::start(&[
        ("a", &[ScriptedRun::Hangs]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", Some(20))]),
    ]);
    harness.advance(100).await;
    assert!(harness.executor.run_times("b").len() >= 5, "renewed as ever");
    assert_eq!(harness.active_upstreams()[0].split(' ').next(), Some("world-feed@b:Healthy"));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_streams_are_capped_counted_and_published_at_once() {
    let harness = EngineHarness::start(&[("a", &[ScriptedRun::FindsMany(10_000, "a.example")])]);
    harness.advance(1).await;
    assert_eq!(harness.streams().len(), 200);
    assert_eq!(harness.metric_value("pitwall_candidates_dropped_total", &["a"]), Some(9_800.0));
    assert_eq!(harness.extractor_status(0).state, ExtractorState::Ok);
    assert_eq!(harness.executor.run_times("a").len(), 1, "trying again would find as many");
}
