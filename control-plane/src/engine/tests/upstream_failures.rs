//! A failing upstream is out within a check interval, and comes back by itself.

use super::*;

/// How a source can fail.
#[derive(Clone, Copy, Debug)]
enum FailureMode {
    Ends,
    Fails,
    Freezes,
    Hangs,
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_out_within_one_check_interval() {
    for mode in [FailureMode::Ends, FailureMode::Fails, FailureMode::Freezes, FailureMode::Hangs] {
        for second in 40..50 {
            let harness = EngineHarness::start(&[(
                "a",
                &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)],
            )]);
            harness.advance(second).await;
            assert_eq!(harness.streams().len(), 1);
            match mode {
                FailureMode::Ends => {
                    harness.executor.fail_host("a.example", CheckError::permanent("it has ended"))
                }
                FailureMode::Fails => {
                    harness.executor.fail_host("a.example", CheckError::new("refused"))
                }
                FailureMode::Freezes => *harness.executor.is_frozen.lock().unwrap() = true,
                FailureMode::Hangs => harness.executor.hang_host("a.example"),
            }
            // The first check after the freeze still sees a new sequence number.
            harness.advance(if matches!(mode, FailureMode::Freezes) { 25 } else { 15 }).await;
            // A check that hangs proves nothing before its timeout.
            let hangs = matches!(mode, FailureMode::Hangs);
            let expected = if hangs { Health::Degraded } else { Health::Down };
            assert_eq!(harness.streams()[0].health, expected, "{mode:?} at {second} s");
            assert_eq!(harness.store.map().streams.len(), 1, "known, so that players wait");
            harness.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_source_gives_way_and_a_token_that_died_early_is_renewed() {
    let a = ScriptedRun::Finds(&["World feed", "Pit lane"], "a.example", Some(3600));
    let harness = EngineHarness::start(&[
        ("a", &[a]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)]),
    ]);
    harness.advance(1).await;
    assert_eq!(
        harness.active_upstreams(),
        ["pit-lane@a:Healthy token=1", "world-feed@a:Healthy token=1"]
    );
    harness
        .executor
        .fail_host("a.example", CheckError::permanent("the playlist was answered with 403"));
    harness.advance(12).await;
    assert_eq!(harness.active_upstreams(), ["pit-lane@a:Down token=1", "world-feed@b:Healthy -"]);
    assert!(harness.executor.run_times("a").len() > 1, "asked again at once, not in five minutes");
    let streams = harness.streams();
    let seen: Vec<_> = streams.iter().map(|one| (one.id.as_str(), one.health)).collect();
    assert_eq!(seen, [("world-feed", Health::Healthy), ("pit-lane", Health::Down)]);
    let sources = |index: usize| -> Vec<_> {
        streams[index].sources.iter().map(|one| (&*one.name, one.active)).collect()
    };
    assert_eq!((sources(0), sources(1)), (vec![("b", true)], vec![("a", false)]));
    assert_eq!(harness.metric_value("pitwall_upstreams", &["a", "down"]), Some(2.0));
    assert_eq!(harness.metric_value("pitwall_streams", &["down"]), Some(1.0));
    harness.executor.repair_host("a.example");
    harness.advance(75).await;
    assert!(harness.streams().iter().all(|one| one.health == Health::Healthy), "by itself");
}

/// The other renditions stay offered.
#[tokio::test(start_paused = true)]
async fn a_frozen_rendition_is_not_offered_until_it_advances() {
    let harness =
        EngineHarness::start(&[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])]);
    let offered = || {
        let (streams, map) = (harness.streams(), harness.store.map());
        let upstream = &map.streams["world-feed"].upstreams[0];
        let public: Vec<_> = streams[0].renditions.iter().map(|one| one.id.0.clone()).collect();
        let private: Vec<_> = upstream.renditions.iter().map(|one| one.id.0.clone()).collect();
        assert_eq!(public, private);
        (public.join(" "), streams[0].health, upstream.generation)
    };
    let small = |state| *harness.executor.small_rendition.lock().unwrap() = Some(state);
    small(None);
    harness.advance(30).await;
    let (both, health, first) = offered();
    assert_eq!((both.as_str(), health), ("v v360", Health::Healthy));
    small(Some(7));
    harness.advance(25).await;
    let (best, health, second) = offered();
    assert_eq!((best.as_str(), health), ("v", Health::Healthy));
    small(None);
    harness.advance(15).await;
    let (again, health, third) = offered();
    assert_eq!((again.as_str(), health), ("v v360", Health::Healthy));
    assert!(first < second && second < third, "each is news to the edges");
}

/// A listed entry that never played is ignored, but a configured feed is reported.
#[tokio::test(start_paused = true)]
async fn a_stream_that_never_played_is_known_if_configured() {
    let (runs, settings): (Scripts<'_>, &[_]) = (
        &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])],
        &[("a", "feed = 'World feed'")],
    );
    let error = "the playlist has no segments";
    let harness =
        EngineHarness::start_with(runs, &HarnessOptions { settings, ..HarnessOptions::default() });
    harness.executor.fail_host("a.example", CheckError::new(error));
    harness.advance(120).await;
    let stream = harness.streams().remove(0);
    assert_eq!((stream.id.as_str(), stream.health), ("world-feed", Health::Down));
    assert_eq!(stream.reason.as_deref(), Some(error));
    assert!(!harness.activity().streams.contains_key(&stream.id), "none has ever passed");
    let since = stream.down_since.unwrap().duration_since(START_TIME.parse().unwrap());
    assert!((0..2).contains(&since.as_secs()), "since it was asked first: {since}");
    assert_eq!(stream.sources[0].error.as_deref(), Some(error));
    assert_eq!(harness.explanation("world-feed").summary, format!("Nothing plays: {error}."));
    harness.stop().await;
    let harness = EngineHarness::start(runs);
    harness.executor.fail_host("a.example", CheckError::new(error));
    harness.advance(120).await;
    assert!(harness.streams().is_empty());
    assert_eq!(harness.extractor_status(0).state, ExtractorState::Failing);
    harness.executor.repair_host("a.example");
    harness.advance(61).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_playlist_is_out_until_it_advances() {
    let harness = EngineHarness::start(&[(
        "a",
        &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(300))],
    )]);
    harness.advance(10).await;
    *harness.executor.is_frozen.lock().unwrap() = true;
    harness.advance(30).await;
    let health = || harness.streams()[0].health;
    assert_eq!(health(), Health::Down);
    harness.advance(400).await;
    assert!(harness.executor.run_times("a").len() > 1);
    assert_eq!(health(), Health::Down, "another token does not make it move");
    let status = harness.extractor_status(0);
    let error = status.error.unwrap();
    assert_eq!((status.state, error.step.as_str()), (ExtractorState::Failing, "check"));
    assert!(error.message.starts_with("World feed: the playlist has not moved"), "{error:?}");
    *harness.executor.is_frozen.lock().unwrap() = false;
    harness.advance(15).await;
    assert_eq!(harness.streams()[0].health, Health::Healthy, "the last hope is probed often");
    assert_eq!(harness.extractor_status(0).state, ExtractorState::Ok);
}

#[tokio::test(start_paused = true)]
async fn one_failed_check_moves_no_viewer() {
    let harness = EngineHarness::start(&[
        ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)]),
    ]);
    harness.advance(40).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
    let checks = harness.executor.check_times("a.example").len();
    harness.executor.fail_host("a.example", CheckError::new("the upstream's answer broke off"));
    while harness.executor.check_times("a.example").len() == checks {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Degraded -"]);
    let last = harness.executor.check_times("b.example").last().copied().unwrap();
    let failed = harness.executor.check_times("a.example").last().copied().unwrap();
    assert!(last >= failed, "whoever might step in is looked at");
    harness.executor.repair_host("a.example");
    harness.advance(3).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
}

/// A slate is said, plays where nothing else does, and gives way to anything that moves.
#[tokio::test(start_paused = true)]
async fn a_slate_plays_where_nothing_better_does() {
    let harness = EngineHarness::start(&[
        ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)]),
    ]);
    let slate = "a slate: the same segment again and again";
    let reason = |index: usize| harness.explanation("world-feed").upstreams[index].reason.clone();
    harness.executor.show_slate("a.example");
    harness.advance(120).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@b:Healthy -"]);
    assert_eq!(reason(1), format!("On trial: {slate}."));
    harness.executor.show_slate("b.example");
    harness.advance(90).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@b:Degraded -"]);
    assert_eq!(reason(0), format!("Plays, for want of better: {slate}."));
    let stream = harness.streams().remove(0);
    let errors: Vec<_> = stream.sources.iter().map(|one| one.error.as_deref()).collect();
    assert_eq!((stream.health, errors), (Health::Degraded, vec![Some(slate); 2]));
    harness.executor.end_slate("a.example");
    harness.advance(30).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
    harness.executor.end_slate("b.example");
    harness.advance(30).await;
    assert!(harness.streams()[0].sources.iter().all(|one| one.error.is_none()));
}

const WORLD_FEED_AND_PIT_LANE: &[&str] = &["World feed", "Pit lane"];

/// A down stream is known as long as its source lists it, and for a while afterwards.
#[tokio::test(start_paused = true)]
async fn a_stream_that_no_source_names_is_forgotten() {
    let (both, one) = (
        ScriptedRun::Finds(WORLD_FEED_AND_PIT_LANE, "a.example", None),
        ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None),
    );
    for (case, then, minutes) in [
        ("still listed", both.clone(), None),
        ("not listed", one, Some(10)),
        ("not to be asked", ScriptedRun::Fails, Some(24 * 60)),
    ] {
        let harness = EngineHarness::start(&[("a", &[both.clone(), then])]);
        harness.advance(30).await;
        harness.executor.fail_host("a.example", CheckError::permanent("it has ended"));
        let knows = || harness.streams().iter().any(|one| one.id.as_str() == "pit-lane");
        for minute in 0..minutes.map_or(60, |minutes| minutes + 15) {
            harness.advance(60).await;
            let earliest = minutes.is_none_or(|minutes| minute < minutes - 1);
            let latest = minutes.is_some_and(|minutes| minute > minutes + 10);
            assert!(knows() || !earliest, "{case}: forgotten after {minute} min");
            assert!(!knows() || !latest, "{case}: known after {minute} min");
        }
        harness.stop().await;
    }
}

/// A stream that was down for an hour is probed often enough to come back soon.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_down_for_long_is_still_probed_often() {
    let harness =
        EngineHarness::start(&[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])]);
    harness.advance(30).await;
    harness.executor.fail_host("a.example", CheckError::permanent("it has ended"));
    harness.advance(3600).await;
    harness.executor.repair_host("a.example");
    harness.advance(15).await;
    assert_eq!(harness.streams()[0].health, Health::Healthy);
}

/// A stream that may still play stays listed while no check confirms it.
#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_unlists_no_stream() {
    let harness =
        EngineHarness::start(&[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])]);
    harness.advance(30).await;
    harness.executor.hang_host("a.example");
    harness.advance(60).await;
    let stream = harness.streams().remove(0);
    assert_eq!((stream.health, stream.sources.len()), (Health::Degraded, 1));
}
