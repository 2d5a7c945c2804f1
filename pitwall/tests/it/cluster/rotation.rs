//! Seal keys are rotated while edges and control planes start again one by one.

use std::fs::File;
use std::path::PathBuf;

use super::*;

/// Any text that is long enough.
fn key(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// What each edge links to plays on every other, and the playlist goes on.
async fn take_each_others_links(edges: &[Edge], when: &str) {
    for one in edges {
        let text = fetch(&one.url(MEDIA)).await.unwrap().text().await.unwrap();
        let segment = text.lines().rfind(|line| line.starts_with("/live/")).unwrap().to_owned();
        eventually(&format!("{when}: there is a segment after {segment}"), || async {
            let text = fetch(&one.url(MEDIA)).await.ok()?.text().await.ok()?;
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

/// What an admin listener says of whether its process is ready.
async fn readiness(admin: SocketAddr) -> Option<(u16, String)> {
    let answer = fetch(&format!("http://{admin}/readyz")).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

async fn is_ready(admin: SocketAddr) {
    eventually("it is ready", || async {
        readiness(admin).await.filter(|(status, _)| *status == 200)
    })
    .await;
}

async fn is_unready(admin: SocketAddr, why: &str) {
    eventually(why, || async {
        readiness(admin).await.filter(|(status, said)| *status == 503 && said.contains(why))
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
    let (source, _upstream) = upstream().await;
    let (old, new) = (key('o'), key('n'));
    let cluster = Cluster::of(source);
    cluster.set_seal_keys(std::slice::from_ref(&old));
    let (cluster, _redis, mut control) = cluster.led().await;
    let mut edges =
        vec![cluster.edge(control.address, empty()), cluster.edge(control.address, empty())];
    for edge in &edges {
        edge.plays().await;
    }
    for keys in [vec![old.clone(), new.clone()], vec![new.clone(), old], vec![new]] {
        let step: String = keys.iter().filter_map(|key| key.chars().next()).collect();
        cluster.set_seal_keys(&keys);
        for _ in 0..2 {
            // One at a time, as behind a load balancer; it starts from its own disk.
            let Edge { process, state, .. } = edges.remove(0);
            process.kill();
            let edge = cluster.edge(control.address, state);
            edge.plays().await;
            is_ready(edge.admin).await;
            edges.push(edge);
            take_each_others_links(&edges, &format!("{step}: an edge")).await;
        }
        let before = map_version(&edges[0]).await.max(map_version(&edges[1]).await);
        control.process.terminate();
        control = cluster.control();
        control.leads().await;
        for edge in &edges {
            eventually("it has a map of the new leader", || async {
                (map_version(edge).await > before).then_some(())
            })
            .await;
            edge.plays().await;
            is_ready(edge.admin).await;
        }
        take_each_others_links(&edges, &format!("{step}: the control plane")).await;
    }
}

#[tokio::test]
async fn who_has_another_key_is_not_ready_and_says_which() {
    let (source, _upstream) = upstream().await;
    let (cluster, _redis, control) = Cluster::of(source).led().await;
    let plays = cluster.edge(control.address, empty());
    plays.plays().await;
    cluster.set_seal_keys(&[key('x')]);
    let file = cluster.directory.path().join("seal.key");
    let why = format!("sealed with another key than [access] seal_key_file {}", file.display());

    let (state, log) = (empty(), cluster.directory.path().join("log"));
    let (address, admin) = (free(), free());
    let addresses = [("EDGE__LISTEN", address), ("EDGE__ADMIN", admin)];
    let mut command = cluster.command("proxy", state.path(), &addresses);
    command.env("PITWALL_LOG", "warn").stderr(File::create(&log).unwrap());
    let stranger = Process(command.spawn().unwrap());
    is_unready(admin, &why).await;
    let logged = |log: &PathBuf| std::fs::read_to_string(log).unwrap();
    assert!(logged(&log).contains("there is no map yet") && logged(&log).contains(&why));
    let answer = fetch(&format!("http://{address}{STREAM}")).await.unwrap();
    assert_eq!(answer.status(), 503);
    let said = answer.text().await.unwrap();
    assert!(!said.contains("seal.key"), "viewers are told of no file: {said}");
    stranger.kill();

    // A control plane that stands by would write what nobody can read.
    let second = cluster.control();
    is_unready(second.admin, &why).await;
    let (status, said) = readiness(control.admin).await.unwrap();
    assert_eq!((status, said.as_str()), (200, "ready: leads\n"));

    // It leads: the edge goes on with the map that it has, and takes no more viewers.
    control.process.terminate();
    second.leads().await;
    is_unready(plays.admin, "sealed with another key").await;
    plays.goes_on(1).await;
    // With both keys it is ready.
    cluster.set_seal_keys(&["k".repeat(40), key('x')]);
    let Edge { process, state, .. } = plays;
    process.kill();
    let again = cluster.edge(second.address, state);
    again.plays().await;
    is_ready(again.admin).await;
}
