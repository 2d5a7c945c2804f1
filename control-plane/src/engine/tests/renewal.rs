//! Tokens end, extractions fail: what plays goes on.

use super::*;

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_before_they_end() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", Some(300))])]);
    bench.pass(1).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=1"]);
    let first = bench.generation("world-feed", "a");
    // Ninety minutes without a break.
    for _ in 0..5400 / 5 {
        bench.pass(5).await;
        let map = bench.store.current();
        let upstream = &map.streams["world-feed"].upstreams[0];
        let now = bench.world.clock.now();
        assert!(upstream.expires_at.unwrap() > now, "at {now}");
        assert_eq!(upstream.health, Health::Healthy, "at {now}");
    }
    let runs = bench.world.runs("a");
    assert!((23..=27).contains(&runs.len()), "{} runs", runs.len());
    for pair in runs.windows(2) {
        let apart = pair[1] - pair[0];
        assert!((206.0..=226.0).contains(&apart), "{apart} s apart: 225 less a little jitter");
    }
    assert!(bench.generation("world-feed", "a") > first);
    let renewed = bench.figure("pitwall_refreshes_total", &["a", "renewed"]).unwrap();
    assert!((22.0..=26.0).contains(&renewed), "{renewed}");
    assert!(bench.figure("pitwall_token_left_seconds", &["a"]).unwrap() > 60.0);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_url_is_no_new_generation() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.pass(1).await;
    let before = bench.generation("world-feed", "a");
    bench.pass(700).await;
    assert_eq!(bench.world.runs("a").len(), 3, "every five minutes");
    assert_eq!(bench.generation("world-feed", "a"), before);
    assert_eq!(bench.figure("pitwall_refreshes_total", &["a", "unchanged"]), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_touches_no_other_source() {
    let (a, b) = (Run::Finds(ONE, "a.example", Some(40)), Run::Finds(ONE, "b.example", Some(900)));
    let bench = Bench::start(&[("a", &[a]), ("b", &[b])]);
    bench.pass(1).await;
    let (first, other) = (bench.generation("world-feed", "a"), bench.generation("world-feed", "b"));
    bench.pass(200).await;
    assert!(bench.generation("world-feed", "a") > first);
    assert_eq!(bench.generation("world-feed", "b"), other);
    assert_eq!(bench.world.runs("b").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failures_keep_what_plays_and_back_off() {
    let bench = Bench::start(&[(
        "a",
        &[Run::Finds(ONE, "a.example", Some(100)), Run::Fails, Run::Panics, Run::Fails],
    )]);
    bench.pass(85).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=1"], "nothing is wiped");
    let status = bench.extractor(0);
    assert_eq!(status.state, ExtractorState::Failing);
    assert_eq!(status.error.unwrap().step, "step 1 (get)");
    assert!(status.last_success_at.is_some());
    bench.pass(7).await;
    assert_eq!(bench.plays(), ["world-feed@a:Degraded token=1"], "nobody renews its token");
    let error = bench.streams()[0].sources[0].error.clone();
    assert_eq!(error.as_deref(), Some("its token ends and is not renewed"));
    bench.pass(310).await;
    let runs = bench.world.runs("a");
    let gaps: Vec<_> = runs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, longest) in gaps[1..].iter().zip([2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!((0.74 * longest..=1.01 * longest).contains(gap), "{gap} of {longest}: {gaps:?}");
    }
    assert_eq!(bench.figure("pitwall_extractor_failing", &["a"]), Some(1.0));
    assert!(bench.figure("pitwall_extractor_runs_total", &["a", "step 1 (get)"]).unwrap() > 5.0);
    assert_eq!(bench.figure("pitwall_extractor_runs_total", &["a", "run"]), Some(1.0));
    // Evidence wins over the clock: while it plays it is only degraded.
    assert_eq!(bench.streams()[0].health, Health::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_renews_gives_way_before_it_ends() {
    let bench = Bench::start(&[
        ("a", &[Run::Finds(ONE, "a.example", Some(100)), Run::Fails]),
        ("b", &[Run::Finds(ONE, "b.example", None)]),
    ]);
    bench.pass(85).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=1"]);
    bench.pass(7).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "eight seconds before its end");
}

#[tokio::test(start_paused = true)]
async fn a_new_url_that_fails_its_check_replaces_nothing() {
    let finds = |host| Run::Finds(ONE, host, Some(100));
    let (good, bad) = (finds("good.example"), finds("bad.example"));
    let script = [good.clone(), bad.clone(), bad.clone(), bad, good];
    let bench = Bench::start(&[("a", &script)]);
    bench.world.breaks("bad.example", CheckError::definite("the playlist has ended"));
    bench.pass(76).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=1"]);
    assert_eq!(bench.extractor(0).error.unwrap().message, "World feed: the playlist has ended");
    bench.pass(15).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy token=5"]);
    assert_eq!(bench.extractor(0).state, ExtractorState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_holds_up_nobody() {
    let bench =
        Bench::start(&[("a", &[Run::Hangs]), ("b", &[Run::Finds(ONE, "b.example", Some(20))])]);
    bench.pass(100).await;
    assert!(bench.world.runs("b").len() >= 5, "renewed as ever");
    assert_eq!(bench.plays()[0].split(' ').next(), Some("world-feed@b:Healthy"));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_streams_are_capped_counted_and_published_at_once() {
    let bench = Bench::start(&[("a", &[Run::FindsMany(10_000, "a.example")])]);
    bench.pass(1).await;
    assert_eq!(bench.streams().len(), 200);
    assert_eq!(bench.figure("pitwall_candidates_dropped_total", &["a"]), Some(9_800.0));
    assert_eq!(bench.extractor(0).state, ExtractorState::Ok);
    assert_eq!(bench.world.runs("a").len(), 1, "trying again would find as many");
}
