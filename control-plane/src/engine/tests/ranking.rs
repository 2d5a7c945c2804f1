//! Who plays, why, and after a restart.

use super::*;

const A: Run = Run::Finds(ONE, "a.example", None);
const B: Run = Run::Finds(ONE, "b.example", None);

fn down() -> CheckError {
    CheckError::definite("the playlist was answered with 404")
}

#[tokio::test(start_paused = true)]
async fn back_to_the_preferred_source_when_it_has_been_fine_for_long_enough() {
    let setup =
        Setup { settings: &[("b", "priority = 10")], rank: "fail_back = '5m'", ..Setup::default() };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(30).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "priority before order");
    bench.world.breaks("b.example", down());
    bench.pass(15).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
    bench.world.mends("b.example");
    bench.pass(120).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"], "not yet");
    let explanation = bench.explanation("world-feed");
    assert!(explanation.summary.contains("has to be fine for"), "{}", explanation.summary);
    bench.pass(300).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"]);
}

#[tokio::test(start_paused = true)]
async fn viewers_are_moved_for_what_is_clearly_better_and_not_back_and_forth() {
    let setup = Setup { rank: "margin = 0.05\nhold = '1m'", ..Setup::default() };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(60).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
    let mut moves = Vec::new();
    let mut last = bench.plays();
    // Whoever plays becomes slow, and the other one fast.
    for second in 0..600 {
        let (slow, fast) = match last[0].contains("@a") {
            true => ("a.example", "b.example"),
            false => ("b.example", "a.example"),
        };
        bench.world.slows(slow, Duration::from_secs(3));
        bench.world.slows(fast, Duration::from_millis(10));
        bench.pass(1).await;
        if std::mem::replace(&mut last, bench.plays()) != last {
            moves.push(second);
        }
    }
    assert!(moves.len() >= 2, "it moves: {moves:?}");
    for pair in moves.windows(2) {
        assert!(pair[1] - pair[0] >= 60, "held down: {moves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn preferences_and_what_is_said_of_them() {
    let setup = Setup {
        rank: "[[prefer]]\nname = 'house rule'\nsource = 'b'\npoints = 0.3",
        ..Setup::default()
    };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(30).await;
    let explanation = bench.explanation("world-feed");
    assert_eq!(explanation.feed, "World feed");
    let got: Vec<_> = explanation
        .upstreams
        .iter()
        .map(|one| (one.source.as_str(), one.active, one.health, one.reason.as_str()))
        .collect();
    let expected = [
        ("b", true, Health::Healthy, "Plays."),
        ("a", false, Health::Healthy, "Scores 0.30 less than b."),
    ];
    assert_eq!(got, expected);
    assert!(explanation.summary.starts_with("b plays: it scores 1."), "{}", explanation.summary);
    for upstream in &explanation.upstreams {
        let sum: f64 = upstream.parts.iter().map(|part| part.points).sum();
        assert!((sum - upstream.score).abs() < 1e-9, "the parts make the score");
    }
    let names: Vec<_> = explanation.upstreams[0].parts.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["success", "latency", "throughput", "stalls", "house rule"]);

    bench.world.breaks("b.example", down());
    bench.pass(12).await;
    let explanation = bench.explanation("world-feed");
    assert_eq!(explanation.summary, "a plays: nothing else is healthy.");
    let reason = &explanation.upstreams[1].reason;
    assert!(reason.starts_with("Down: the playlist was answered with 404."), "{reason}");
    let text = serde_json::to_string(&explanation).unwrap();
    assert!(!text.contains("example") && !text.contains("http"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget() {
    let state = tempfile::tempdir().unwrap();
    let setup = Setup { state: Some(state.path()), ..Setup::default() };
    let scripts: Scripts<'_> = &[("a", &[A]), ("b", &[B])];
    let bench = Bench::with(scripts, &setup);
    bench.world.breaks("a.example", down());
    bench.pass(30).await;
    bench.world.mends("a.example");
    bench.pass(400).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "a is back, and not better enough");
    let of = |bench: &Bench| bench.explanation("world-feed").upstreams[0].score;
    let before = of(&bench);
    bench.stop().await;

    let bench = Bench::with(scripts, &setup);
    bench.pass(2).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "as before");
    assert!((of(&bench) - before).abs() < 0.05, "{} {before}", of(&bench));
    bench.stop().await;

    let bench = Bench::start(scripts);
    bench.pass(2).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"], "whoever knows nothing");
    assert!(before - of(&bench) > 0.1);
}
