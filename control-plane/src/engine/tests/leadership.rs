//! Several control planes on one store.

use pitwall_upstream_map::UpstreamMap;

use super::*;
use crate::model::command::CommandError;

/// Options with the store of a leader that found these candidates and died.
async fn options_after_leader_death(runs: &[ScriptedRun]) -> HarnessOptions<'static> {
    let harness = EngineHarness::start(&[("a", runs)]);
    harness.advance(5).await;
    let store = harness.store.clone();
    harness.stop().await;
    HarnessOptions { store: Some(store), ..HarnessOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_keeps_the_map_until_its_upstreams_are_found_again() {
    let two: &[&str] = &["World feed", "Pit lane"];
    let options =
        options_after_leader_death(&[ScriptedRun::Finds(two, "a.example", Some(3000))]).await;
    let before = options.store.as_ref().unwrap().map();
    // One source is found late, and one never responds.
    let slow = &[
        ScriptedRun::Fails,
        ScriptedRun::Fails,
        ScriptedRun::Fails,
        ScriptedRun::Finds(two, "a.example", None),
    ];
    let harness =
        EngineHarness::start_with(&[("slow", slow), ("b", &[ScriptedRun::Hangs])], &options);
    harness.advance(2).await;
    assert_eq!(harness.store.map().version, before.version, "nothing was found yet");
    assert_eq!(harness.active_upstreams().len(), 2);
    harness.advance(120).await;
    assert!(harness.store.map().version > before.version);
    assert_eq!(harness.active_upstreams().len(), 2);
    let generation = |map: &pitwall_upstream_map::UpstreamMap| {
        map.streams.values().map(|stream| stream.upstreams[0].generation).min().unwrap()
    };
    assert!(generation(&harness.store.map()) > generation(&before), "reports are not mixed up");
}

/// Links of an upstream that is not in the map stop working.
#[tokio::test(start_paused = true)]
async fn the_map_is_kept_until_the_active_source_is_found_again() {
    let [a, b] =
        ["a.example", "b.example"].map(|host| [ScriptedRun::Finds(WORLD_FEED_ONLY, host, None)]);
    let harness = EngineHarness::start(&[("a", &a), ("b", &b)]);
    harness.advance(60).await;
    let store = harness.store.clone();
    let before = store.map();
    harness.stop().await;
    let options = HarnessOptions { store: Some(store.clone()), ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[ScriptedRun::Hangs]), ("b", &b)], &options);
    harness.advance(15).await;
    assert_eq!(store.map().version, before.version, "one of them is not found yet");
    harness.advance(10).await;
    assert_eq!(
        harness.active_upstreams(),
        ["world-feed@b:Healthy -"],
        "and is not waited for any longer"
    );
}

/// An edge may still play an upstream that the previous leader thought down.
#[tokio::test(start_paused = true)]
async fn a_stream_that_seems_down_is_waited_for_too() {
    let a = [ScriptedRun::Finds(&["Pit lane"], "a.example", None)];
    let b = [ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)];
    let harness = EngineHarness::start(&[("a", &a), ("b", &b)]);
    harness.advance(5).await;
    harness
        .executor
        .fail_host("a.example", CheckError::permanent("the playlist was answered with 403"));
    harness.advance(12).await;
    assert_eq!(harness.active_upstreams(), ["pit-lane@a:Down -", "world-feed@b:Healthy -"]);
    let store = harness.store.clone();
    let before = store.map().version;
    harness.stop().await;
    let options = HarnessOptions { store: Some(store.clone()), ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[ScriptedRun::Hangs]), ("b", &b)], &options);
    harness.advance(15).await;
    assert_eq!(store.map().version, before);
    harness.stop().await;
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_gone_are_removed_soon() {
    let options = options_after_leader_death(&[ScriptedRun::Finds(
        &["Old", "World feed"],
        "a.example",
        None,
    )])
    .await;
    let harness = EngineHarness::start_with(
        &[("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)])],
        &options,
    );
    harness.advance(3).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"], "every source has answered");
    let options = options_after_leader_death(&[ScriptedRun::Finds(
        &["Old", "World feed"],
        "a.example",
        None,
    )])
    .await;
    let runs = &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)];
    let harness = EngineHarness::start_with(&[("a", runs), ("b", &[ScriptedRun::Hangs])], &options);
    harness.advance(10).await;
    assert_eq!(harness.active_upstreams().len(), 2, "one source has not");
    harness.advance(15).await;
    assert_eq!(harness.active_upstreams().len(), 1, "and is not waited for any longer");
}

/// Edges follow the version of the last switch by an operator, which a new leader must not reset.
#[tokio::test(start_paused = true)]
async fn an_operators_switch_outlives_the_leader() {
    let [a, b] =
        ["a.example", "b.example"].map(|host| [ScriptedRun::Finds(WORLD_FEED_ONLY, host, None)]);
    let late = [ScriptedRun::Fails, b[0].clone()];
    for (case, b_again) in [("at once", &b[..]), ("late", &late[..])] {
        let harness = EngineHarness::start(&[("a", &a), ("b", &b)]);
        harness.advance(60).await;
        harness.switch(Some("b"), false).await.unwrap();
        let store = harness.store.clone();
        let switched = || store.map().streams["world-feed"].switched;
        let switch_version = switched();
        assert!(switch_version > 0);
        harness.stop().await;
        let options = HarnessOptions { store: Some(store.clone()), ..HarnessOptions::default() };
        let harness = EngineHarness::start_with(&[("a", &a), ("b", b_again)], &options);
        for seconds in [50, 600] {
            harness.advance(seconds).await;
            assert_eq!(
                harness.active_upstreams(),
                ["world-feed@b:Healthy -"],
                "{case}, {seconds} s"
            );
            assert_eq!(switched(), switch_version, "{case}, {seconds} s");
        }
        harness.switch(Some("a"), false).await.unwrap();
        assert!(switched() > switch_version);
        harness.stop().await;
    }
}

/// A new leader keeps a pin, whatever the ranking.
#[tokio::test(start_paused = true)]
async fn a_pin_outlives_the_leader() {
    let [a, b] =
        ["a.example", "b.example"].map(|host| [ScriptedRun::Finds(WORLD_FEED_ONLY, host, None)]);
    let late = [ScriptedRun::Fails, b[0].clone()];
    let settings: &[_] = &[("a", "priority = 10")];
    for (case, b_again) in [("at once", &b[..]), ("late", &late[..])] {
        let options = HarnessOptions { settings, ..HarnessOptions::default() };
        let mut harness = EngineHarness::start_with(&[("a", &a), ("b", &b)], &options);
        harness.advance(60).await;
        harness.switch(Some("b"), true).await.unwrap();
        let store = harness.store.clone();
        let pin = store.map().streams["world-feed"].pin.clone();
        assert_eq!(pin.as_ref().map(|pin| pin.source.as_str()), Some("b"));
        // A successor that has never led, and another one after it.
        for successor in 1..=2 {
            harness.stop().await;
            let options = HarnessOptions {
                settings,
                store: Some(store.clone()),
                ..HarnessOptions::default()
            };
            harness = EngineHarness::start_with(&[("a", &a), ("b", b_again)], &options);
            for seconds in [50, 600] {
                harness.advance(seconds).await;
                let context = format!("{case}, successor {successor} after {seconds} s");
                assert_eq!(harness.active_upstreams(), ["world-feed@b:Healthy -"], "{context}");
                assert_eq!(store.map().streams["world-feed"].pin, pin, "{context}");
                let summary = harness.explanation("world-feed").summary;
                assert_eq!(summary, "b plays because an operator chose it.", "{context}");
            }
        }
        harness.executor.fail_host("b.example", CheckError::permanent("it has ended"));
        harness.advance(15).await;
        let stream = store.map().streams["world-feed"].clone();
        assert_eq!((stream.upstreams[0].source.as_str(), &stream.pin), ("a", &None), "{case}");
        harness.stop().await;
    }
}

/// Both the history on disk and the store may be outdated.
#[tokio::test(start_paused = true)]
async fn of_two_switches_the_newer_counts() {
    let [a, b] =
        ["a.example", "b.example"].map(|host| [ScriptedRun::Finds(WORLD_FEED_ONLY, host, None)]);
    let scripts: Scripts<'_> = &[("a", &a), ("b", &b)];
    let settings: &[_] = &[("a", "priority = 10")];
    let state = tempfile::tempdir().unwrap();
    let remembering =
        HarnessOptions { settings, state_dir: Some(state.path()), ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(scripts, &remembering);
    harness.advance(60).await;
    let before = UpstreamMap::clone(&harness.store.map());
    harness.switch(Some("b"), true).await.unwrap();
    let pinned = harness.store.clone();
    harness.stop().await;

    let [older, emptied] = [MemoryStore::new(), MemoryStore::new()];
    older.publish(before).await.unwrap();
    // The disk of this control plane does not have the first one's history.
    let unpinned = MemoryStore::new();
    unpinned.publish(UpstreamMap::clone(&pinned.map())).await.unwrap();
    let elsewhere =
        HarnessOptions { settings, store: Some(unpinned.clone()), ..HarnessOptions::default() };
    let other = EngineHarness::start_with(scripts, &elsewhere);
    other.advance(5).await;
    other.switch(Some("a"), false).await.unwrap();
    other.stop().await;
    for (case, store, expected) in [
        ("the store is older than what is on disk", older, "b"),
        ("the store was emptied", emptied, "b"),
        ("the store says the same", pinned, "b"),
        ("the store is newer", unpinned, "a"),
    ] {
        // Each case starts with the same history, as the engine is stopped without saving more.
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(state.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let state_dir = Some(copy.path());
        let options = HarnessOptions {
            settings,
            store: Some(store.clone()),
            state_dir,
            ..HarnessOptions::default()
        };
        let harness = EngineHarness::start_with(scripts, &options);
        for seconds in [10, 600] {
            harness.advance(seconds).await;
            assert_eq!(
                harness.active_upstreams(),
                [format!("world-feed@{expected}:Healthy -")],
                "{case}"
            );
            let pin = store.map().streams["world-feed"].pin.clone();
            let pin = pin.map(|pin| pin.source);
            assert_eq!(pin.as_deref(), (expected == "b").then_some("b"), "{case}");
        }
        harness.stop().await;
    }
}

/// During warm-up a map would lack the upstreams that are not found yet, and a switch takes effect
/// only with a map.
#[tokio::test(start_paused = true)]
async fn a_new_leader_rejects_switches_during_warm_up() {
    let [a, b] =
        ["a.example", "b.example"].map(|host| [ScriptedRun::Finds(WORLD_FEED_ONLY, host, None)]);
    let harness = EngineHarness::start(&[("a", &a), ("b", &b)]);
    harness.advance(60).await;
    let options =
        HarnessOptions { store: Some(harness.store.clone()), ..HarnessOptions::default() };
    harness.stop().await;
    let harness = EngineHarness::start_with(&[("a", &a), ("b", &[ScriptedRun::Hangs])], &options);
    harness.advance(2).await;
    let before = harness.store.map().version;
    assert_eq!(harness.switch(Some("a"), true).await.unwrap_err(), CommandError::TakingOver);
    assert_eq!(harness.store.map().version, before);
    harness.advance(30).await;
    assert!(harness.switch(Some("a"), true).await.is_ok());
}

/// A pin outlasts an outage of its stream: the pinned source becomes active as soon as it is up.
#[tokio::test(start_paused = true)]
async fn a_pin_outlives_an_outage_of_its_stream_and_the_leader() {
    let b = [ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None)];
    let harness = EngineHarness::start(&[("b", &b)]);
    harness.advance(60).await;
    harness.switch(Some("b"), true).await.unwrap();
    harness.executor.fail_host("b.example", CheckError::permanent("it has ended"));
    harness.advance(15).await;
    let store = harness.store.clone();
    let pin = || store.map().streams["world-feed"].pin.clone().map(|pin| pin.source);
    assert_eq!(
        (harness.active_upstreams(), pin()),
        (vec!["world-feed@b:Down -".to_owned()], Some("b".into()))
    );
    harness.stop().await;
    let options = HarnessOptions { store: Some(store.clone()), ..HarnessOptions::default() };
    let a = [ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)];
    let settings: &[_] = &[("a", "priority = 10")];
    let options = HarnessOptions { settings, ..options };
    let harness = EngineHarness::start_with(&[("a", &a), ("b", &b)], &options);
    harness.advance(10).await;
    assert_eq!(
        (harness.active_upstreams(), pin()),
        (vec!["world-feed@b:Healthy -".to_owned()], Some("b".into()))
    );
}

/// The upstream that is active by the last map stays, though a source of higher priority is up
/// again.
#[tokio::test(start_paused = true)]
async fn a_restart_moves_no_viewer() {
    let [a, b] =
        ["a.example", "b.example"].map(|host| [ScriptedRun::Finds(WORLD_FEED_ONLY, host, None)]);
    let (settings, rank): (&[_], _) = (&[("a", "priority = 10")], "fail_back = '5m'");
    let options = HarnessOptions { settings, rank, ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &a), ("b", &b)], &options);
    harness
        .executor
        .fail_host("a.example", CheckError::permanent("the playlist was answered with 404"));
    harness.advance(30).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@b:Healthy -"]);
    let store = Some(harness.store.clone());
    harness.stop().await;
    let options = HarnessOptions { settings, rank, store, ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &a), ("b", &b)], &options);
    for (seconds, source) in [(1, "b"), (1, "b"), (3, "b"), (15, "b"), (60, "b"), (300, "a")] {
        harness.advance(seconds).await;
        assert_eq!(
            harness.active_upstreams(),
            [format!("world-feed@{source}:Healthy -")],
            "after {seconds} s"
        );
    }
    harness.stop().await;
}
