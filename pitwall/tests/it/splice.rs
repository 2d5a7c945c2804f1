//! Source switches as a player sees them that polls one media playlist.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Method;

use crate::support::{Edge, client, eventually, fetch};
use crate::twin_sources::{
    ADMIN_TOKEN, SourceState, TARGET_DURATION_MAX, TwinSources, segments_now, start_edge,
    start_edge_with_playlist, start_upstream,
};
use crate::viewer::{Viewer, find_media_playlist};

/// An edge with two sources of one stream, and a player that has loaded its playlist.
struct WatchedStream {
    twins: Arc<TwinSources>,
    edge: Edge,
    media: [String; 1],
    player: Viewer,
}

async fn start_watched_stream() -> WatchedStream {
    let (upstream_url, twins) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let media = [find_media_playlist(&edge.url("")).await];
    let mut player = Viewer::default();
    player.watch_until("as it began", &media, |player| player.has_seen_anything()).await;
    WatchedStream { twins, edge, media, player }
}

/// Commands a switch to `source`, pinned.
pub(crate) async fn switch_source(edge: &Edge, source: &str) {
    let switch = client().post(edge.url("/api/streams/world-feed/switch"));
    let switch = switch.bearer_auth(ADMIN_TOKEN).header("content-type", "application/json");
    let body = format!("{{\"source\":\"{source}\",\"pin\":true}}");
    assert_eq!(switch.body(body).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_player_that_polls_one_playlist_never_sees_a_switch() {
    let (upstream_url, twins) = start_upstream().await;
    let edge = start_edge(&upstream_url).await;
    let media = [find_media_playlist(&edge.url("")).await];
    let mut player = Viewer::default();
    // Two switches happen by command, then one because the active source answers 403.
    for (what, expected) in [("as it began", 0), ("second", 1), ("first", 2), ("broken", 3)] {
        match what {
            "as it began" => {}
            "broken" => twins.broken.store(true, Ordering::SeqCst),
            source => switch_source(&edge, source).await,
        }
        player
            .watch_until(what, &media, |player| player.discontinuity_sequence() == expected)
            .await;
    }
    // The first source's media sequence numbers follow the clock. Splice points are chosen by date,
    // so published numbers still follow the clock: no segment is repeated or omitted.
    let last = player.assert_no_gap();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 2;
    assert!((last..last + 4).contains(&clock), "{last} is published at {clock}");
    let newest = player.newest();
    assert_eq!(fetch(&edge.url(newest)).await.unwrap().status(), 200, "{newest}");
}

#[tokio::test]
async fn segments_that_a_dying_source_does_not_serve_are_never_published() {
    let WatchedStream { twins, edge, media, mut player } = start_watched_stream().await;
    let since = segments_now();
    twins.set_state(0, SourceState::MissingSegments(since));
    player.watch_until("it announces one more", &media, |_| segments_now() > since).await;
    player.watch_for(Duration::from_millis(500), &media).await;
    twins.set_state(0, SourceState::Refusing);
    player.watch_until("it is refused", &media, |player| player.discontinuity_sequence() > 0).await;
    player.assert_no_gap();
    for line in player.lines_from(since) {
        assert_eq!(fetch(&edge.url(line)).await.unwrap().status(), 200, "{line}");
    }
}

#[tokio::test]
async fn a_slow_segment_is_published_once_it_is_stored() {
    let WatchedStream { twins, edge, media, mut player } = start_watched_stream().await;
    let since = segments_now();
    twins.set_state(0, SourceState::SlowSegments(since));
    player.watch_until("it goes on", &media, |player| player.last() >= since).await;
    let newest = fetch(&edge.url(player.newest())).await.unwrap();
    let timing = newest.headers()["server-timing"].to_str().unwrap().to_owned();
    assert!(timing.starts_with("cache;desc=hit"), "{timing}");
    // A player that returns after a pause gets a current playlist, not the last published one.
    let later = segments_now() + 5;
    eventually("nobody watches", || async { (segments_now() > later).then_some(()) }).await;
    let now = segments_now();
    player.poll("after a while", &media[0]).await;
    assert!(player.last() + 1 >= now, "{} at {now}", player.last());
}

#[tokio::test]
async fn a_missing_segment_is_published_nevertheless_and_more_of_them_end_the_source() {
    let WatchedStream { twins, edge: _edge, media, mut player } = start_watched_stream().await;
    let since = segments_now();
    twins.set_state(0, SourceState::MissingSegments(since));
    player.watch_until("it goes on", &media, |player| player.last() >= since).await;
    assert_eq!(player.discontinuity_sequence(), 0);
    player.watch_until("it is left", &media, |player| player.discontinuity_sequence() > 0).await;
    player.assert_no_gap();
}

#[tokio::test]
async fn purging_a_stream_purges_its_prefetched_segments() {
    let WatchedStream { edge, media, mut player, .. } = start_watched_stream().await;
    let last = player.last();
    player.watch_until("it goes on", &media, |player| player.last() > last).await;
    let purge = client().request(
        Method::from_bytes(b"PURGE").unwrap(),
        format!("http://{}/live/world-feed", edge.admin),
    );
    let body = purge.bearer_auth(ADMIN_TOKEN).send().await.unwrap().text().await.unwrap();
    assert_eq!(body, "{\"purged\":1}\n");
}

/// Asserts that the stream fails over within 10 s when the active source gets into this state.
async fn assert_failover(make_state: fn(u64) -> SourceState) {
    let WatchedStream { twins, edge: _edge, media, mut player } = start_watched_stream().await;
    let state = make_state(segments_now());
    let what = format!("{state:?}");
    twins.set_state(0, state);
    let began = tokio::time::Instant::now();
    player.watch_until(&what, &media, |player| player.discontinuity_sequence() > 0).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{what}: {:?}", began.elapsed());
    player.watch_for(Duration::from_secs(3), &media).await;
    assert!(!player.ended, "{what}");
    player.assert_no_gap();
}

#[tokio::test]
async fn a_frozen_source_fails_over() {
    assert_failover(SourceState::Frozen).await;
}

#[tokio::test]
async fn an_ended_source_fails_over() {
    assert_failover(SourceState::Ended).await;
}

#[tokio::test]
async fn a_source_that_counts_anew_is_a_discontinuity() {
    let WatchedStream { twins, edge: _edge, media, mut player } = start_watched_stream().await;
    for twin in [0, 1] {
        twins.set_state(twin, SourceState::Restarted(segments_now()));
    }
    player.watch_until("anew", &media, |player| player.discontinuity_sequence() > 0).await;
    let at = player.last();
    player.watch_until("on", &media, |player| player.last() >= at + 3).await;
    player.assert_no_gap();
}

/// EXT-X-ENDLIST of one source does not end the stream while another source continues.
#[tokio::test]
async fn a_stream_ends_when_all_of_its_sources_have() {
    let WatchedStream { twins, edge: _edge, media, mut player } = start_watched_stream().await;
    twins.set_state(0, SourceState::Ended(segments_now()));
    player.watch_until("one", &media, |player| player.discontinuity_sequence() > 0).await;
    player.watch_for(Duration::from_secs(3), &media).await;
    assert!(!player.ended, "the other goes on");
    twins.set_state(1, SourceState::Ended(segments_now()));
    player.watch_until("both", &media, |player| player.ended).await;
    player.assert_no_gap();
}

/// Players switch between renditions by media sequence and discontinuity sequence numbers, so these
/// must be the same in all renditions.
#[tokio::test]
async fn a_rendition_that_nobody_polled_is_numbered_like_the_others() {
    let (upstream_url, _twins) = start_upstream().await;
    let edge = start_edge_with_playlist(&upstream_url, "master.m3u8").await;
    let urls_of = |rendition: &str| [edge.url(&format!("/live/world-feed/{rendition}.m3u8"))];
    let (high, low) = (urls_of("v720-avc"), urls_of("v180-avc"));
    let (mut one, mut other) = (Viewer::default(), Viewer::default());
    one.watch_until("as it began", &high, |player| player.has_seen_anything()).await;
    for (source, expected) in [("second", 1), ("first", 2)] {
        switch_source(&edge, source).await;
        one.watch_until(source, &high, |player| player.discontinuity_sequence() == expected).await;
    }
    let assert_same_numbers = |one: &Viewer, other: &Viewer| {
        assert_eq!(one.discontinuity_sequence(), other.discontinuity_sequence());
        assert!(one.last().abs_diff(other.last()) <= 1, "{} {}", one.last(), other.last());
    };
    other.poll("late", &low[0]).await;
    one.poll("on", &high[0]).await;
    assert_same_numbers(&one, &other);
    // The numbers stay the same across the next switch.
    switch_source(&edge, "second").await;
    other.watch_until("second", &low, |player| player.discontinuity_sequence() == 3).await;
    one.watch_until("second", &high, |player| player.discontinuity_sequence() == 3).await;
    other.watch_for(Duration::from_secs(3), &low).await;
    one.poll("on", &high[0]).await;
    assert_same_numbers(&one, &other);
    for player in [&one, &other] {
        player.assert_no_gap();
        assert_eq!(
            player.target_durations(),
            [TARGET_DURATION_MAX],
            "of all sources, from the start"
        );
    }
}

/// Containers cannot be mixed in one media playlist: the old rendition's playlist answers 404, and
/// the multivariant playlist lists a rendition of the new container.
#[tokio::test]
async fn a_source_of_another_container_makes_the_player_load_anew() {
    let (upstream_url, twins) = start_upstream().await;
    twins.fragmented.store(true, Ordering::SeqCst);
    let edge = start_edge_with_playlist(&upstream_url, "master.m3u8").await;
    let status = |rendition: &str| {
        let url = edge.url(&format!("/live/world-feed/{rendition}.m3u8"));
        async move { fetch(&url).await.unwrap().status().as_u16() }
    };
    assert_eq!(status("v720-avc").await, 200);
    let began = tokio::time::Instant::now();
    twins.set_state(0, SourceState::Refusing);
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
