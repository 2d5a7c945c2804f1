//! Only what has changed is published, and the store is written to beside the queue.

use std::collections::BTreeSet;

use pitwall_upstream_map::UpstreamMap;
use tokio::sync::oneshot;

use super::*;
use crate::model::command::{CommandError, SwitchRequest};

const BOTH: &[&str] = &["World feed", "Pit lane"];
const A: ScriptedRun = ScriptedRun::Finds(BOTH, "a.example", None);
const B: ScriptedRun = ScriptedRun::Finds(WORLD_FEED_ONLY, "b.example", None);

/// The entries of a map that another one does not share or that read differently there.
fn changes(before: &UpstreamMap, after: &UpstreamMap) -> BTreeSet<String> {
    let streams = after.streams.iter().filter(|(id, stream)| {
        before.streams.get(*id).is_none_or(|before| !Arc::ptr_eq(before, stream))
    });
    let streams = streams.map(|(id, _)| id.to_string());
    let (old, new) = (&before.documents, &after.documents);
    let extractors = new.extractors.iter().filter(|(name, extractor)| {
        old.extractors.get(*name).is_none_or(|before| !Arc::ptr_eq(before, extractor))
    });
    let documents = [
        ("session", old.session == new.session),
        ("schedule", old.schedule == new.schedule),
        ("status", old.status == new.status),
        ("activity", old.activity == new.activity),
        ("calendar", old.calendar == new.calendar),
        ("guide", old.guide == new.guide),
        ("playlist", old.playlist == new.playlist),
        ("version", old.version == new.version),
    ];
    let documents = documents.into_iter().filter(|(_, is_same)| !is_same);
    let documents = documents.map(|(name, _)| name.to_owned());
    streams.chain(extractors.map(|(name, _)| name.clone())).chain(documents).collect()
}

async fn watch_for(harness: &EngineHarness, seconds: u64) {
    for _ in 0..seconds {
        for feed in BOTH {
            let stream = StreamId::of_feed(feed).unwrap();
            harness.store.feedback().set_local_viewers(&stream, 1);
        }
        harness.advance(1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_not_changed_is_not_published() {
    let harness = EngineHarness::start(&[("a", &[A]), ("b", &[B])]);
    // Until the averages of what is measured have settled.
    watch_for(&harness, 600).await;
    let mut map = harness.store.map();
    for (name, event, expected) in [
        ("nothing happens", &(|| {}) as &dyn Fn(), &["activity"][..]),
        (
            "a source that has both streams ends",
            &|| harness.executor.fail_host("a.example", CheckError::permanent("it has ended")),
            &["a", "activity", "pit-lane", "status", "version", "world-feed"],
        ),
    ] {
        event();
        watch_for(&harness, 60).await;
        let now = harness.store.map();
        let changed = changes(&map, &now);
        assert_eq!(changed.iter().collect::<Vec<_>>(), expected, "{name}");
        map = now;
    }
}

/// A stream that is found while the lists were just made is in the list of the map that has it.
#[tokio::test(start_paused = true)]
async fn the_list_of_a_map_has_the_streams_of_the_map() {
    const ONE: ScriptedRun = ScriptedRun::Finds(WORLD_FEED_ONLY, "a.example", None);
    let harness = EngineHarness::start(&[("a", &[ONE, A])]);
    let mut counts = BTreeSet::new();
    for _ in 0..6_000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let map = harness.store.map();
        let list = map.documents.playlist.as_str().unwrap_or_default();
        assert_eq!(list.matches("#EXTINF").count(), map.streams.len(), "{list}");
        counts.insert(map.streams.len());
    }
    assert_eq!(counts.iter().max(), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_minute_has_two_maps() {
    let harness = EngineHarness::start(&[("a", &[A]), ("b", &[B])]);
    watch_for(&harness, 600).await;
    let mut versions = BTreeSet::new();
    for _ in 0..60 {
        watch_for(&harness, 1).await;
        versions.insert(harness.store.map().version);
    }
    assert!(versions.len() <= 3, "{versions:?}: every 30 s, and the one of before");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_delays_neither_checks_nor_commands() {
    let harness = EngineHarness::start(&[("a", &[A]), ("b", &[B])]);
    harness.advance(60).await;
    harness.faulty_store.hang();
    // When the second comes, the store is known to hang.
    for limit in [900, 210] {
        let (reply, switch) = oneshot::channel();
        let request = SwitchRequest { source: Some("b".to_owned()), pin: true };
        let (stream, requested_at) = ("world-feed".to_owned(), Instant::now());
        let command = Command::Switch { stream, request, requested_at, reply };
        harness.commands.send(command).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(limit), switch).await;
        let refused = answer.expect("it is answered in time").unwrap().unwrap_err();
        assert!(matches!(refused, CommandError::StoreUnavailable(_)), "{refused:?}");
    }
    let checks = harness.executor.check_times("a.example").len();
    for _ in 0..30 {
        let (reply, run) = oneshot::channel();
        let asked_at = Instant::now();
        harness.commands.send(Command::Run { extractor: "a".to_owned(), reply }).await.unwrap();
        assert!(run.await.unwrap().is_ok());
        assert!(asked_at.elapsed() < Duration::from_millis(1), "{:?}", asked_at.elapsed());
        harness.advance(1).await;
    }
    assert!(harness.executor.check_times("a.example").len() > checks);
    assert_eq!(harness.active_upstreams()[1], "world-feed@a:Healthy -");
}
