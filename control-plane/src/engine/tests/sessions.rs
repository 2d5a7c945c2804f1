//! Poll cadence: slow while no session is near, warm before one, fast while one is live or watched.

use pitwall_upstream_map::StreamId;

use super::*;

/// A session whose live window begins this many minutes after the start and lasts an hour.
pub(super) fn session_in(minutes: i64) -> Schedule {
    session_with_margin(minutes, 0)
}

/// The same, with a margin of this many minutes after its nominal end.
pub(super) fn session_with_margin(minutes: i64, margin: i64) -> Schedule {
    let start: Timestamp = START_TIME.parse().unwrap();
    let after = |minutes: i64| start + jiff::SignedDuration::from_mins(minutes);
    let schedule = serde_json::json!({
        "season": "2026", "fetched_at": START_TIME, "stale_since": null, "source": "test",
        "meetings": [{
            "id": "m", "name": "m", "round": 1,
            "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
            "sessions": [{
                "id": "m:fp1", "code": "fp1", "name": "FP1", "meeting": "m",
                "start": after(minutes), "date": "2026-05-03", "time_known": true,
                "end": after(minutes + 60), "end_estimated": false,
                "live_from": after(minutes), "live_until": after(minutes + 60 + margin),
                "status": "upcoming", "source": "test", "revision": 0,
            }],
        }],
    });
    serde_json::from_value(schedule).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_cadence_follows_a_session() {
    let options = HarnessOptions { schedule: session_in(180), ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(
        &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])],
        &options,
    );
    let mut seen = 0;
    let mut new_runs = || {
        let runs = harness.executor.run_times("a").len();
        runs - std::mem::replace(&mut seen, runs)
    };
    let minutes = |minutes: u64| harness.advance(minutes * 60);
    minutes(160).await;
    assert_eq!(new_runs(), 6, "every half an hour instead of every five minutes");
    minutes(11).await;
    assert_eq!(new_runs(), 1, "once more before it begins");
    assert_eq!(harness.metric_value("pitwall_session_live", &[]), Some(0.0));
    minutes(69).await;
    assert_eq!(new_runs(), 13, "as configured while it is on");
    assert_eq!(harness.metric_value("pitwall_session_live", &[]), Some(1.0));
    minutes(5).await;
    new_runs();
    minutes(120).await;
    assert_eq!(new_runs(), 4, "slow again");
}

/// The last twenty minutes of an hour, then a margin of thirty minutes.
#[tokio::test(start_paused = true)]
async fn a_session_is_live_past_its_end_only_while_a_stream_is_healthy() {
    for (breaks_after, expected) in [
        (None, [1.0, 1.0, 1.0, 0.0]),
        // The stream ends in the margin, soon after the session.
        (Some(25), [1.0, 1.0, 0.0, 0.0]),
        // The session is live until its nominal end, though no stream is healthy.
        (Some(10), [1.0, 0.0, 0.0, 0.0]),
    ] {
        let options =
            HarnessOptions { schedule: session_with_margin(-40, 30), ..HarnessOptions::default() };
        let harness = EngineHarness::start_with(
            &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])],
            &options,
        );
        let mut seen = Vec::new();
        for minute in 1..=51 {
            if breaks_after == Some(minute) {
                harness.executor.fail_host("a.example", CheckError::permanent("it is over"));
            }
            harness.advance(60).await;
            if [19, 21, 35, 51].contains(&minute) {
                seen.push(harness.metric_value("pitwall_session_live", &[]).unwrap());
            }
        }
        assert_eq!(seen, expected, "it breaks after {breaks_after:?} minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_at_any_time() {
    let options = HarnessOptions { schedule: session_in(600), ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(
        &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(60))])],
        &options,
    );
    for _ in 0..600 {
        harness.advance(1).await;
        assert_eq!(harness.streams()[0].health, Health::Healthy, "what is listed plays");
    }
}

#[tokio::test(start_paused = true)]
async fn sources_of_watched_streams_are_polled_fast() {
    let options = HarnessOptions { schedule: session_in(600), ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(
        &[
            ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)]),
            ("b", &[ScriptedRun::Finds(&["Pit lane"], "b.example", None)]),
        ],
        &options,
    );
    harness.advance(20 * 60).await;
    let watched = StreamId::of_feed("World feed").unwrap();
    for _ in 0..20 * 60 {
        harness.store.feedback().set_local_viewers(&watched, 1);
        harness.advance(1).await;
    }
    let (a, b) = (harness.executor.run_times("a").len(), harness.executor.run_times("b").len());
    assert!((5..=6).contains(&a), "{a}: at once, then every five minutes");
    assert_eq!(b, 2, "nobody watches it");
}
