//! The time from a control plane's publication of a changed upstream map until all edges have it.
//!
//! All edges' stores run in this process and share its cores, whereas real edges have a machine
//! each. The stores also write the map to disk, as edges do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pitwall_upstream_map::documents::PublicDocument;
use pitwall_upstream_map::{
    Health, MultivariantTags, RedisAddress, RedisConfig, RedisStore, RequestProfile,
    RequestProfileId, Store, StoreSecrets, Stream, StreamId, Upstream, UpstreamMap,
};
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::redis::RedisServer;
use crate::peers::SkippedContender;
use crate::record::{RecordEntry, ScenarioRecord};
use crate::scenario::ScenarioOptions;
use crate::testbed::Testbed;

/// Numbers of edges and of streams in the map.
const EDGE_AND_STREAM_COUNTS: [(usize, usize); 4] =
    [(100, 100), (1_000, 100), (100, 1_000), (10, 10_000)];

/// Changes published in each repetition; each renews the token of one stream.
const CHANGES_PER_REPETITION: usize = 20;

const PROPAGATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Propagation delays in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PublishResult {
    pub(crate) edges: usize,
    pub(crate) streams: usize,
    /// Until a newly started edge has the whole map.
    pub(crate) boot: f64,
    /// Until the publishing control plane knows that the change is written.
    pub(crate) written_p99: f64,
    /// Until an edge has the change.
    pub(crate) reached_p50: f64,
    pub(crate) reached_p99: f64,
    pub(crate) reached_most: f64,
    /// Memory of the map in Redis, in bytes.
    pub(crate) bytes: u64,
}

impl RecordEntry for PublishResult {
    fn supersedes(&self, older: &Self) -> bool {
        (self.edges, self.streams) == (older.edges, older.streams)
    }

    fn contender(&self) -> &str {
        "pitwall"
    }
}

pub(crate) fn run(
    testbed: &Testbed,
    options: &ScenarioOptions,
) -> anyhow::Result<ScenarioRecord<PublishResult>> {
    let mut record = ScenarioRecord::new();
    for (edges, streams) in EDGE_AND_STREAM_COUNTS {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(testbed.cores.harness_cores().len())
            .enable_all()
            .build()?;
        match runtime.block_on(measure_publication(testbed, edges, streams, options.repetitions)) {
            Ok(publication) => record.results.push(publication),
            Err(error) => record.skipped.push(SkippedContender {
                name: "pitwall".to_owned(),
                reason: format!("{edges} edges, {streams} streams: {error:#}"),
            }),
        }
    }
    Ok(record)
}

async fn measure_publication(
    testbed: &Testbed,
    edges: usize,
    streams: usize,
    repetitions: usize,
) -> anyhow::Result<PublishResult> {
    let directory = testbed.create_contender_directory("store")?;
    let redis = RedisServer::start(testbed, &directory)?;
    let leader = open_store(&redis, &directory.join("leader"))?;
    tokio::spawn(leader.clone().run_sync(std::future::pending()));
    tokio::spawn(leader.clone().run_leader_election(None, std::future::pending()));
    let mut fence = leader.subscribe_fence();
    tokio::time::timeout(PROPAGATION_TIMEOUT, fence.wait_for(Option::is_some))
        .await
        .context("no leader")??;
    let mut map = build_map(streams)?;
    leader.publish(map.clone()).await?;
    let (version_sender, mut versions) = mpsc::unbounded_channel();
    for edge in 0..edges {
        let store = open_store(&redis, &directory.join(format!("edge-{edge}")))?;
        let (sender, mut changes) = (version_sender.clone(), store.subscribe_versions());
        tokio::spawn(store.clone().run_sync(std::future::pending()));
        tokio::spawn(async move {
            // The task, and with it the store, ends when the receiver is dropped.
            while changes.changed().await.is_ok() {
                let version = *changes.borrow_and_update();
                if sender.send((version, Instant::now())).is_err() {
                    return;
                }
            }
        });
    }
    wait_for_edges(&mut versions, map.version, edges).await?;
    let (mut written, mut reached) = (Vec::new(), Vec::new());
    let ids: Vec<StreamId> = map.streams.keys().cloned().collect();
    for change in 0..CHANGES_PER_REPETITION * repetitions {
        map.version += 1;
        if let Some(stream) = ids.get(change % ids.len()).and_then(|id| map.streams.get_mut(id)) {
            for upstream in &mut Arc::make_mut(stream).upstreams {
                upstream.generation += 1;
                upstream.playlist.set_query(Some(&format!("token={}", map.version)));
            }
        }
        let next_map = map.clone();
        let began = Instant::now();
        leader.publish(next_map).await?;
        written.push(began.elapsed());
        let arrivals = wait_for_edges(&mut versions, map.version, edges).await?;
        reached
            .extend(arrivals.into_iter().map(|arrival| arrival.saturating_duration_since(began)));
    }
    let newcomer = open_store(&redis, &directory.join("newcomer"))?;
    let (began, mut changes) = (Instant::now(), newcomer.subscribe_versions());
    tokio::spawn(newcomer.clone().run_sync(std::future::pending()));
    let is_booted = changes.wait_for(|version| *version == map.version);
    tokio::time::timeout(PROPAGATION_TIMEOUT, is_booted).await.context("the newcomer")??;
    let boot = milliseconds(began.elapsed());
    written.sort_unstable();
    reached.sort_unstable();
    Ok(PublishResult {
        edges,
        streams,
        boot,
        written_p99: quantile(&written, 0.99),
        reached_p50: quantile(&reached, 0.5),
        reached_p99: quantile(&reached, 0.99),
        reached_most: quantile(&reached, 1.0),
        bytes: redis.map_memory_bytes()?,
    })
}

/// The times at which so many edges received this version.
async fn wait_for_edges(
    versions: &mut mpsc::UnboundedReceiver<(u64, Instant)>,
    version: u64,
    edges: usize,
) -> anyhow::Result<Vec<Instant>> {
    let mut arrivals = Vec::with_capacity(edges);
    let deadline = tokio::time::Instant::now() + PROPAGATION_TIMEOUT;
    while arrivals.len() < edges {
        let Ok(next) = tokio::time::timeout_at(deadline, versions.recv()).await else {
            bail!("version {version} has reached {} of {edges} edges", arrivals.len());
        };
        arrivals.extend(next.filter(|(received, _)| *received == version).map(|(_, at)| at));
    }
    Ok(arrivals)
}

fn open_store(redis: &RedisServer, state: &Path) -> anyhow::Result<Arc<RedisStore>> {
    let config = RedisConfig {
        address: RedisAddress::parse(&format!("redis://{}", redis.address), &[])?,
        prefix: "bench".to_owned(),
        keys: StoreSecrets { current: [7; 32], previous: None },
        key_file: "the bench's key".to_owned(),
        state_dir: state.to_owned().into(),
        lease_duration: RedisConfig::LEASE_DURATION,
        check_interval: RedisConfig::CHECK_INTERVAL,
        has_own_edge: false,
    };
    Ok(RedisStore::new(config, &Registry::new())?)
}

/// A map of streams with two sources each.
fn build_map(streams: usize) -> anyhow::Result<UpstreamMap> {
    let mut map = UpstreamMap { version: 1, ..UpstreamMap::default() };
    for source in ["club", "backup"] {
        map.profiles
            .insert(RequestProfileId(source.to_owned()), Arc::new(RequestProfile::default()));
    }
    for number in 0..streams {
        let feed = format!("Feed {number}");
        let id = StreamId::of_feed(&feed).context("a feed without a name")?;
        let upstreams = ["club", "backup"].into_iter().map(|source| {
            anyhow::Ok(Upstream {
                source: source.to_owned(),
                profile: RequestProfileId(source.to_owned()),
                generation: 1,
                playlist: format!("https://{source}.example.com/{id}/master.m3u8?token=0")
                    .parse()?,
                expires_at: None,
                health: Health::Healthy,
                score: 0.5,
                variables: String::new(),
                renditions: Vec::new(),
                multivariant: MultivariantTags::default(),
            })
        });
        let upstreams = upstreams.collect::<Result<_, _>>()?;
        let explanation = PublicDocument::from_text(format!("{{\"id\":\"{id}\"}}"));
        let stream = Stream {
            id: id.clone(),
            feed,
            switched: 0,
            pin: None,
            upstreams,
            outage: None,
            position: (0, number),
            public: PublicDocument::default(),
            explanation,
        };
        map.streams.insert(id, Arc::new(stream));
    }
    Ok(map)
}

fn quantile(sorted: &[Duration], quantile: f64) -> f64 {
    let at = ((sorted.len() as f64 * quantile).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().map_or(f64::NAN, milliseconds)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_one_that_was_measured() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        for (at, expected) in [(0.5, 100.0), (0.99, 198.0), (1.0, 200.0), (0.0, 1.0)] {
            assert!((quantile(&sorted, at) - expected).abs() < 1e-9, "{at}");
        }
        assert!(quantile(&[], 0.5).is_nan());
    }
}
