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
    bench.pass(15).await;
    let mut told = bench.told();
    told.sort();
    assert_eq!(
        told,
        [
            "Source a is dead (pit-lane, world-feed): the playlist was answered with 403",
            "world-feed moved from a to b: the playlist was answered with 403",
        ]
    );
    bench.pass(60).await;
    assert_eq!(bench.told(), ["world-feed runs on its backup b instead of a"]);
    bench.pass(600).await;
    assert!(bench.told().is_empty(), "told once");
    bench.world.mends("a.example");
    bench.pass(120).await;
    assert!(bench.told().is_empty(), "coming back is none either");
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
        deaths += bench.told().len();
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
        assert_eq!(at_once.len(), 1, "the source, but not yet the session: {at_once:?}");
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
        bench.pass(15).await;
        let dead = bench.told();
        assert!(dead.len() == 1 && dead[0].starts_with("Source a is dead"), "{dead:?}");
        bench.pass(60 * 60).await;
        assert_eq!(bench.told(), expected, "it breaks after {breaks_after} of 20 minutes");
    }
}
