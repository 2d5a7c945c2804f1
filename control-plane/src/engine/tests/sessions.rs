//! Slow while nothing is on, warm before a session, fast while it is live and for viewers.

use pitwall_upstream_map::StreamId;

use super::*;

/// A session that is live from so many minutes after the start, for an hour.
pub(super) fn session_in(minutes: i64) -> Schedule {
    session_with_margin(minutes, 0)
}

/// And may go on for so many minutes more.
pub(super) fn session_with_margin(minutes: i64, margin: i64) -> Schedule {
    let start: Timestamp = START.parse().unwrap();
    let after = |minutes: i64| start + jiff::SignedDuration::from_mins(minutes);
    let schedule = serde_json::json!({
        "season": "2026", "fetched_at": START, "stale_since": null, "source": "test",
        "meetings": [{
            "id": "m", "name": "m", "round": 1,
            "circuit": {"id": "c", "name": "c", "locality": null, "country": null},
            "sessions": [{
                "id": "m:fp1", "code": "fp1", "name": "FP1", "meeting": "m",
                "start": after(minutes), "date": "2026-05-03", "time_known": true,
                "end": after(minutes + 60), "end_estimated": false,
                "live_from": after(minutes), "live_until": after(minutes + 60 + margin),
                "status": "upcoming", "source": "test", "revision": 0,
            }],
        }],
    });
    serde_json::from_value(schedule).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_weekend() {
    let setup = Setup { schedule: session_in(180), ..Setup::default() };
    let bench = Bench::with(&[("a", &[Run::Finds(ONE, "a.example", None)])], &setup);
    let mut seen = 0;
    let mut since = || {
        let runs = bench.world.runs("a").len();
        runs - std::mem::replace(&mut seen, runs)
    };
    let minutes = |minutes: u64| bench.pass(minutes * 60);
    minutes(160).await;
    assert_eq!(since(), 6, "every half an hour instead of every five minutes");
    minutes(11).await;
    assert_eq!(since(), 1, "once more before it begins");
    assert_eq!(bench.figure("pitwall_session_live", &[]), Some(0.0));
    minutes(69).await;
    assert_eq!(since(), 13, "as configured while it is on");
    assert_eq!(bench.figure("pitwall_session_live", &[]), Some(1.0));
    minutes(5).await;
    since();
    minutes(120).await;
    assert_eq!(since(), 4, "slow again");
}

/// The last twenty minutes of an hour, then a margin of thirty.
#[tokio::test(start_paused = true)]
async fn the_end() {
    for (breaks_after, expected) in [
        (None, [1.0, 1.0, 1.0, 0.0]),
        // With the session, as streams do.
        (Some(25), [1.0, 1.0, 0.0, 0.0]),
        // What is missed is still on until its nominal end.
        (Some(10), [1.0, 0.0, 0.0, 0.0]),
    ] {
        let setup = Setup { schedule: session_with_margin(-40, 30), ..Setup::default() };
        let bench = Bench::with(&[("a", &[Run::Finds(ONE, "a.example", None)])], &setup);
        let mut seen = Vec::new();
        for minute in 1..=51 {
            if breaks_after == Some(minute) {
                bench.world.breaks("a.example", CheckError::definite("it is over"));
            }
            bench.pass(60).await;
            if [19, 21, 35, 51].contains(&minute) {
                seen.push(bench.figure("pitwall_session_live", &[]).unwrap());
            }
        }
        assert_eq!(seen, expected, "it breaks after {breaks_after:?} minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_are_renewed_at_any_time() {
    let setup = Setup { schedule: session_in(600), ..Setup::default() };
    let bench = Bench::with(&[("a", &[Run::Finds(ONE, "a.example", Some(60))])], &setup);
    for _ in 0..600 {
        bench.pass(1).await;
        assert_eq!(bench.streams()[0].health, Health::Healthy, "what is listed plays");
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_watching_is_a_session_too() {
    let setup = Setup { schedule: session_in(600), ..Setup::default() };
    let bench = Bench::with(
        &[
            ("a", &[Run::Finds(ONE, "a.example", None)]),
            ("b", &[Run::Finds(&["Pit lane"], "b.example", None)]),
        ],
        &setup,
    );
    bench.pass(20 * 60).await;
    let watched = StreamId::of_feed("World feed").unwrap();
    for _ in 0..20 * 60 {
        bench.store.demand().watch(&watched, 1);
        bench.pass(1).await;
    }
    let (a, b) = (bench.world.runs("a").len(), bench.world.runs("b").len());
    assert!((5..=6).contains(&a), "{a}: at once, then every five minutes");
    assert_eq!(b, 2, "nobody watches it");
}
