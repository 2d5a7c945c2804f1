//! Several control planes on one store.

use pitwall_upstream_map::UpstreamMap;

use super::*;
use crate::engine::command::Refused;

/// A control plane that found these, and died.
async fn published(runs: &[Run]) -> Setup<'static> {
    let bench = Bench::start(&[("a", runs)]);
    bench.pass(5).await;
    let store = bench.store.clone();
    bench.stop().await;
    Setup { store: Some(store), ..Setup::default() }
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_leaves_what_plays_until_it_is_found_again() {
    let two: &[&str] = &["World feed", "Pit lane"];
    let setup = published(&[Run::Finds(two, "a.example", Some(3000))]).await;
    let before = setup.store.as_ref().unwrap().current();
    // One source takes its time, and one never answers.
    let slow = &[Run::Fails, Run::Fails, Run::Fails, Run::Finds(two, "a.example", None)];
    let bench = Bench::with(&[("slow", slow), ("b", &[Run::Hangs])], &setup);
    bench.pass(2).await;
    assert_eq!(bench.store.current().version, before.version, "nothing was found yet");
    assert_eq!(bench.plays().len(), 2);
    bench.pass(120).await;
    assert!(bench.store.current().version > before.version);
    assert_eq!(bench.plays().len(), 2);
    let generation = |map: &pitwall_upstream_map::UpstreamMap| {
        map.streams.values().map(|stream| stream.upstreams[0].generation).min().unwrap()
    };
    assert!(generation(&bench.store.current()) > generation(&before), "reports are not mixed up");
}

/// Links of one that is not in the map lead nowhere.
#[tokio::test(start_paused = true)]
async fn a_source_that_plays_is_found_again_before_another_takes_its_place() {
    let [a, b] = ["a.example", "b.example"].map(|host| [Run::Finds(ONE, host, None)]);
    let bench = Bench::start(&[("a", &a), ("b", &b)]);
    bench.pass(60).await;
    let store = bench.store.clone();
    let before = store.current();
    bench.stop().await;
    let setup = Setup { store: Some(store.clone()), ..Setup::default() };
    let bench = Bench::with(&[("a", &[Run::Hangs]), ("b", &b)], &setup);
    bench.pass(15).await;
    assert_eq!(store.current().version, before.version, "one of them is not found yet");
    bench.pass(10).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "and is not waited for any longer");
}

/// An edge may know better than who is gone.
#[tokio::test(start_paused = true)]
async fn a_stream_that_seems_down_is_waited_for_too() {
    let a = [Run::Finds(&["Pit lane"], "a.example", None)];
    let b = [Run::Finds(ONE, "b.example", None)];
    let bench = Bench::start(&[("a", &a), ("b", &b)]);
    bench.pass(5).await;
    bench.world.breaks("a.example", CheckError::definite("the playlist was answered with 403"));
    bench.pass(12).await;
    assert_eq!(bench.plays(), ["pit-lane@a:Down -", "world-feed@b:Healthy -"]);
    let store = bench.store.clone();
    let before = store.current().version;
    bench.stop().await;
    let setup = Setup { store: Some(store.clone()), ..Setup::default() };
    let bench = Bench::with(&[("a", &[Run::Hangs]), ("b", &b)], &setup);
    bench.pass(15).await;
    assert_eq!(store.current().version, before);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_is_gone_soon() {
    let setup = published(&[Run::Finds(&["Old", "World feed"], "a.example", None)]).await;
    let bench = Bench::with(&[("a", &[Run::Finds(ONE, "a.example", None)])], &setup);
    bench.pass(3).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"], "every source has answered");
    let setup = published(&[Run::Finds(&["Old", "World feed"], "a.example", None)]).await;
    let runs = &[Run::Finds(ONE, "a.example", None)];
    let bench = Bench::with(&[("a", runs), ("b", &[Run::Hangs])], &setup);
    bench.pass(10).await;
    assert_eq!(bench.plays().len(), 2, "one source has not");
    bench.pass(15).await;
    assert_eq!(bench.plays().len(), 1, "and is not waited for any longer");
}

/// Edges go by when an operator last had a word, and must not hear that nobody ever had.
#[tokio::test(start_paused = true)]
async fn an_operators_word_outlives_the_leader() {
    let [a, b] = ["a.example", "b.example"].map(|host| [Run::Finds(ONE, host, None)]);
    let late = [Run::Fails, b[0].clone()];
    for (what, b_again) in [("at once", &b[..]), ("late", &late[..])] {
        let bench = Bench::start(&[("a", &a), ("b", &b)]);
        bench.pass(60).await;
        bench.switch(Some("b"), false).await.unwrap();
        let store = bench.store.clone();
        let switched = || store.current().streams["world-feed"].switched;
        let told = switched();
        assert!(told > 0);
        bench.stop().await;
        let setup = Setup { store: Some(store.clone()), ..Setup::default() };
        let bench = Bench::with(&[("a", &a), ("b", b_again)], &setup);
        for seconds in [50, 600] {
            bench.pass(seconds).await;
            assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "{what}, {seconds} s");
            assert_eq!(switched(), told, "{what}, {seconds} s");
        }
        bench.switch(Some("a"), false).await.unwrap();
        assert!(switched() > told);
        bench.stop().await;
    }
}

/// A pin, by whoever leads next, whatever ranking says.
#[tokio::test(start_paused = true)]
async fn a_pin_outlives_the_leader() {
    let [a, b] = ["a.example", "b.example"].map(|host| [Run::Finds(ONE, host, None)]);
    let late = [Run::Fails, b[0].clone()];
    let settings: &[_] = &[("a", "priority = 10")];
    for (what, b_again) in [("at once", &b[..]), ("late", &late[..])] {
        let setup = Setup { settings, ..Setup::default() };
        let mut bench = Bench::with(&[("a", &a), ("b", &b)], &setup);
        bench.pass(60).await;
        bench.switch(Some("b"), true).await.unwrap();
        let store = bench.store.clone();
        let pin = store.current().streams["world-feed"].pin.clone();
        assert_eq!(pin.as_ref().map(|pin| pin.source.as_str()), Some("b"));
        // One that has never led, and another one after it.
        for successor in 1..=2 {
            bench.stop().await;
            let setup = Setup { settings, store: Some(store.clone()), ..Setup::default() };
            bench = Bench::with(&[("a", &a), ("b", b_again)], &setup);
            for seconds in [50, 600] {
                bench.pass(seconds).await;
                let place = format!("{what}, successor {successor} after {seconds} s");
                assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "{place}");
                assert_eq!(store.current().streams["world-feed"].pin, pin, "{place}");
                let summary = bench.explanation("world-feed").summary;
                assert_eq!(summary, "b plays because an operator chose it.", "{place}");
            }
        }
        bench.world.breaks("b.example", CheckError::definite("it has ended"));
        bench.pass(15).await;
        let stream = store.current().streams["world-feed"].clone();
        assert_eq!((stream.upstreams[0].source.as_str(), &stream.pin), ("a", &None), "{what}");
        bench.stop().await;
    }
}

/// What was remembered on disk and what the store has may both be old.
#[tokio::test(start_paused = true)]
async fn of_two_words_the_newer_counts() {
    let [a, b] = ["a.example", "b.example"].map(|host| [Run::Finds(ONE, host, None)]);
    let scripts: Scripts<'_> = &[("a", &a), ("b", &b)];
    let settings: &[_] = &[("a", "priority = 10")];
    let state = tempfile::tempdir().unwrap();
    let remembering = Setup { settings, state: Some(state.path()), ..Setup::default() };
    let bench = Bench::with(scripts, &remembering);
    bench.pass(60).await;
    let before = UpstreamMap::clone(&bench.store.current());
    bench.switch(Some("b"), true).await.unwrap();
    let pinned = bench.store.clone();
    bench.stop().await;

    let [older, emptied] = [MemoryStore::new(), MemoryStore::new()];
    older.publish(before).await.unwrap();
    // Its disk knows nothing of what this one remembers.
    let unpinned = MemoryStore::new();
    unpinned.publish(UpstreamMap::clone(&pinned.current())).await.unwrap();
    let elsewhere = Setup { settings, store: Some(unpinned.clone()), ..Setup::default() };
    let other = Bench::with(scripts, &elsewhere);
    other.pass(5).await;
    other.switch(Some("a"), false).await.unwrap();
    other.stop().await;
    for (what, store, expected) in [
        ("the store is older than what is on disk", older, "b"),
        ("the store was emptied", emptied, "b"),
        ("the store says the same", pinned, "b"),
        ("the store is newer", unpinned, "a"),
    ] {
        // Each with the same memory: it is killed before it remembers more.
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(state.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        let state = Some(copy.path());
        let setup = Setup { settings, store: Some(store.clone()), state, ..Setup::default() };
        let bench = Bench::with(scripts, &setup);
        for seconds in [10, 600] {
            bench.pass(seconds).await;
            assert_eq!(bench.plays(), [format!("world-feed@{expected}:Healthy -")], "{what}");
            let pin = store.current().streams["world-feed"].pin.clone();
            let pin = pin.map(|pin| pin.source);
            assert_eq!(pin.as_deref(), (expected == "b").then_some("b"), "{what}");
        }
        bench.stop().await;
    }
}

/// A map of what was found so far would take away the rest, and a word is in force when a map says
/// so.
#[tokio::test(start_paused = true)]
async fn who_has_just_taken_over_takes_no_word() {
    let [a, b] = ["a.example", "b.example"].map(|host| [Run::Finds(ONE, host, None)]);
    let bench = Bench::start(&[("a", &a), ("b", &b)]);
    bench.pass(60).await;
    let setup = Setup { store: Some(bench.store.clone()), ..Setup::default() };
    bench.stop().await;
    let bench = Bench::with(&[("a", &a), ("b", &[Run::Hangs])], &setup);
    bench.pass(2).await;
    let before = bench.store.current().version;
    assert_eq!(bench.switch(Some("a"), true).await.unwrap_err(), Refused::TakingOver);
    assert_eq!(bench.store.current().version, before);
    bench.pass(30).await;
    assert!(bench.switch(Some("a"), true).await.is_ok());
}

/// With nothing that plays a pin is not over: whoever it is on plays as soon as it can.
#[tokio::test(start_paused = true)]
async fn a_pin_outlives_an_outage_of_its_stream_and_the_leader() {
    let b = [Run::Finds(ONE, "b.example", None)];
    let bench = Bench::start(&[("b", &b)]);
    bench.pass(60).await;
    bench.switch(Some("b"), true).await.unwrap();
    bench.world.breaks("b.example", CheckError::definite("it has ended"));
    bench.pass(15).await;
    let store = bench.store.clone();
    let pin = || store.current().streams["world-feed"].pin.clone().map(|pin| pin.source);
    assert_eq!((bench.plays(), pin()), (vec!["world-feed@b:Down -".to_owned()], Some("b".into())));
    bench.stop().await;
    let setup = Setup { store: Some(store.clone()), ..Setup::default() };
    let a = [Run::Finds(ONE, "a.example", None)];
    let settings: &[_] = &[("a", "priority = 10")];
    let setup = Setup { settings, ..setup };
    let bench = Bench::with(&[("a", &a), ("b", &b)], &setup);
    bench.pass(10).await;
    assert_eq!(
        (bench.plays(), pin()),
        (vec!["world-feed@b:Healthy -".to_owned()], Some("b".into()))
    );
}

/// Whoever plays by the last map stays, though a source of higher priority is there again.
#[tokio::test(start_paused = true)]
async fn a_restart_moves_nobody() {
    let [a, b] = ["a.example", "b.example"].map(|host| [Run::Finds(ONE, host, None)]);
    let (settings, rank): (&[_], _) = (&[("a", "priority = 10")], "fail_back = '5m'");
    let setup = Setup { settings, rank, ..Setup::default() };
    let bench = Bench::with(&[("a", &a), ("b", &b)], &setup);
    bench.world.breaks("a.example", CheckError::definite("the playlist was answered with 404"));
    bench.pass(30).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"]);
    let store = Some(bench.store.clone());
    bench.stop().await;
    let setup = Setup { settings, rank, store, ..Setup::default() };
    let bench = Bench::with(&[("a", &a), ("b", &b)], &setup);
    for (seconds, source) in [(1, "b"), (1, "b"), (3, "b"), (15, "b"), (60, "b"), (300, "a")] {
        bench.pass(seconds).await;
        assert_eq!(bench.plays(), [format!("world-feed@{source}:Healthy -")], "after {seconds} s");
    }
    bench.stop().await;
}
