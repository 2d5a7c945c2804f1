//! Several control planes on one store.

use super::*;

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
