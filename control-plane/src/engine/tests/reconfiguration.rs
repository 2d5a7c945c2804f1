//! Other settings while the engine runs.

use super::*;
use crate::extract::ConfiguredSource;

impl EngineHarness {
    /// Sources by name, with further keys, and the keys of `[rank]`.
    fn reconfigure(&self, sources: &[(&str, &str)], rank: &str) {
        let source = |(name, keys): &(&str, &str)| {
            let text =
                format!("[[source]]\nname='{name}'\nkind='m3u'\nurl='https://x.example/'\n{keys}");
            Arc::new(ConfiguredSource::parse_file(&text).unwrap().remove(0))
        };
        let webhooks = self.settings.borrow().webhooks.clone();
        self.settings.send_replace(Arc::new(EngineSettings {
            sources: sources.iter().map(source).collect(),
            rank: toml::from_str(rank).unwrap(),
            webhooks,
        }));
    }
}

fn harness() -> EngineHarness {
    EngineHarness::start(&[
        ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)]),
        ("b", &[ScriptedRun::Finds(&["World feed", "Pit lane"], "b.example", None)]),
    ])
}

#[tokio::test(start_paused = true)]
async fn sources_come_change_and_go_and_others_are_not_disturbed() {
    let harness = EngineHarness::start_with(
        &[
            ("a", &[ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)]),
            ("b", &[ScriptedRun::Finds(&["Pit lane"], "b.example", None)]),
            ("c", &[ScriptedRun::Finds(&["Onboard"], "c.example", None)]),
        ],
        &HarnessOptions::default(),
    );
    harness.advance(30).await;
    let runs = |name| harness.executor.run_times(name).len();
    let generation = harness.generation("world-feed", "a");
    assert_eq!((runs("a"), runs("b"), runs("c")), (1, 1, 1));

    // The first stays, in another place; the second has another label; the third goes.
    harness.reconfigure(&[("b", "label='new'"), ("a", "")], "");
    harness.advance(2).await;
    assert_eq!((runs("a"), runs("b"), runs("c")), (1, 2, 1));
    assert_eq!(
        harness.active_upstreams(),
        ["pit-lane@b:Healthy -", "world-feed@a:Healthy -"],
        "the stream of the third is gone, and that of the second played on"
    );
    assert_eq!(harness.generation("world-feed", "a"), generation);
    assert_eq!(harness.extractor_status(0).name, "b");
    assert_eq!(harness.metric_value("pitwall_candidates", &["c"]), None);
    assert_eq!(harness.metric_value("pitwall_extractor_failing", &["a"]), Some(0.0));
    let map = harness.store.map();
    let profiles: Vec<_> = map.profiles.keys().map(|id| id.0.as_str()).collect();
    assert_eq!(profiles, ["a", "b"]);

    // What was removed comes back.
    harness.reconfigure(&[("a", ""), ("c", "")], "");
    harness.advance(2).await;
    assert_eq!((runs("a"), runs("c")), (1, 2));
    assert_eq!(harness.active_upstreams(), ["onboard@c:Healthy -", "world-feed@a:Healthy -"]);
    assert_eq!(harness.metric_value("pitwall_extractor_failing", &["c"]), Some(0.0));
}

/// What a changed source no longer has goes with its first complete run.
#[tokio::test(start_paused = true)]
async fn a_changed_source_plays_on_until_it_has_run() {
    let harness = EngineHarness::start(&[(
        "a",
        &[
            ScriptedRun::Finds(&["World feed", "Pit lane"], "a.example", None),
            ScriptedRun::Fails,
            ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None),
        ],
    )]);
    harness.advance(30).await;
    harness.reconfigure(&[("a", "every='3m'")], "");
    harness.advance(1).await;
    assert_eq!(harness.active_upstreams().len(), 2, "its run failed");
    harness.advance(60).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
}

/// A run that hangs does not delay the one with the new definition.
#[tokio::test(start_paused = true)]
async fn a_run_of_the_old_definition_is_ended() {
    let harness = EngineHarness::start(&[(
        "a",
        &[ScriptedRun::Hangs, ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None)],
    )]);
    harness.advance(5).await;
    assert!(harness.active_upstreams().is_empty());
    harness.reconfigure(&[("a", "every='3m'")], "");
    harness.advance(2).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
}

/// Viewers move from a source that is removed to the next one.
#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_with_what_is_left_of_it() {
    let mut harness = harness();
    harness.advance(60).await;
    assert_eq!(harness.active_upstreams()[1], "world-feed@a:Healthy -");
    harness.reconfigure(&[("b", "")], "");
    harness.advance(2).await;
    assert_eq!(harness.active_upstreams(), ["pit-lane@b:Healthy -", "world-feed@b:Healthy -"]);
    harness.advance(700).await;
    assert!(harness.take_alert_texts().is_empty(), "a removed source is no death");
}

#[tokio::test(start_paused = true)]
async fn preferences_change() {
    let harness = harness();
    harness.advance(120).await;
    assert_eq!(harness.active_upstreams()[1], "world-feed@a:Healthy -");
    let prefer = "[[prefer]]\nname='b'\npoints=0.9\nsource='b'";
    harness.reconfigure(&[("a", ""), ("b", "")], prefer);
    harness.advance(2).await;
    assert_eq!(harness.active_upstreams()[1], "world-feed@b:Healthy -");
    assert_eq!(harness.executor.run_times("b").len(), 1);
}
