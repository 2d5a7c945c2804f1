//! What an operator is told, and how often.

use super::*;

const BOTH: &[&str] = &["World feed", "Pit lane"];

fn refused() -> CheckError {
    CheckError::definite("the playlist was answered with 403")
}

#[tokio::test(start_paused = true)]
async fn a_death_a_failover_and_a_backup() {
    let mut bench = Bench::start(&[
        ("a", &[Run::Finds(BOTH, "a.example", None)]),
        ("b", &[Run::Finds(ONE, "b.example", None)]),
    ]);
    bench.pass(60).await;
    assert!(bench.told().is_empty(), "coming up is no news");
    bench.world.breaks("a.example", refused());
    bench.pass(9).await;
    let mut told = bench.told();
    told.sort();
    assert_eq!(
        told,
        [
            "Source a is dead (pit-lane, world-feed): the playlist was answered with 403",
            "world-feed moved from a to b: the playlist was answered with 403",
        ]
    );
    bench.pass(66).await;
    let told = bench.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("Pit lane is dark"), "{told:?}");
    assert_eq!(told[1], "world-feed runs on its backup b instead of a");
    bench.pass(600).await;
    assert!(bench.told().is_empty(), "told once");
    bench.world.mends("a.example");
    bench.pass(120).await;
    let told = bench.told();
    assert!(told.len() == 1 && told[0].starts_with("Pit lane plays again from a"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_dies_again_and_again_is_told_again_after_a_while() {
    let mut bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    let mut deaths = 0;
    for _ in 0..10 {
        bench.pass(60).await;
        bench.world.breaks("a.example", refused());
        bench.pass(30).await;
        bench.world.mends("a.example");
        deaths += bench.told().iter().filter(|text| text.starts_with("Source a is dead")).count();
    }
    assert_eq!(deaths, 2, "in a quarter of an hour");
}

#[tokio::test(start_paused = true)]
async fn a_drought_while_a_session_is_live() {
    for (minutes, expected) in [(-10, &["FP1 is live and no stream is healthy"][..]), (60, &[])] {
        let setup = Setup { schedule: sessions::session_in(minutes), ..Setup::default() };
        let mut bench = Bench::with(&[("a", &[Run::Finds(ONE, "a.example", None)])], &setup);
        bench.pass(120).await;
        assert!(bench.told().is_empty());
        bench.world.breaks("a.example", refused());
        bench.pass(30).await;
        let at_once = bench.told();
        assert_eq!(at_once.len(), 2, "source and stream, but not yet the session: {at_once:?}");
        bench.pass(300).await;
        assert_eq!(bench.told(), expected, "{minutes} min to the session");
    }
}

/// Streams end with their sessions, most of them before the margin does.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_is_no_drought() {
    let told = &["FP1 is live and no stream is healthy"][..];
    for (breaks_after, expected) in [(10, told), (19, told), (21, &[]), (45, &[])] {
        let schedule = sessions::session_with_margin(-40, 30);
        let setup = Setup { schedule, ..Setup::default() };
        let mut bench = Bench::with(&[("a", &[Run::Finds(ONE, "a.example", None)])], &setup);
        bench.pass(breaks_after * 60).await;
        assert!(bench.told().is_empty());
        bench.world.breaks("a.example", refused());
        bench.pass(29).await;
        let dead = bench.told();
        assert!(dead.len() == 2 && dead[0].starts_with("Source a is dead"), "{dead:?}");
        bench.pass(60 * 60).await;
        assert_eq!(bench.told(), expected, "it breaks after {breaks_after} of 20 minutes");
    }
}

/// What of a notice begins it, and what ends it.
fn assert_told(told: &[String], expected: &[(&str, &str)], when: &str) {
    let fits = told.len() == expected.len()
        && told
            .iter()
            .zip(expected)
            .all(|(text, (begin, end))| text.starts_with(begin) && text.ends_with(end));
    assert!(fits, "{when}: {told:#?}");
}

const DEAD: (&str, &str) = ("Source a is dead (world-feed)", "was answered with 403");
const DARK: (&str, &str) =
    ("World feed is dark, nothing of it plays since 2026-05-03 17:", "was answered with 403");
const BACK: (&str, &str) =
    ("World feed plays again from a; it was dark since 2026-05-03 17:", "UTC");

/// The second death falls into the quiet period of the first, and is told when that is over.
#[tokio::test(start_paused = true)]
async fn a_dark_stream_is_told_every_time_and_a_silenced_death_later() {
    for mended in [false, true] {
        let mut bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
        bench.pass(60).await;
        bench.world.breaks("a.example", refused());
        bench.pass(45).await;
        assert_told(&bench.told(), &[DEAD, DARK], "the first time");
        bench.world.mends("a.example");
        bench.pass(45).await;
        assert_told(&bench.told(), &[BACK], "the first time");
        bench.world.breaks("a.example", refused());
        bench.pass(45).await;
        assert_told(&bench.told(), &[DARK], "the second time");
        if mended {
            bench.world.mends("a.example");
            bench.pass(600).await;
            assert_told(&bench.told(), &[BACK], "it lives when the quiet period ends");
            continue;
        }
        bench.pass(450).await;
        assert_told(&bench.told(), &[], "the quiet period is not over");
        bench.pass(60).await;
        assert_told(&bench.told(), &[DEAD], "it is over");
        bench.pass(3600).await;
        assert_told(&bench.told(), &[], "once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moment_in_the_dark_is_no_outage() {
    let mut bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.pass(60).await;
    bench.world.breaks("a.example", refused());
    while bench.streams()[0].health != Health::Down {
        bench.pass(1).await;
    }
    bench.world.mends("a.example");
    bench.pass(60).await;
    assert_told(&bench.told(), &[DEAD], "it was down for five seconds");
}

/// A stream is known to be dark by the map: who comes next tells only what is new.
#[tokio::test(start_paused = true)]
async fn who_takes_over_tells_no_outage_twice_and_misses_none() {
    let runs: Scripts<'_> = &[("a", &[Run::Finds(ONE, "a.example", None)])];
    for (dark_for, dead_after, expected) in [
        (40, true, &[][..]),
        (40, false, &[BACK]),
        // It died as the leader did.
        (0, true, &[DEAD, DARK]),
        (0, false, &[]),
    ] {
        let bench = Bench::start(runs);
        bench.pass(60).await;
        if dark_for > 0 {
            bench.world.breaks("a.example", refused());
            bench.pass(dark_for).await;
        }
        let store = bench.store.clone();
        bench.stop().await;
        let setup = Setup { store: Some(store), ..Setup::default() };
        let mut bench = Bench::with(runs, &setup);
        if dead_after {
            bench.world.breaks("a.example", refused());
        }
        bench.pass(60).await;
        assert_told(&bench.told(), expected, &format!("{dark_for} {dead_after}"));
        let health = if dead_after { Health::Down } else { Health::Healthy };
        assert_eq!(bench.streams()[0].health, health, "{dark_for} {dead_after}");
        bench.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_takes_long_to_answer_is_not_dead_yet() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.pass(60).await;
    let store = bench.store.clone();
    bench.stop().await;
    let setup = Setup { store: Some(store), ..Setup::default() };
    let mut bench = Bench::with(&[("a", &[Run::Hangs])], &setup);
    bench.pass(120).await;
    assert_told(&bench.told(), &[], "nobody has asked it");
    assert_eq!(bench.streams()[0].reason.as_deref(), Some("its source has not been asked yet"));
}

#[tokio::test(start_paused = true)]
async fn what_the_configuration_names_and_nobody_has_seen_is_dark() {
    let settings: &[_] = &[("a", "feed = 'World feed'")];
    let setup = Setup { settings, ..Setup::default() };
    let mut bench = Bench::with(&[("a", &[Run::Finds(ONE, "a.example", None)])], &setup);
    bench.world.breaks("a.example", refused());
    bench.pass(60).await;
    assert_told(&bench.told(), &[DARK], "since it was asked first");
    assert_eq!(bench.figure("pitwall_stream_up", &["world-feed"]), Some(0.0));
    bench.world.mends("a.example");
    // A source that fails is asked after pauses that grow, to a minute and some jitter.
    bench.pass(150).await;
    assert_told(&bench.told(), &[BACK], "for the first time");
    assert_eq!(bench.figure("pitwall_stream_up", &["world-feed"]), Some(1.0));
}

/// The check says least of all that is known.
#[tokio::test(start_paused = true)]
async fn a_death_says_what_its_token_and_its_source_have_to_do_with_it() {
    let script = [Run::Finds(ONE, "a.example", Some(100)), Run::Fails];
    let mut bench = Bench::start(&[("a", &script)]);
    bench.pass(95).await;
    bench.world.breaks("a.example", refused());
    bench.pass(30).await;
    let why = "its token ended at 17:01:40 UTC and step 1 (get) failed: refused \
               (the playlist was answered with 403)";
    let told = bench.told();
    assert!(told.iter().any(|text| text.ends_with(why) && text.starts_with("World feed is dark")));
    assert_eq!(bench.streams()[0].reason.as_deref(), Some(why));
}
