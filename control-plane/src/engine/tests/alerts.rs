//! Which alerts are sent, and how often.

use super::*;

const WORLD_FEED_AND_PIT_LANE: &[&str] = &["World feed", "Pit lane"];

fn token_rejected_error() -> CheckError {
    CheckError::permanent("the playlist was answered with 403")
}

#[tokio::test(start_paused = true)]
async fn a_death_a_failover_and_a_backup() {
    let mut harness = EngineHarness::start(&[
        ("a", &[ScriptedRun::Finds(WORLD_FEED_AND_PIT_LANE, "a.example", None)]),
        ("b", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)]),
    ]);
    harness.advance(60).await;
    assert!(harness.take_alert_texts().is_empty(), "coming up is no news");
    harness.executor.fail_host("a.example", token_rejected_error());
    harness.advance(9).await;
    let mut texts = harness.take_alert_texts();
    texts.sort();
    assert_eq!(
        texts,
        [
            "Source a is dead (pit-lane, world-feed): the playlist was answered with 403",
            "world-feed moved from a to b: the playlist was answered with 403",
        ]
    );
    harness.advance(66).await;
    let texts = harness.take_alert_texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("Pit lane is dark"), "{texts:?}");
    assert_eq!(texts[1], "world-feed runs on its backup b instead of a");
    harness.advance(600).await;
    assert!(harness.take_alert_texts().is_empty(), "told once");
    harness.executor.repair_host("a.example");
    harness.advance(120).await;
    let texts = harness.take_alert_texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(texts[0], "Source a plays again (pit-lane, world-feed)");
    assert!(texts[1].starts_with("Pit lane plays again from a"), "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn repeated_deaths_of_a_source_are_reported_after_a_cooldown() {
    let mut harness =
        EngineHarness::start(&[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])]);
    let mut deaths = 0;
    for _ in 0..10 {
        harness.advance(60).await;
        harness.executor.fail_host("a.example", token_rejected_error());
        harness.advance(30).await;
        harness.executor.repair_host("a.example");
        deaths += harness
            .take_alert_texts()
            .iter()
            .filter(|text| text.starts_with("Source a is dead"))
            .count();
    }
    assert_eq!(deaths, 2, "in a quarter of an hour");
}

#[tokio::test(start_paused = true)]
async fn no_healthy_stream_is_reported_while_a_session_is_live() {
    for (minutes, expected) in [(-10, &["FP1 is live and no stream is healthy"][..]), (60, &[])] {
        let options =
            HarnessOptions { schedule: sessions::session_in(minutes), ..HarnessOptions::default() };
        let mut harness = EngineHarness::start_with(
            &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])],
            &options,
        );
        harness.advance(120).await;
        assert!(harness.take_alert_texts().is_empty());
        harness.executor.fail_host("a.example", token_rejected_error());
        harness.advance(30).await;
        let at_once = harness.take_alert_texts();
        assert_eq!(at_once.len(), 2, "source and stream, but not yet the session: {at_once:?}");
        harness.advance(300).await;
        assert_eq!(harness.take_alert_texts(), expected, "{minutes} min to the session");
    }
}

/// Streams end with their sessions, most of them before the session's margin does.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_is_not_reported() {
    let texts = &["FP1 is live and no stream is healthy"][..];
    for (breaks_after, expected) in [(10, texts), (19, texts), (21, &[]), (45, &[])] {
        let schedule = sessions::session_with_margin(-40, 30);
        let options = HarnessOptions { schedule, ..HarnessOptions::default() };
        let mut harness = EngineHarness::start_with(
            &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])],
            &options,
        );
        harness.advance(breaks_after * 60).await;
        assert!(harness.take_alert_texts().is_empty());
        harness.executor.fail_host("a.example", token_rejected_error());
        harness.advance(29).await;
        let dead = harness.take_alert_texts();
        assert!(dead.len() == 2 && dead[0].starts_with("Source a is dead"), "{dead:?}");
        harness.advance(60 * 60).await;
        assert_eq!(
            harness.take_alert_texts(),
            expected,
            "it breaks after {breaks_after} of 20 minutes"
        );
    }
}

/// `expected`: the beginning and the end of each text.
fn assert_alert_texts(texts: &[String], expected: &[(&str, &str)], when: &str) {
    let fits = texts.len() == expected.len()
        && texts
            .iter()
            .zip(expected)
            .all(|(text, (begin, end))| text.starts_with(begin) && text.ends_with(end));
    assert!(fits, "{when}: {texts:#?}");
}

const SOURCE_DEAD_ALERT: (&str, &str) = ("Source a is dead (world-feed)", "was answered with 403");
const SOURCE_BACK_ALERT: (&str, &str) = ("Source a plays again", "(world-feed)");
const STREAM_DARK_ALERT: (&str, &str) =
    ("World feed is dark, nothing of it plays since 2026-05-03 17:", "was answered with 403");
const STREAM_BACK_ALERT: (&str, &str) =
    ("World feed plays again from a; it was dark since 2026-05-03 17:", "UTC");

/// The second death falls into the cooldown of the first and is reported when that is over.
#[tokio::test(start_paused = true)]
async fn every_outage_is_reported_and_a_death_within_the_cooldown_later() {
    for mended in [false, true] {
        let mut harness = EngineHarness::start(&[(
            "a",
            &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)],
        )]);
        harness.advance(60).await;
        harness.executor.fail_host("a.example", token_rejected_error());
        harness.advance(45).await;
        assert_alert_texts(
            &harness.take_alert_texts(),
            &[SOURCE_DEAD_ALERT, STREAM_DARK_ALERT],
            "the first time",
        );
        harness.executor.repair_host("a.example");
        harness.advance(45).await;
        assert_alert_texts(
            &harness.take_alert_texts(),
            &[SOURCE_BACK_ALERT, STREAM_BACK_ALERT],
            "the first time",
        );
        harness.executor.fail_host("a.example", token_rejected_error());
        harness.advance(45).await;
        assert_alert_texts(&harness.take_alert_texts(), &[STREAM_DARK_ALERT], "the second time");
        if mended {
            harness.executor.repair_host("a.example");
            harness.advance(600).await;
            assert_alert_texts(
                &harness.take_alert_texts(),
                &[STREAM_BACK_ALERT],
                "it lives when the quiet period ends",
            );
            continue;
        }
        harness.advance(450).await;
        assert_alert_texts(&harness.take_alert_texts(), &[], "the quiet period is not over");
        harness.advance(60).await;
        assert_alert_texts(&harness.take_alert_texts(), &[SOURCE_DEAD_ALERT], "it is over");
        harness.advance(3600).await;
        assert_alert_texts(&harness.take_alert_texts(), &[], "once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moment_in_the_dark_is_no_outage() {
    let mut harness =
        EngineHarness::start(&[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])]);
    harness.advance(60).await;
    harness.executor.fail_host("a.example", token_rejected_error());
    while harness.streams()[0].health != Health::Down {
        harness.advance(1).await;
    }
    harness.executor.repair_host("a.example");
    harness.advance(60).await;
    assert_alert_texts(
        &harness.take_alert_texts(),
        &[SOURCE_DEAD_ALERT, SOURCE_BACK_ALERT],
        "it was down for five seconds",
    );
}

/// The map carries reported outages, so that the next leader reports only new events.
#[tokio::test(start_paused = true)]
async fn a_new_leader_reports_no_outage_twice_and_misses_none() {
    let runs: Scripts<'_> = &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])];
    for (dark_for, dead_after, expected) in [
        (40, true, &[][..]),
        (40, false, &[STREAM_BACK_ALERT]),
        // The source died together with the leader.
        (0, true, &[SOURCE_DEAD_ALERT, STREAM_DARK_ALERT]),
        (0, false, &[]),
    ] {
        let harness = EngineHarness::start(runs);
        harness.advance(60).await;
        if dark_for > 0 {
            harness.executor.fail_host("a.example", token_rejected_error());
            harness.advance(dark_for).await;
        }
        let store = harness.store.clone();
        harness.stop().await;
        let options = HarnessOptions { store: Some(store), ..HarnessOptions::default() };
        let mut harness = EngineHarness::start_with(runs, &options);
        if dead_after {
            harness.executor.fail_host("a.example", token_rejected_error());
        }
        harness.advance(60).await;
        assert_alert_texts(
            &harness.take_alert_texts(),
            expected,
            &format!("{dark_for} {dead_after}"),
        );
        let health = if dead_after { Health::Down } else { Health::Healthy };
        assert_eq!(harness.streams()[0].health, health, "{dark_for} {dead_after}");
        harness.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_takes_long_to_answer_is_not_dead_yet() {
    let harness =
        EngineHarness::start(&[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])]);
    harness.advance(60).await;
    let store = harness.store.clone();
    harness.stop().await;
    let options = HarnessOptions { store: Some(store), ..HarnessOptions::default() };
    let mut harness = EngineHarness::start_with(&[("a", &[ScriptedRun::Hangs])], &options);
    harness.advance(120).await;
    assert_alert_texts(&harness.take_alert_texts(), &[], "nobody has asked it");
    assert_eq!(harness.streams()[0].reason.as_deref(), Some("its source has not been asked yet"));
}

#[tokio::test(start_paused = true)]
async fn a_configured_stream_that_never_played_is_dark() {
    let settings: &[_] = &[("a", "feed = 'World feed'")];
    let options = HarnessOptions { settings, ..HarnessOptions::default() };
    let mut harness = EngineHarness::start_with(
        &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])],
        &options,
    );
    harness.executor.fail_host("a.example", token_rejected_error());
    harness.advance(60).await;
    assert_alert_texts(
        &harness.take_alert_texts(),
        &[STREAM_DARK_ALERT],
        "since it was asked first",
    );
    assert_eq!(harness.metric_value("pitwall_stream_up", &["world-feed"]), Some(0.0));
    harness.executor.repair_host("a.example");
    // The retry backoff grows to a minute and some jitter.
    harness.advance(150).await;
    assert_alert_texts(&harness.take_alert_texts(), &[STREAM_BACK_ALERT], "for the first time");
    assert_eq!(harness.metric_value("pitwall_stream_up", &["world-feed"]), Some(1.0));
}

/// The check's error is only a part of the cause.
#[tokio::test(start_paused = true)]
async fn an_outage_cause_names_the_token_and_the_source() {
    let script = [ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(100)), ScriptedRun::Fails];
    let mut harness = EngineHarness::start(&[("a", &script)]);
    harness.advance(95).await;
    harness.executor.fail_host("a.example", token_rejected_error());
    harness.advance(30).await;
    let cause = "its token ended at 17:01:40 UTC and step 1 (get) failed: refused \
               (the playlist was answered with 403)";
    let texts = harness.take_alert_texts();
    assert!(
        texts.iter().any(|text| text.ends_with(cause) && text.starts_with("World feed is dark"))
    );
    assert_eq!(harness.streams()[0].reason.as_deref(), Some(cause));
}

/// There is time to repair a source before its token ends.
#[tokio::test(start_paused = true)]
async fn a_source_that_fails_while_it_still_plays_is_reported_once() {
    let found = ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", Some(400));
    let fails = || ScriptedRun::Fails;
    let script = [found.clone(), fails(), fails(), fails(), fails(), fails(), found];
    let mut harness = EngineHarness::start(&[("a", &script)]);
    harness.advance(400).await;
    let texts = harness.take_alert_texts();
    let expected = "Source a still plays (world-feed), but its runs fail: step 1 (get) failed: \
                    refused, and its token ends at 2026-05-03 17:06:40 UTC";
    assert_eq!(texts, [expected, "Source a plays again (world-feed)"]);
}
