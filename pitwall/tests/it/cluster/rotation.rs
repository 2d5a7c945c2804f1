//! Rotation of the seal keys, while edges and control planes are restarted one by one.

use std::fs::File;
use std::path::PathBuf;

use super::*;

/// A seal key of sufficient length.
fn key(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// Asserts that each edge's links work on all edges, and that playlists advance.
async fn assert_links_interchangeable(edges: &[Edge], when: &str) {
    for one in edges {
        let text = fetch(&one.url(MEDIA_PATH)).await.unwrap().text().await.unwrap();
        let segment = text.lines().rfind(|line| line.starts_with("/live/")).unwrap().to_owned();
        eventually(&format!("{when}: there is a segment after {segment}"), || async {
            let text = fetch(&one.url(MEDIA_PATH)).await.ok()?.text().await.ok()?;
            let newest = text.lines().rfind(|line| line.starts_with("/live/"))?;
            (*newest != segment).then_some(())
        })
        .await;
        for other in edges {
            let status = fetch(&other.url(&segment)).await.unwrap().status();
            assert_eq!(status, 200, "{when}: {segment}");
        }
    }
}

/// Status and body of `/readyz` on an admin listener.
async fn readiness(admin: SocketAddr) -> Option<(u16, String)> {
    let response = fetch(&format!("http://{admin}/readyz")).await.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

async fn wait_until_ready(admin: SocketAddr) {
    eventually("it is ready", || async {
        readiness(admin).await.filter(|(status, _)| *status == 200)
    })
    .await;
}

async fn wait_until_unready(admin: SocketAddr, why: &str) {
    eventually(why, || async {
        readiness(admin).await.filter(|(status, body)| *status == 503 && body.contains(why))
    })
    .await;
}

async fn map_version(edge: &Edge) -> u64 {
    let text =
        fetch(&format!("http://{}/metrics", edge.admin)).await.unwrap().text().await.unwrap();
    let version = text.lines().find_map(|line| line.strip_prefix("pitwall_edge_map_version "));
    version.unwrap().parse().unwrap()
}

#[tokio::test]
async fn in_three_steps_no_link_is_refused() {
    let (source, _upstream) = start_upstream().await;
    let (old, new) = (key('o'), key('n'));
    let cluster = Cluster::of(source);
    cluster.set_seal_keys(std::slice::from_ref(&old));
    let (cluster, _redis, mut control) = cluster.start_with_leader().await;
    let mut edges = vec![
        cluster.start_edge(control.address, empty_directory()),
        cluster.start_edge(control.address, empty_directory()),
    ];
    for edge in &edges {
        edge.wait_until_playing().await;
    }
    for keys in [vec![old.clone(), new.clone()], vec![new.clone(), old], vec![new]] {
        let step: String = keys.iter().filter_map(|key| key.chars().next()).collect();
        cluster.set_seal_keys(&keys);
        for _ in 0..2 {
            // One edge at a time, as behind a load balancer; each starts from its own disk
            // snapshot.
            let Edge { process, state, .. } = edges.remove(0);
            process.kill();
            let edge = cluster.start_edge(control.address, state);
            edge.wait_until_playing().await;
            wait_until_ready(edge.admin).await;
            edges.push(edge);
            assert_links_interchangeable(&edges, &format!("{step}: an edge")).await;
        }
        let before = map_version(&edges[0]).await.max(map_version(&edges[1]).await);
        control.process.terminate();
        control = cluster.start_control();
        control.wait_until_leader().await;
        for edge in &edges {
            eventually("it has a map of the new leader", || async {
                (map_version(edge).await > before).then_some(())
            })
            .await;
            edge.wait_until_playing().await;
            wait_until_ready(edge.admin).await;
        }
        assert_links_interchangeable(&edges, &format!("{step}: the control plane")).await;
    }
}

#[tokio::test]
async fn a_process_with_another_key_is_not_ready_and_names_the_key_file() {
    let (source, _upstream) = start_upstream().await;
    let (cluster, _redis, control) = Cluster::of(source).start_with_leader().await;
    let plays = cluster.start_edge(control.address, empty_directory());
    plays.wait_until_playing().await;
    cluster.set_seal_keys(&[key('x')]);
    let file = cluster.directory.path().join("seal.key");
    let why = format!("sealed with another key than [access] seal_key_file {}", file.display());

    let (state, log) = (empty_directory(), cluster.directory.path().join("log"));
    let (address, admin) = (free_address(), free_address());
    let addresses = [("EDGE__LISTEN", address), ("EDGE__ADMIN", admin)];
    let mut command = cluster.command("proxy", state.path(), &addresses);
    command.env("PITWALL_LOG", "warn").stderr(File::create(&log).unwrap());
    let stranger = Process(command.spawn().unwrap());
    wait_until_unready(admin, &why).await;
    let logged = |log: &PathBuf| std::fs::read_to_string(log).unwrap();
    assert!(logged(&log).contains("there is no map yet") && logged(&log).contains(&why));
    let response = fetch(&format!("http://{address}{MULTIVARIANT_PATH}")).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = response.text().await.unwrap();
    assert!(!body.contains("seal.key"), "viewers see no file name: {body}");
    stranger.kill();

    // A standby with another key is not ready, since no edge could read what it would publish.
    let second = cluster.start_control();
    wait_until_unready(second.admin, &why).await;
    let (status, body) = readiness(control.admin).await.unwrap();
    assert_eq!((status, body.as_str()), (200, "ready: leads\n"));

    // Once that control plane leads, the edge serves its last map and reports itself as not ready.
    control.process.terminate();
    second.wait_until_leader().await;
    wait_until_unready(plays.admin, "sealed with another key").await;
    plays.assert_keeps_playing(1).await;
    // With both keys the edge is ready.
    cluster.set_seal_keys(&["k".repeat(40), key('x')]);
    let Edge { process, state, .. } = plays;
    process.kill();
    let again = cluster.start_edge(second.address, state);
    again.wait_until_playing().await;
    wait_until_ready(again.admin).await;
}
