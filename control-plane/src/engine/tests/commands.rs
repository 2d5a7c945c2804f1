//! What an operator wants.

use tokio::sync::oneshot;

use super::*;
use crate::engine::command::{Refused, Reply, Switched, Wish};

const A: Run = Run::Finds(ONE, "a.example", None);
const B: Run = Run::Finds(ONE, "b.example", None);

impl Bench {
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.unwrap();
        answer.await.unwrap()
    }

    pub(super) async fn switch(
        &self,
        source: Option<&str>,
        pin: bool,
    ) -> Result<Switched, Refused> {
        let (stream, asked) = ("world-feed".to_owned(), Instant::now());
        let wish = Wish { source: source.map(Into::into), pin };
        let switched = self.ask(|reply| Command::Switch { stream, wish, asked, reply }).await;
        self.pass(1).await;
        switched
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_is_kept_until_the_source_dies() {
    let setup = Setup { settings: &[("a", "priority = 10")], ..Setup::default() };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(60).await;
    let switched = bench.switch(Some("b"), true).await.unwrap();
    assert_eq!((switched.from.as_deref(), switched.to.as_str()), (Some("a"), "b"));
    bench.pass(3600).await;
    assert_eq!(bench.plays(), ["world-feed@b:Healthy -"], "whatever ranking says");
    let summary = bench.explanation("world-feed").summary;
    assert_eq!(summary, "b plays because an operator chose it.");
    bench.world.breaks("b.example", CheckError::definite("it has ended"));
    bench.pass(15).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
    bench.world.mends("b.example");
    bench.pass(3600).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"], "dying ended it");
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_is_not_pinned_lasts_as_long_as_ranking_lets_it() {
    let setup = Setup { settings: &[("a", "priority = 10")], ..Setup::default() };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(60).await;
    assert_eq!(bench.switch(None, false).await.unwrap().to, "b", "the next best");
    bench.pass(600).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
}

/// Edges may play another source than the map has first: an operator's word is newer than that.
#[tokio::test(start_paused = true)]
async fn a_map_says_since_when_an_operator_has_had_a_word() {
    let setup = Setup { settings: &[("a", "priority = 10")], ..Setup::default() };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(60).await;
    let switched = || bench.store.current().streams["world-feed"].switched;
    assert_eq!(switched(), 0);
    let mut last = 0;
    for source in ["a", "b", "b"] {
        let before = bench.store.current().version;
        bench.switch(Some(source), false).await.unwrap();
        let now = bench.store.current().version;
        assert!(before < switched() && switched() <= now, "{before} {} {now}", switched());
        assert!(switched() > last, "each time");
        last = switched();
    }
    bench.pass(600).await;
    assert_eq!((bench.plays(), switched()), (vec!["world-feed@a:Healthy -".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done() {
    let bench = Bench::start(&[("a", &[A]), ("b", &[B])]);
    bench.pass(60).await;
    bench.world.breaks("b.example", CheckError::definite("it has ended"));
    bench.pass(15).await;
    for (source, expected) in
        [(Some("b"), Refused::Down), (None, Refused::Down), (Some("c"), Refused::NoUpstream)]
    {
        assert_eq!(bench.switch(source, true).await.unwrap_err(), expected, "{source:?}");
    }
    let wish = Wish { source: None, pin: true };
    let (stream, asked) = ("onboard-7".to_owned(), Instant::now());
    let switch = |reply| Command::Switch { stream, wish, asked, reply };
    assert_eq!(bench.ask(switch).await.unwrap_err(), Refused::NoStream);
    let extractor = "c".to_owned();
    let refused = bench.ask(|reply| Command::Run { extractor, reply }).await.unwrap_err();
    assert_eq!(refused, Refused::NoExtractor);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_no_store_took_is_refused_and_forgotten() {
    let setup = Setup { settings: &[("a", "priority = 10")], ..Setup::default() };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(60).await;
    let before = bench.explanation("world-feed").summary;
    bench.faulty.goes();
    for pin in [true, false] {
        let refused = bench.switch(Some("b"), pin).await.unwrap_err();
        assert_eq!(refused, Refused::NotStored("it is gone".to_owned()));
    }
    bench.faulty.comes_back();
    for seconds in [5, 600] {
        bench.pass(seconds).await;
        assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
        assert_eq!(bench.explanation("world-feed").summary, before);
        let stream = bench.store.current().streams["world-feed"].clone();
        assert_eq!((stream.switched, stream.pin.as_ref()), (0, None));
    }
    assert!(bench.switch(Some("b"), true).await.is_ok(), "and can be asked for again");
}

/// Somebody was told that it failed, or has left.
#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_done() {
    let bench = Bench::start(&[("a", &[A]), ("b", &[B])]);
    bench.pass(60).await;
    let wish = || Wish { source: Some("b".to_owned()), pin: true };
    let (stream, asked) = ("world-feed".to_owned(), Instant::now() - Duration::from_secs(3));
    let late = |reply| Command::Switch { stream, wish: wish(), asked, reply };
    assert_eq!(bench.ask(late).await.unwrap_err(), Refused::Busy);
    let (reply, answer) = oneshot::channel();
    drop(answer);
    let (stream, asked) = ("world-feed".to_owned(), Instant::now());
    let left = Command::Switch { stream, wish: wish(), asked, reply };
    bench.commands.send(left).await.unwrap();
    bench.pass(10).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"]);
}

#[tokio::test(start_paused = true)]
async fn a_pin_is_taken_off_with_the_name_of_who_plays() {
    let setup = Setup { settings: &[("a", "priority = 10")], ..Setup::default() };
    let bench = Bench::with(&[("a", &[A]), ("b", &[B])], &setup);
    bench.pass(60).await;
    bench.switch(Some("b"), true).await.unwrap();
    let pin = || bench.store.current().streams["world-feed"].pin.clone();
    assert_eq!(pin().map(|pin| pin.source).as_deref(), Some("b"));
    bench.switch(Some("b"), false).await.unwrap();
    assert_eq!((bench.plays(), pin()), (vec!["world-feed@b:Healthy -".to_owned()], None));
    bench.pass(600).await;
    assert_eq!(bench.plays(), ["world-feed@a:Healthy -"], "ranking goes on from there");
    bench.switch(Some("b"), true).await.unwrap();
    assert_eq!(bench.switch(None, false).await.unwrap().to, "a", "the next best");
    assert_eq!((bench.plays(), pin()), (vec!["world-feed@a:Healthy -".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn runs_and_their_traces() {
    let bench = Bench::start(&[("a", &[A, Run::Fails]), ("b", &[Run::Hangs])]);
    bench.pass(10).await;
    let trace = |name: &str| {
        let extractor = name.to_owned();
        bench.ask(|reply| Command::Trace { extractor, reply })
    };
    let first = trace("a").await.unwrap();
    assert_eq!((first.candidates, first.failures.len(), first.checks.len()), (1, 0, 1));
    assert_eq!(trace("b").await.unwrap_err(), Refused::NoTrace, "it has not ended");
    let extractor = "a".to_owned();
    let started = bench.ask(|reply| Command::Run { extractor, reply }).await.unwrap();
    assert!(!started.already_running);
    bench.pass(1).await;
    let second = trace("a").await.unwrap();
    assert_eq!((second.candidates, second.failures.len()), (0, 1));
    let text = serde_json::to_string(&(first, second)).unwrap();
    assert!(!text.contains("example") && !text.contains("http"), "{text}");
    let extractor = "b".to_owned();
    assert!(bench.ask(|reply| Command::Run { extractor, reply }).await.unwrap().already_running);
}
