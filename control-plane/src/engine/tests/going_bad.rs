//! What goes bad is out within a check interval, and comes back by itself.

use super::*;

/// How a source can go bad.
#[derive(Clone, Copy, Debug)]
enum Way {
    Ends,
    Fails,
    Freezes,
    Hangs,
}

#[tokio::test(start_paused = true)]
async fn a_source_that_goes_bad_is_out_within_one_check_interval() {
    for way in [Way::Ends, Way::Fails, Way::Freezes, Way::Hangs] {
        for second in 40..50 {
            let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
            bench.pass(second).await;
            assert_eq!(bench.streams().len(), 1);
            match way {
                Way::Ends => bench.world.breaks("a.example", CheckError::definite("it has ended")),
                Way::Fails => bench.world.breaks("a.example", CheckError::new("refused")),
                Way::Freezes => *bench.world.frozen.lock().unwrap() = true,
                Way::Hangs => bench.world.hangs("a.example"),
            }
            // The sequence number that it freezes at is itself news, once.
            bench.pass(if matches!(way, Way::Freezes) { 25 } else { 15 }).await;
            // A check that hangs proves nothing before its deadline.
            let hangs = matches!(way, Way::Hangs);
            let expected = if hangs { Health::Degraded } else { Health::Down };
            assert_eq!(bench.streams()[0].health, expected, "{way:?} at {second} s");
            assert_eq!(bench.store.current().streams.len(), 1, "known, so that players wait");
            bench.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_source_gives_way_and_a_token_that_died_early_is_renewed() {
    let a = Run::Finds(&["World feed", "Pit lane"], "a.example", Some(3600));
    let bench = Bench::start(&[("a", &[a]), ("b", &[Run::Finds(ONE, "b.example", None)])]);
    bench.pass(1).await;
    assert_eq!(bench.plays(), ["pit-lane@a:Healthy token=1", "world-feed@a:Healthy token=1"]);
    bench.world.breaks("a.example", CheckError::definite("the playlist was answered with 403"));
    bench.pass(12).await;
    assert_eq!(bench.plays(), ["pit-lane@a:Down token=1", "world-feed@b:Healthy -"]);
    assert!(bench.world.runs("a").len() > 1, "asked again at once, not in five minutes");
    let streams = bench.streams();
    let seen: Vec<_> = streams.iter().map(|one| (one.id.as_str(), one.health)).collect();
    assert_eq!(seen, [("world-feed", Health::Healthy), ("pit-lane", Health::Down)]);
    let sources = |index: usize| -> Vec<_> {
        streams[index].sources.iter().map(|one| (&*one.name, one.active)).collect()
    };
    assert_eq!((sources(0), sources(1)), (vec![("b", true)], vec![("a", false)]));
    assert_eq!(bench.figure("pitwall_upstreams", &["a", "down"]), Some(2.0));
    assert_eq!(bench.figure("pitwall_streams", &["down"]), Some(1.0));
    bench.world.mends("a.example");
    bench.pass(75).await;
    assert!(bench.streams().iter().all(|one| one.health == Health::Healthy), "by itself");
}

/// The rest of the stream is as good as ever, and goes on being offered.
#[tokio::test(start_paused = true)]
async fn a_rendition_that_stands_still_is_not_offered_until_it_moves() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    let offered = || {
        let (streams, map) = (bench.streams(), bench.store.current());
        let upstream = &map.streams["world-feed"].upstreams[0];
        let public: Vec<_> = streams[0].renditions.iter().map(|one| one.id.0.clone()).collect();
        let private: Vec<_> = upstream.renditions.iter().map(|one| one.id.0.clone()).collect();
        assert_eq!(public, private);
        (public.join(" "), streams[0].health, upstream.generation)
    };
    let small = |state| *bench.world.small.lock().unwrap() = Some(state);
    small(None);
    bench.pass(30).await;
    let (both, health, first) = offered();
    assert_eq!((both.as_str(), health), ("v v360", Health::Healthy));
    small(Some(7));
    bench.pass(25).await;
    let (best, health, second) = offered();
    assert_eq!((best.as_str(), health), ("v", Health::Healthy));
    small(None);
    bench.pass(15).await;
    let (again, health, third) = offered();
    assert_eq!((again.as_str(), health), ("v v360", Health::Healthy));
    assert!(first < second && second < third, "each is news to the edges");
}

/// Lists are full of dead entries; what the configuration names is missed.
#[tokio::test(start_paused = true)]
async fn what_never_worked_is_known_if_the_configuration_names_it() {
    let (runs, settings): (Scripts<'_>, &[_]) =
        (&[("a", &[Run::Finds(ONE, "a.example", None)])], &[("a", "feed = 'World feed'")]);
    let why = "the playlist has no segments";
    let bench = Bench::with(runs, &Setup { settings, ..Setup::default() });
    bench.world.breaks("a.example", CheckError::new(why));
    bench.pass(120).await;
    let stream = bench.streams().remove(0);
    assert_eq!((stream.id.as_str(), stream.health), ("world-feed", Health::Down));
    assert_eq!((stream.reason.as_deref(), stream.checked_at), (Some(why), None));
    let since = stream.down_since.unwrap().duration_since(START.parse().unwrap());
    assert!((0..2).contains(&since.as_secs()), "since it was asked first: {since}");
    assert_eq!(stream.sources[0].error.as_deref(), Some(why));
    assert_eq!(bench.explanation("world-feed").summary, format!("Nothing plays: {why}."));
    bench.stop().await;
    let bench = Bench::start(runs);
    bench.world.breaks("a.example", CheckError::new(why));
    bench.pass(120).await;
    assert!(bench.streams().is_empty());
    assert_eq!(bench.extractor(0).state, ExtractorState::Failing);
    bench.world.mends("a.example");
    bench.pass(61).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_playlist_is_out_for_as_long_as_it_stands_still() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", Some(300))])]);
    bench.pass(10).await;
    *bench.world.frozen.lock().unwrap() = true;
    bench.pass(30).await;
    let health = || bench.streams()[0].health;
    assert_eq!(health(), Health::Down);
    bench.pass(400).await;
    assert!(bench.world.runs("a").len() > 1);
    assert_eq!(health(), Health::Down, "another token does not make it move");
    let status = bench.extractor(0);
    let error = status.error.unwrap();
    assert_eq!((status.state, error.step.as_str()), (ExtractorState::Failing, "check"));
    assert!(error.message.starts_with("World feed: the playlist has not moved"), "{error:?}");
    *bench.world.frozen.lock().unwrap() = false;
    bench.pass(15).await;
    assert_eq!(bench.streams()[0].health, Health::Healthy, "the last hope is probed often");
    assert_eq!(bench.extractor(0).state, ExtractorState::Ok);
}

#[tokio::test(start_paused = true)]
async fn one_failed_check_moves_nobody() {
    let bench = Bench::start(&[
        ("a", &[Run::Finds(ONE, "a.example", None)]),
        ("b", &[Run::Finds(ONE, "b.example", None)]),
    ]);
    bench.pass(40).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
    let checks = bench.world.checks("a.example").len();
    bench.world.breaks("a.example", CheckError::new("the upstream's answer broke off"));
    while bench.world.checks("a.example").len() == checks {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.plays(), ["world-feed@a:Degraded -"]);
    let last = bench.world.checks("b.example").last().copied().unwrap();
    let failed = bench.world.checks("a.example").last().copied().unwrap();
    assert!(last >= failed, "whoever might step in is looked at");
    bench.world.mends("a.example");
    bench.pass(3).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
}

const BOTH: &[&str] = &["World feed", "Pit lane"];

/// A stream that is down is known as long as its source names it, and for a while afterwards.
#[tokio::test(start_paused = true)]
async fn what_no_source_names_any_more_is_forgotten() {
    let (both, one) = (Run::Finds(BOTH, "a.example", None), Run::Finds(ONE, "b.example", None));
    for (what, then, minutes) in [
        ("still listed", both.clone(), None),
        ("not listed", one, Some(10)),
        ("not to be asked", Run::Fails, Some(24 * 60)),
    ] {
        let bench = Bench::start(&[("a", &[both.clone(), then])]);
        bench.pass(30).await;
        bench.world.breaks("a.example", CheckError::definite("it has ended"));
        let knows = || bench.streams().iter().any(|one| one.id.as_str() == "pit-lane");
        for minute in 0..minutes.map_or(60, |minutes| minutes + 15) {
            bench.pass(60).await;
            let earliest = minutes.is_none_or(|minutes| minute < minutes - 1);
            let latest = minutes.is_some_and(|minutes| minute > minutes + 10);
            assert!(knows() || !earliest, "{what}: forgotten after {minute} min");
            assert!(!knows() || !latest, "{what}: known after {minute} min");
        }
        bench.stop().await;
    }
}

/// A camera that was off for an hour is on again as soon as it is.
#[tokio::test(start_paused = true)]
async fn what_is_down_for_long_is_still_looked_at_often() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.pass(30).await;
    bench.world.breaks("a.example", CheckError::definite("it has ended"));
    bench.pass(3600).await;
    bench.world.mends("a.example");
    bench.pass(15).await;
    assert_eq!(bench.streams()[0].health, Health::Healthy);
}

/// What may play still stays on the list while no check is sure of it.
#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_takes_nothing_off_the_list() {
    let bench = Bench::start(&[("a", &[Run::Finds(ONE, "a.example", None)])]);
    bench.pass(30).await;
    bench.world.hangs("a.example");
    bench.pass(60).await;
    let stream = bench.streams().remove(0);
    assert_eq!((stream.health, stream.sources.len()), (Health::Degraded, 1));
}
