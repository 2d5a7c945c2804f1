//! An operator's commands.

use pitwall_upstream_map::MapReach;
use tokio::sync::oneshot;

use super::*;
use crate::model::command::{CommandError, ReplySender, SwitchRequest, SwitchResult};

const A: ScriptedRun = ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None);
const B: ScriptedRun = ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None);

impl EngineHarness {
    async fn send_command<T>(
        &self,
        command: impl FnOnce(ReplySender<T>) -> Command,
    ) -> Result<T, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.unwrap();
        answer.await.unwrap()
    }

    pub(super) async fn switch(
        &self,
        source: Option<&str>,
        pin: bool,
    ) -> Result<SwitchResult, CommandError> {
        let (stream, requested_at) = ("world-feed".to_owned(), Instant::now());
        let request = SwitchRequest { source: source.map(Into::into), pin };
        let switched = self
            .send_command(|reply| Command::Switch { stream, request, requested_at, reply })
            .await;
        self.advance(1).await;
        switched
    }
}

#[tokio::test(start_paused = true)]
async fn a_pinned_switch_lasts_until_the_source_is_down() {
    let options =
        HarnessOptions { settings: &[("a", "priority = 10")], ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(60).await;
    let switched = harness.switch(Some("b"), true).await.unwrap();
    assert_eq!((switched.from.as_deref(), switched.to.as_str()), (Some("a"), "b"));
    harness.advance(3600).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@b:Healthy -"], "whatever ranking says");
    let summary = harness.explanation("world-feed").summary;
    assert_eq!(summary, "b plays because an operator chose it.");
    harness.executor.fail_host("b.example", CheckError::permanent("it has ended"));
    harness.advance(15).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
    harness.executor.repair_host("b.example");
    harness.advance(3600).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"], "dying ended it");
}

#[tokio::test(start_paused = true)]
async fn an_unpinned_switch_lasts_until_ranking_changes() {
    let options =
        HarnessOptions { settings: &[("a", "priority = 10")], ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(60).await;
    assert_eq!(harness.switch(None, false).await.unwrap().to, "b", "the next best");
    harness.advance(600).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
}

/// An edge may play another source than the map's first one; a later switch by an operator
/// overrides that.
#[tokio::test(start_paused = true)]
async fn a_map_carries_the_version_of_an_operators_switch() {
    let options =
        HarnessOptions { settings: &[("a", "priority = 10")], ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(60).await;
    let switched = || harness.store.map().streams["world-feed"].switched;
    assert_eq!(switched(), 0);
    let mut last = 0;
    for source in ["a", "b", "b"] {
        let before = harness.store.map().version;
        harness.switch(Some(source), false).await.unwrap();
        let now = harness.store.map().version;
        assert!(before < switched() && switched() <= now, "{before} {} {now}", switched());
        assert!(switched() > last, "each time");
        last = switched();
    }
    harness.advance(600).await;
    assert_eq!(
        (harness.active_upstreams(), switched()),
        (vec!["world-feed@a:Healthy -".to_owned()], 0)
    );
}

/// Without the lease versions stay below those of a control plane that takes it meanwhile, whose
/// versions follow the clock.
#[tokio::test(start_paused = true)]
async fn a_switch_for_the_own_edge_says_so_and_versions_do_not_follow_the_clock() {
    let harness = EngineHarness::start(&[("a", &[A]), ("b", &[B])]);
    harness.advance(60).await;
    let reach = harness.switch(Some("b"), true).await.unwrap().reach;
    assert_eq!(reach, MapReach::AllEdges);
    harness.faulty_store.lead_own_edge_alone();
    let before = harness.store.map().version;
    for source in ["a", "b", "a"] {
        let switched = harness.switch(Some(source), true).await.unwrap();
        assert_eq!((switched.reach, switched.to.as_str()), (MapReach::OwnEdge, source));
        assert_eq!(harness.active_upstreams(), [format!("world-feed@{source}:Healthy -")]);
    }
    harness.advance(600).await;
    let maps = harness.store.map().version - before;
    assert!((3..1_000).contains(&maps), "{maps} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn impossible_commands_fail() {
    let harness = EngineHarness::start(&[("a", &[A]), ("b", &[B])]);
    harness.advance(60).await;
    harness.executor.fail_host("b.example", CheckError::permanent("it has ended"));
    harness.advance(15).await;
    for (source, expected) in [
        (Some("b"), CommandError::UpstreamDown),
        (None, CommandError::UpstreamDown),
        (Some("c"), CommandError::NoUpstream),
    ] {
        assert_eq!(harness.switch(source, true).await.unwrap_err(), expected, "{source:?}");
    }
    let request = SwitchRequest { source: None, pin: true };
    let (stream, requested_at) = ("onboard-7".to_owned(), Instant::now());
    let switch = |reply| Command::Switch { stream, request, requested_at, reply };
    assert_eq!(harness.send_command(switch).await.unwrap_err(), CommandError::NoStream);
    let extractor = "c".to_owned();
    let error = harness.send_command(|reply| Command::Run { extractor, reply }).await.unwrap_err();
    assert_eq!(error, CommandError::NoExtractor);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_no_store_took_is_refused_and_forgotten() {
    let options =
        HarnessOptions { settings: &[("a", "priority = 10")], ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(60).await;
    let before = harness.explanation("world-feed").summary;
    harness.faulty_store.go_down();
    for pin in [true, false] {
        let error = harness.switch(Some("b"), pin).await.unwrap_err();
        assert_eq!(error, CommandError::StoreUnavailable("it is gone".to_owned()));
    }
    harness.faulty_store.come_back();
    for seconds in [5, 600] {
        harness.advance(seconds).await;
        assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
        assert_eq!(harness.explanation("world-feed").summary, before);
        let stream = harness.store.map().streams["world-feed"].clone();
        assert_eq!((stream.switched, stream.pin.as_ref()), (0, None));
    }
    assert!(harness.switch(Some("b"), true).await.is_ok(), "and can be asked for again");
}

/// The caller was told that the switch failed, or has left.
#[tokio::test(start_paused = true)]
async fn commands_whose_caller_has_left_are_not_executed() {
    let harness = EngineHarness::start(&[("a", &[A]), ("b", &[B])]);
    harness.advance(60).await;
    let request = || SwitchRequest { source: Some("b".to_owned()), pin: true };
    let (stream, requested_at) = ("world-feed".to_owned(), Instant::now() - Duration::from_secs(3));
    let late = |reply| Command::Switch { stream, request: request(), requested_at, reply };
    assert_eq!(harness.send_command(late).await.unwrap_err(), CommandError::Busy);
    let (reply, answer) = oneshot::channel();
    drop(answer);
    let (stream, requested_at) = ("world-feed".to_owned(), Instant::now());
    let left = Command::Switch { stream, request: request(), requested_at, reply };
    harness.commands.send(left).await.unwrap();
    harness.advance(10).await;
    assert_eq!(harness.active_upstreams(), ["world-feed@a:Healthy -"]);
}

#[tokio::test(start_paused = true)]
async fn a_pin_is_removed_by_an_unpinned_switch_to_the_active_source() {
    let options =
        HarnessOptions { settings: &[("a", "priority = 10")], ..HarnessOptions::default() };
    let harness = EngineHarness::start_with(&[("a", &[A]), ("b", &[B])], &options);
    harness.advance(60).await;
    harness.switch(Some("b"), true).await.unwrap();
    let pin = || harness.store.map().streams["world-feed"].pin.clone();
    assert_eq!(pin().map(|pin| pin.source).as_deref(), Some("b"));
    harness.switch(Some("b"), false).await.unwrap();
    assert_eq!(
        (harness.active_upstreams(), pin()),
        (vec!["world-feed@b:Healthy -".to_owned()], None)
    );
    harness.advance(600).await;
    assert_eq!(
        harness.active_upstreams(),
        ["world-feed@a:Healthy -"],
        "ranking goes on from there"
    );
    harness.switch(Some("b"), true).await.unwrap();
    assert_eq!(harness.switch(None, false).await.unwrap().to, "a", "the next best");
    assert_eq!(
        (harness.active_upstreams(), pin()),
        (vec!["world-feed@a:Healthy -".to_owned()], None)
    );
}

#[tokio::test(start_paused = true)]
async fn runs_and_their_traces() {
    let harness =
        EngineHarness::start(&[("a", &[A, ScriptedRun::Fails]), ("b", &[ScriptedRun::Hangs])]);
    harness.advance(10).await;
    let trace = |name: &str| {
        let extractor = name.to_owned();
        harness.send_command(|reply| Command::GetTrace { extractor, reply })
    };
    let first = trace("a").await.unwrap();
    assert_eq!((first.candidates, first.failures.len(), first.checks.len()), (1, 0, 1));
    assert_eq!(trace("b").await.unwrap_err(), CommandError::NoTrace, "it has not ended");
    let extractor = "a".to_owned();
    let started = harness.send_command(|reply| Command::Run { extractor, reply }).await.unwrap();
    assert!(!started.already_running);
    harness.advance(1).await;
    let second = trace("a").await.unwrap();
    assert_eq!((second.candidates, second.failures.len()), (0, 1));
    let text = serde_json::to_string(&(first, second)).unwrap();
    assert!(!text.contains("example") && !text.contains("http"), "{text}");
    let extractor = "b".to_owned();
    assert!(
        harness
            .send_command(|reply| Command::Run { extractor, reply })
            .await
            .unwrap()
            .already_running
    );
}

#[tokio::test(start_paused = true)]
async fn viewers_and_pins_are_told_per_stream() {
    let harness = EngineHarness::start(&[("a", &[A]), ("b", &[B])]);
    harness.advance(60).await;
    let stream = StreamId::of_feed("World feed").unwrap();
    for (source, pin, viewers) in [("b", true, 3), ("b", false, 3), ("a", true, 0)] {
        harness.switch(Some(source), pin).await.unwrap();
        // An edge that says nothing for a while has no viewers.
        if viewers == 0 {
            harness.advance(60).await;
        }
        harness.store.feedback().set_local_viewers(&stream, viewers);
        harness.advance(1).await;
        let counts = harness.send_command(|reply| Command::GetViewers { reply }).await.unwrap();
        let one = &counts.streams[0];
        assert_eq!((counts.streams.len(), counts.viewers), (1, viewers));
        let told = (one.feed.as_str(), one.viewers, one.source.as_deref(), one.pinned);
        assert_eq!(told, ("World feed", viewers, Some(source), pin));
        assert!(one.playing_seconds.is_some_and(|seconds| seconds < 120), "{one:?}");
    }
}
