//! A stream goes on when its source changes: what a player sees that polls one playlist.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Method;

use crate::support::{Edge, client, eventually, fetch};
use crate::twins::{LONGEST, Mood, TOKEN, Twins, edge, edge_of, segments_now, upstream};
use crate::viewer::{Viewer, media};

/// A stream that somebody watches.
struct Watched {
    twins: Arc<Twins>,
    edge: Edge,
    media: [String; 1],
    player: Viewer,
}

async fn watched() -> Watched {
    let (site, twins) = upstream().await;
    let edge = edge(&site).await;
    let media = [media(&edge.url("")).await];
    let mut player = Viewer::default();
    player.watch_until("as it began", &media, |player| player.sees_anything()).await;
    Watched { twins, edge, media, player }
}

pub(crate) async fn switch(edge: &Edge, source: &str) {
    let switch = client().post(edge.url("/api/streams/world-feed/switch"));
    let switch = switch.bearer_auth(TOKEN).header("content-type", "application/json");
    let body = format!("{{\"source\":\"{source}\",\"pin\":true}}");
    assert_eq!(switch.body(body).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_player_that_polls_one_playlist_never_sees_a_switch() {
    let (site, twins) = upstream().await;
    let edge = edge(&site).await;
    let media = [media(&edge.url("")).await];
    let mut player = Viewer::default();
    // First by command, then because the source that plays is refused, each way once.
    for (what, expected) in [("as it began", 0), ("second", 1), ("first", 2), ("broken", 3)] {
        match what {
            "as it began" => {}
            "broken" => twins.broken.store(true, Ordering::SeqCst),
            source => switch(&edge, source).await,
        }
        player.watch_until(what, &media, |player| player.discontinuity() == expected).await;
    }
    // The first source numbers by the clock: as what follows is chosen by date, published numbers
    // still do, so that nothing came twice and nothing was left out.
    let last = player.has_seen_all();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2;
    assert!((last..last + 4).contains(&clock), "{last} is published at {clock}");
    let newest = player.newest();
    assert_eq!(fetch(&edge.url(newest)).await.unwrap().status(), 200, "{newest}");
}

#[tokio::test]
async fn what_a_source_takes_with_it_was_never_announced() {
    let Watched { twins, edge, media, mut player } = watched().await;
    let since = segments_now();
    twins.set(0, Mood::Hollow(since));
    player.watch_until("it announces one more", &media, |_| segments_now() > since).await;
    player.watch_for(Duration::from_millis(500), &media).await;
    twins.set(0, Mood::Refused);
    player.watch_until("it is refused", &media, |player| player.discontinuity() > 0).await;
    player.has_seen_all();
    for line in player.lines_from(since) {
        assert_eq!(fetch(&edge.url(line)).await.unwrap().status(), 200, "{line}");
    }
}

#[tokio::test]
async fn what_is_slow_is_announced_when_it_has_come() {
    let Watched { twins, edge, media, mut player } = watched().await;
    let since = segments_now();
    twins.set(0, Mood::Slow(since));
    player.watch_until("it goes on", &media, |player| player.last() >= since).await;
    let newest = fetch(&edge.url(player.newest())).await.unwrap();
    let timing = newest.headers()["server-timing"].to_str().unwrap().to_owned();
    assert!(timing.starts_with("storage;desc=hit"), "{timing}");
    // Who comes back after a while is not given what was shown then.
    let later = segments_now() + 5;
    eventually("nobody watches", || async { (segments_now() > later).then_some(()) }).await;
    let asked = segments_now();
    player.polls("after a while", &media[0]).await;
    assert!(player.last() + 1 >= asked, "{} at {asked}", player.last());
}

#[tokio::test]
async fn what_never_comes_is_announced_all_the_same() {
    let Watched { twins, edge: _edge, media, mut player } = watched().await;
    let since = segments_now();
    twins.set(0, Mood::Hollow(since));
    player.watch_until("it goes on", &media, |player| player.last() >= since + 2).await;
    assert_eq!(player.discontinuity(), 0);
}

#[tokio::test]
async fn a_stream_is_purged_with_what_was_fetched_ahead() {
    let Watched { edge, media, mut player, .. } = watched().await;
    let last = player.last();
    player.watch_until("it goes on", &media, |player| player.last() > last).await;
    let purge = client().request(
        Method::from_bytes(b"PURGE").unwrap(),
        format!("http://{}/live/world-feed", edge.admin),
    );
    let answer = purge.bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    assert_eq!(answer, "{\"purged\":1}\n");
}

/// Whatever is wrong with who plays, within ten seconds.
async fn check(mood: fn(u64) -> Mood) {
    let Watched { twins, edge: _edge, media, mut player } = watched().await;
    let mood = mood(segments_now());
    let what = format!("{mood:?}");
    twins.set(0, mood);
    let began = tokio::time::Instant::now();
    player.watch_until(&what, &media, |player| player.discontinuity() > 0).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", began.elapsed());
    player.watch_for(Duration::from_secs(3), &media).await;
    assert!(!player.ended, "{what}");
    player.has_seen_all();
}

#[tokio::test]
async fn one_that_stands_still_is_left() {
    check(Mood::Frozen).await;
}

#[tokio::test]
async fn one_that_has_ended_is_left() {
    check(Mood::Ended).await;
}

#[tokio::test]
async fn a_source_that_counts_anew_is_a_discontinuity() {
    let Watched { twins, edge: _edge, media, mut player } = watched().await;
    for twin in [0, 1] {
        twins.set(twin, Mood::Anew(segments_now()));
    }
    player.watch_until("anew", &media, |player| player.discontinuity() > 0).await;
    let at = player.last();
    player.watch_until("on", &media, |player| player.last() >= at + 3).await;
    player.has_seen_all();
}

/// One that has ended is no end while another goes on.
#[tokio::test]
async fn a_stream_ends_when_all_of_its_sources_have() {
    let Watched { twins, edge: _edge, media, mut player } = watched().await;
    twins.set(0, Mood::Ended(segments_now()));
    player.watch_until("one", &media, |player| player.discontinuity() > 0).await;
    player.watch_for(Duration::from_secs(3), &media).await;
    assert!(!player.ended, "the other goes on");
    twins.set(1, Mood::Ended(segments_now()));
    player.watch_until("both", &media, |player| player.ended).await;
    player.has_seen_all();
}

/// A player changes from one to the other by their numbers, and waits for discontinuities that
/// both must have.
#[tokio::test]
async fn a_rendition_that_nobody_polled_is_numbered_like_the_others() {
    let (site, _twins) = upstream().await;
    let edge = edge_of(&site, "master.m3u8").await;
    let of = |rendition: &str| [edge.url(&format!("/live/world-feed/{rendition}.m3u8"))];
    let (high, low) = (of("v720-avc"), of("v180-avc"));
    let (mut one, mut other) = (Viewer::default(), Viewer::default());
    one.watch_until("as it began", &high, |player| player.sees_anything()).await;
    for (source, expected) in [("second", 1), ("first", 2)] {
        switch(&edge, source).await;
        one.watch_until(source, &high, |player| player.discontinuity() == expected).await;
    }
    let alike = |one: &Viewer, other: &Viewer| {
        assert_eq!(one.discontinuity(), other.discontinuity());
        assert!(one.last().abs_diff(other.last()) <= 1, "{} {}", one.last(), other.last());
    };
    other.polls("late", &low[0]).await;
    one.polls("on", &high[0]).await;
    alike(&one, &other);
    // And across the next one.
    switch(&edge, "second").await;
    other.watch_until("second", &low, |player| player.discontinuity() == 3).await;
    one.watch_until("second", &high, |player| player.discontinuity() == 3).await;
    other.watch_for(Duration::from_secs(3), &low).await;
    one.polls("on", &high[0]).await;
    alike(&one, &other);
    for player in [&one, &other] {
        player.has_seen_all();
        assert_eq!(player.target_durations(), [LONGEST], "of all sources, from the start");
    }
}

/// Containers cannot be mixed in one playlist: a player finds that what it plays is gone, and what
/// there is instead in the multivariant playlist.
#[tokio::test]
async fn a_source_of_another_container_makes_the_player_load_anew() {
    let (site, twins) = upstream().await;
    twins.fragmented.store(true, Ordering::SeqCst);
    let edge = edge_of(&site, "master.m3u8").await;
    let status = |rendition: &str| {
        let url = edge.url(&format!("/live/world-feed/{rendition}.m3u8"));
        async move { fetch(&url).await.unwrap().status().as_u16() }
    };
    assert_eq!(status("v720-avc").await, 200);
    let began = tokio::time::Instant::now();
    twins.set(0, Mood::Refused);
    eventually("it is gone", || async {
        let status = status("v720-avc").await;
        assert!(matches!(status, 200 | 404), "{status}");
        (status == 404).then_some(())
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let multivariant = fetch(&edge.url("/live/world-feed/index.m3u8")).await.unwrap();
    let text = multivariant.text().await.unwrap();
    assert!(text.contains("\nv720-avc-m4s.m3u8\n") && !text.contains("\nv720-avc.m3u8"), "{text}");
    assert_eq!(status("v720-avc-m4s").await, 200);
}
