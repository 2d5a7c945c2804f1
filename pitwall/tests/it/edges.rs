//! One stream on several edges, as behind a load balancer that sends each poll to another edge.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, Edge, empty_directory};
use crate::support::client;
use crate::twin_sources::{
    SourceState, fetch_json, segments_now, sources, start_upstream, wait_for_both_sources,
};
use crate::viewer::Viewer;

const MEDIA_PATH: &str = "/live/world-feed/v.m3u8";

#[tokio::test]
async fn many_edges_publish_one_playlist_across_switches() {
    let (upstream_url, twins) = start_upstream().await;
    let (cluster, redis, control) =
        Cluster::with(&sources(&upstream_url, "live.m3u8")).start_with_leader().await;
    let (one, two) = (
        cluster.start_edge(control.address, empty_directory()),
        cluster.start_edge(control.address, empty_directory()),
    );
    one.wait_until_connected().await;
    two.wait_until_connected().await;
    wait_for_both_sources(&one.url("")).await;
    wait_for_both_sources(&two.url("")).await;
    let mut urls = vec![one.url(MEDIA_PATH), two.url(MEDIA_PATH)];
    let mut player = Viewer::default();
    player.watch_until("as it began", &urls, |player| player.has_seen_anything()).await;

    // Planned switches, by command.
    for (source, expected) in [("second", 1), ("first", 2)] {
        let switch = client().post(one.url("/api/streams/world-feed/switch"));
        let switch = switch.bearer_auth(crate::cluster::ADMIN_TOKEN);
        let body = format!("{{\"source\":\"{source}\"}}");
        let switched = switch.header("content-type", "application/json").body(body).send().await;
        assert_eq!(switched.unwrap().status(), 200);
        let has_switched = |player: &Viewer| player.discontinuity_sequence() == expected;
        player.watch_until(source, &urls, has_switched).await;
        player.watch_for(Duration::from_secs(3), &urls).await;
    }
    // An unplanned switch: the active source is frozen.
    twins.set_state(0, SourceState::Frozen(segments_now()));
    player.watch_until("frozen", &urls, |player| player.discontinuity_sequence() == 3).await;

    // An edge that starts now, and one that restarts, publish the same playlist.
    let three = cluster.start_edge(control.address, empty_directory());
    three.wait_until_connected().await;
    three.wait_for_stream().await;
    let state = two.state.clone();
    two.process.kill();
    let two = cluster.start_edge(control.address, state);
    two.wait_until_connected().await;
    two.wait_for_stream().await;
    urls = vec![one.url(MEDIA_PATH), two.url(MEDIA_PATH), three.url(MEDIA_PATH)];
    player.watch_for(Duration::from_secs(4), &urls).await;

    // Without Redis the edges keep publishing the same playlist, also once Redis is back, empty.
    redis.kill();
    for edge in [&one, &two, &three] {
        edge.wait_until_disconnected().await;
    }
    player.watch_for(Duration::from_secs(4), &urls).await;
    let _redis = cluster.start_redis().await;
    for edge in [&one, &two, &three] {
        edge.wait_until_connected().await;
    }
    player.watch_for(Duration::from_secs(4), &urls).await;
    assert_eq!(player.discontinuity_sequence(), 3, "Redis is no reason to change");
    // The next switch is one switch on all edges.
    twins.set_state(0, SourceState::Healthy);
    player.watch_for(Duration::from_secs(3), &urls).await;
    twins.set_state(1, SourceState::Refusing);
    player.watch_until("refused", &urls, |player| player.discontinuity_sequence() == 4).await;
    player.watch_for(Duration::from_secs(3), &urls).await;
    player.assert_no_gap();
}

/// Polls each URL with its own player until `condition` holds.
///
/// # Panics
/// After 40 s.
async fn watch_until(
    what: &str,
    players: &mut [Viewer],
    urls: &[[String; 1]],
    condition: impl AsyncFn(&[Viewer]) -> bool,
) {
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    while !condition(players).await {
        assert!(Instant::now() < deadline, "{what}: not in 40 s");
        for (player, url) in players.iter_mut().zip(urls) {
            player.watch_until(what, url, |_| true).await;
        }
        ticks.tick().await;
    }
}

/// Segments that an edge published while disconnected never change for its players; after the next
/// common splice decision all edges publish the same segments.
#[tokio::test]
async fn edges_that_switched_alone_without_redis_converge_when_it_is_back() {
    let (upstream_url, twins) = start_upstream().await;
    let (cluster, redis, control) =
        Cluster::with(&sources(&upstream_url, "live.m3u8")).start_with_leader().await;
    let edges = [(); 3].map(|()| cluster.start_edge(control.address, empty_directory()));
    for edge in &edges {
        edge.wait_until_connected().await;
        wait_for_both_sources(&edge.url("")).await;
    }
    let urls: Vec<_> = edges.iter().map(|edge| [edge.url(MEDIA_PATH)]).collect();
    let mut players = [(); 3].map(|()| Viewer::default());
    for (player, url) in players.iter_mut().zip(&urls) {
        player.watch_until("as it began", url, |player| player.has_seen_anything()).await;
    }
    redis.kill();
    for edge in &edges {
        edge.wait_until_disconnected().await;
    }
    // The first edge has published one more segment than the second; the third is not polled.
    let known = players[1].last();
    players[0].watch_until("ahead", &urls[0], |player| player.last() > known).await;
    twins.set_state(0, SourceState::Refusing);
    for (player, url) in players.iter_mut().zip(&urls).take(2) {
        player.watch_until("alone", url, |player| player.discontinuity_sequence() == 1).await;
    }
    let target = players[0].last().max(players[1].last()) + 2;
    watch_until("on", &mut players[..2], &urls, async |players| {
        players.iter().all(|player| player.last() >= target)
    })
    .await;
    assert_ne!(players[0].line(known + 1), players[1].line(known + 1), "each by itself");

    let mut before = Vec::new();
    for edge in &edges {
        before.push(edge.decision_count().await);
    }
    let _redis = cluster.start_redis().await;
    watch_until("together", &mut players, &urls, async |_| {
        let now = futures::future::join_all(edges.iter().map(Edge::decision_count)).await;
        now.iter().zip(&before).all(|(now, before)| now > before)
    })
    .await;
    let apart = players.iter().map(Viewer::last).max().unwrap();
    watch_until("one playlist", &mut players, &urls, async |players| {
        players.iter().all(|player| player.last() >= apart + 4)
    })
    .await;
    for number in apart + 1..=apart + 4 {
        let lines = players.each_ref().map(|player| player.line(number).unwrap());
        assert!(lines.iter().all(|line| *line == lines[0]), "{number}: {lines:?}");
    }
    players[0].assert_no_gap();
    players[1].assert_no_gap();
}

/// Without earlier viewers the edge has no last playlist to serve, and without a control plane
/// nothing reports the failure, so the edge itself must fail over on the first poll.
#[tokio::test]
async fn the_first_poll_after_the_active_source_died_is_served_from_the_next() {
    let (upstream_url, twins) = start_upstream().await;
    let (cluster, _redis, control) =
        Cluster::with(&sources(&upstream_url, "live.m3u8")).start_with_leader().await;
    let edge = cluster.start_edge(control.address, empty_directory());
    edge.wait_until_connected().await;
    wait_for_both_sources(&edge.url("")).await;
    control.process.kill();
    twins.set_state(0, SourceState::Refusing);
    Viewer::default().poll("at once", &edge.url(MEDIA_PATH)).await;
    // The API shows the new active source.
    for path in ["/api/streams", "/api/bootstrap"] {
        let document = fetch_json(&edge.url(path)).await.unwrap();
        let sources = document["streams"][0]["sources"].as_array().unwrap();
        let active = sources.iter().filter(|source| source["active"] == true);
        let names: Vec<_> = active.map(|source| source["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["second"], "{path}");
    }
}
