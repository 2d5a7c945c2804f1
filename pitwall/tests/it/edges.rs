//! One stream on many edges, behind a load balancer that sends every poll to another one.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::{Cluster, Edge, empty};
use crate::support::client;
use crate::twins::{Mood, both_are_there, json, segments_now, sources, upstream};
use crate::viewer::Viewer;

const MEDIA: &str = "/live/world-feed/v.m3u8";

#[tokio::test]
async fn many_edges_publish_one_playlist_across_switches() {
    let (site, twins) = upstream().await;
    let (cluster, redis, control) = Cluster::with(&sources(&site, "live.m3u8")).led().await;
    let (one, two) =
        (cluster.edge(control.address, empty()), cluster.edge(control.address, empty()));
    one.is_connected().await;
    two.is_connected().await;
    both_are_there(&one.url("")).await;
    both_are_there(&two.url("")).await;
    let mut urls = vec![one.url(MEDIA), two.url(MEDIA)];
    let mut player = Viewer::default();
    player.watch_until("as it began", &urls, |player| player.sees_anything()).await;

    // Planned: by command.
    for (source, expected) in [("second", 1), ("first", 2)] {
        let switch = client().post(one.url("/api/streams/world-feed/switch"));
        let switch = switch.bearer_auth(crate::cluster::TOKEN);
        let body = format!("{{\"source\":\"{source}\"}}");
        let switched = switch.header("content-type", "application/json").body(body).send().await;
        assert_eq!(switched.unwrap().status(), 200);
        let is = |player: &Viewer| player.discontinuity() == expected;
        player.watch_until(source, &urls, is).await;
        player.watch_for(Duration::from_secs(3), &urls).await;
    }
    // Not planned: it stands still.
    twins.set(0, Mood::Frozen(segments_now()));
    player.watch_until("frozen", &urls, |player| player.discontinuity() == 3).await;

    // An edge that starts now publishes the same, and so does one that starts again.
    let three = cluster.edge(control.address, empty());
    three.is_connected().await;
    three.is_there().await;
    let state = two.state.clone();
    two.process.kill();
    let two = cluster.edge(control.address, state);
    two.is_connected().await;
    two.is_there().await;
    urls = vec![one.url(MEDIA), two.url(MEDIA), three.url(MEDIA)];
    player.watch_for(Duration::from_secs(4), &urls).await;

    // Without Redis they go on as they are, and come together again when it is back, empty.
    redis.kill();
    for edge in [&one, &two, &three] {
        edge.is_cut_off().await;
    }
    player.watch_for(Duration::from_secs(4), &urls).await;
    let _redis = cluster.redis().await;
    for edge in [&one, &two, &three] {
        edge.is_connected().await;
    }
    player.watch_for(Duration::from_secs(4), &urls).await;
    assert_eq!(player.discontinuity(), 3, "Redis is no reason to change");
    // Together: the next change is one change.
    twins.set(0, Mood::Fine);
    player.watch_for(Duration::from_secs(3), &urls).await;
    twins.set(1, Mood::Refused);
    player.watch_until("refused", &urls, |player| player.discontinuity() == 4).await;
    player.watch_for(Duration::from_secs(3), &urls).await;
    player.has_seen_all();
}

/// Polls each of these by a player of its own, which polls nothing else, until that is so.
async fn watch_until(
    what: &str,
    players: &mut [Viewer],
    urls: &[[String; 1]],
    is: impl AsyncFn(&[Viewer]) -> bool,
) {
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    while !is(players).await {
        assert!(Instant::now() < deadline, "{what}: not in 40 s");
        for (player, url) in players.iter_mut().zip(urls) {
            player.watch_until(what, url, |_| true).await;
        }
        ticks.tick().await;
    }
}

/// What each has decided alone stays as its players have seen it; from where they agree again there
/// is one playlist.
#[tokio::test]
async fn edges_that_changed_the_source_without_redis_come_together_when_it_is_back() {
    let (site, twins) = upstream().await;
    let (cluster, redis, control) = Cluster::with(&sources(&site, "live.m3u8")).led().await;
    let edges = [(); 3].map(|()| cluster.edge(control.address, empty()));
    for edge in &edges {
        edge.is_connected().await;
        both_are_there(&edge.url("")).await;
    }
    let urls: Vec<_> = edges.iter().map(|edge| [edge.url(MEDIA)]).collect();
    let mut players = [(); 3].map(|()| Viewer::default());
    for (player, url) in players.iter_mut().zip(&urls) {
        player.watch_until("as it began", url, |player| player.sees_anything()).await;
    }
    redis.kill();
    for edge in &edges {
        edge.is_cut_off().await;
    }
    // The first edge has one more segment of the source than the second, and nobody asks the third.
    let known = players[1].last();
    players[0].watch_until("ahead", &urls[0], |player| player.last() > known).await;
    twins.set(0, Mood::Refused);
    for (player, url) in players.iter_mut().zip(&urls).take(2) {
        player.watch_until("alone", url, |player| player.discontinuity() == 1).await;
    }
    let on = players[0].last().max(players[1].last()) + 2;
    watch_until("on", &mut players[..2], &urls, async |players| {
        players.iter().all(|player| player.last() >= on)
    })
    .await;
    assert_ne!(players[0].line(known + 1), players[1].line(known + 1), "each by itself");

    let mut before = Vec::new();
    for edge in &edges {
        before.push(edge.agreements().await);
    }
    let _redis = cluster.redis().await;
    watch_until("together", &mut players, &urls, async |_| {
        let now = futures::future::join_all(edges.iter().map(Edge::agreements)).await;
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
    players[0].has_seen_all();
    players[1].has_seen_all();
}

/// Nobody has watched, so that there is nothing to bridge it with, and no control plane finds out.
#[tokio::test]
async fn whoever_comes_when_the_source_has_just_died_is_given_the_next() {
    let (site, twins) = upstream().await;
    let (cluster, _redis, control) = Cluster::with(&sources(&site, "live.m3u8")).led().await;
    let edge = cluster.edge(control.address, empty());
    edge.is_connected().await;
    both_are_there(&edge.url("")).await;
    control.process.kill();
    twins.set(0, Mood::Refused);
    Viewer::default().polls("at once", &edge.url(MEDIA)).await;
    // And all that is told of the stream says so.
    for path in ["/api/streams", "/api/bootstrap"] {
        let told = json(&edge.url(path)).await.unwrap();
        let sources = told["streams"][0]["sources"].as_array().unwrap();
        let active = sources.iter().filter(|one| one["active"] == true);
        let names: Vec<_> = active.map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["second"], "{path}");
    }
}
