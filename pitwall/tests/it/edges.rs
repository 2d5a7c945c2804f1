//! One stream on many edges, behind a load balancer that sends every poll to another one.

use std::time::Duration;

use crate::cluster::{Cluster, empty};
use crate::support::client;
use crate::twins::{Mood, both_are_there, segments_now, sources, upstream};
use crate::viewer::Viewer;

const MEDIA: &str = "/live/world-feed/v.m3u8";

#[tokio::test]
async fn many_edges_publish_one_playlist_across_switches() {
    let (site, twins) = upstream().await;
    let cluster = Cluster::with(&sources(&site, "live.m3u8"));
    let redis = cluster.redis().await;
    let control = cluster.control();
    control.leads().await;
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
