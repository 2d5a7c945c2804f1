//! From a control plane that has something new to every edge that knows it.
//!
//! The edges' stores all run in this process and share its cores, where each has a machine of its
//! own otherwise; they also write the map to disk as edges do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pitwall_upstream_map::documents::Document;
use pitwall_upstream_map::{
    Health, Profile, ProfileId, RedisAddress, RedisConfig, RedisStore, Store, StoreKeys, Stream,
    StreamId, Upstream, UpstreamMap,
};
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::redis::Redis;
use crate::peers::Skipped;
use crate::record::{Entry, Record};
use crate::scenario::Terms;
use crate::stage::Stage;

/// Edges, and streams in the map.
const SETTINGS: [(usize, usize); 4] = [(100, 100), (1_000, 100), (100, 1_000), (10, 10_000)];

/// Published in each repetition, a token of one stream renewed each time.
const CHANGES: usize = 20;

const PATIENCE: Duration = Duration::from_secs(60);

/// Delays in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Publication {
    pub(crate) edges: usize,
    pub(crate) streams: usize,
    /// Until a newcomer has all of it.
    pub(crate) boot: f64,
    /// Until the writer knows that it is written.
    pub(crate) written_p99: f64,
    /// Until an edge has it.
    pub(crate) reached_p50: f64,
    pub(crate) reached_p99: f64,
    pub(crate) reached_most: f64,
    /// Of the map in Redis.
    pub(crate) bytes: u64,
}

impl Entry for Publication {
    fn replaces(&self, older: &Self) -> bool {
        (self.edges, self.streams) == (older.edges, older.streams)
    }

    fn contender(&self) -> &str {
        "pitwall"
    }
}

pub(crate) fn run(stage: &Stage, terms: &Terms) -> anyhow::Result<Record<Publication>> {
    let mut record = Record::new();
    for (edges, streams) in SETTINGS {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(stage.cores.others().len())
            .enable_all()
            .build()?;
        match runtime.block_on(one(stage, edges, streams, terms.repetitions)) {
            Ok(publication) => record.results.push(publication),
            Err(error) => record.skipped.push(Skipped {
                name: "pitwall".to_owned(),
                reason: format!("{edges} edges, {streams} streams: {error:#}"),
            }),
        }
    }
    Ok(record)
}

async fn one(
    stage: &Stage,
    edges: usize,
    streams: usize,
    repetitions: usize,
) -> anyhow::Result<Publication> {
    let room = stage.room("store")?;
    let redis = Redis::start(stage, &room)?;
    let leader = store(&redis, &room.join("leader"))?;
    tokio::spawn(leader.clone().follow(std::future::pending()));
    tokio::spawn(leader.clone().lead(None, std::future::pending()));
    let mut fence = leader.fence();
    tokio::time::timeout(PATIENCE, fence.wait_for(Option::is_some))
        .await
        .context("no leader")??;
    let mut map = map(streams)?;
    leader.publish(map.clone()).await?;
    let (told, mut seen) = mpsc::unbounded_channel();
    for edge in 0..edges {
        let store = store(&redis, &room.join(format!("edge-{edge}")))?;
        let (told, mut changes) = (told.clone(), store.changes());
        tokio::spawn(store.clone().follow(std::future::pending()));
        tokio::spawn(async move {
            // The store is dropped, and with it the edge, when nobody listens.
            while changes.changed().await.is_ok() {
                let version = *changes.borrow_and_update();
                if told.send((version, Instant::now())).is_err() {
                    return;
                }
            }
        });
    }
    all(&mut seen, map.version, edges).await?;
    let (mut written, mut reached) = (Vec::new(), Vec::new());
    let ids: Vec<StreamId> = map.streams.keys().cloned().collect();
    for change in 0..CHANGES * repetitions {
        map.version += 1;
        if let Some(stream) = ids.get(change % ids.len()).and_then(|id| map.streams.get_mut(id)) {
            for upstream in &mut Arc::make_mut(stream).upstreams {
                upstream.generation += 1;
                upstream.playlist.set_query(Some(&format!("token={}", map.version)));
            }
        }
        let next = map.clone();
        let began = Instant::now();
        leader.publish(next).await?;
        written.push(began.elapsed());
        let seen = all(&mut seen, map.version, edges).await?;
        reached.extend(seen.into_iter().map(|when| when.saturating_duration_since(began)));
    }
    let newcomer = store(&redis, &room.join("newcomer"))?;
    let (began, mut changes) = (Instant::now(), newcomer.changes());
    tokio::spawn(newcomer.clone().follow(std::future::pending()));
    let boots = changes.wait_for(|version| *version == map.version);
    tokio::time::timeout(PATIENCE, boots).await.context("the newcomer")??;
    let boot = milliseconds(began.elapsed());
    written.sort_unstable();
    reached.sort_unstable();
    Ok(Publication {
        edges,
        streams,
        boot,
        written_p99: quantile(&written, 0.99),
        reached_p50: quantile(&reached, 0.5),
        reached_p99: quantile(&reached, 0.99),
        reached_most: quantile(&reached, 1.0),
        bytes: redis.bytes_of_the_map()?,
    })
}

/// When each of that many saw this version.
async fn all(
    seen: &mut mpsc::UnboundedReceiver<(u64, Instant)>,
    version: u64,
    edges: usize,
) -> anyhow::Result<Vec<Instant>> {
    let mut when = Vec::with_capacity(edges);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while when.len() < edges {
        let Ok(next) = tokio::time::timeout_at(deadline, seen.recv()).await else {
            bail!("version {version} has reached {} of {edges} edges", when.len());
        };
        when.extend(next.filter(|(seen, _)| *seen == version).map(|(_, when)| when));
    }
    Ok(when)
}

fn store(redis: &Redis, state: &Path) -> anyhow::Result<Arc<RedisStore>> {
    let config = RedisConfig {
        address: RedisAddress::parse(&format!("redis://{}", redis.address), &[])?,
        prefix: "bench".to_owned(),
        keys: StoreKeys { current: [7; 32], previous: None },
        key_file: "the bench's key".to_owned(),
        state_dir: state.to_owned(),
        lease: RedisConfig::LEASE,
        check_every: RedisConfig::CHECK_EVERY,
    };
    Ok(RedisStore::new(config, &Registry::new())?)
}

/// Streams with two sources each, as a wall of feeds has them.
fn map(streams: usize) -> anyhow::Result<UpstreamMap> {
    let mut map = UpstreamMap { version: 1, ..UpstreamMap::default() };
    for source in ["club", "backup"] {
        map.profiles.insert(ProfileId(source.to_owned()), Arc::new(Profile::default()));
    }
    for number in 0..streams {
        let feed = format!("Feed {number}");
        let id = StreamId::of_feed(&feed).context("a feed without a name")?;
        let upstreams = ["club", "backup"].into_iter().map(|source| {
            anyhow::Ok(Upstream {
                source: source.to_owned(),
                profile: ProfileId(source.to_owned()),
                generation: 1,
                playlist: format!("https://{source}.example.com/{id}/master.m3u8?token=0")
                    .parse()?,
                expires_at: None,
                health: Health::Healthy,
                score: 0.5,
                variables: String::new(),
                renditions: Vec::new(),
            })
        });
        let upstreams = upstreams.collect::<Result<_, _>>()?;
        let explanation = Document::text(format!("{{\"id\":\"{id}\"}}"));
        map.documents.explain.insert(id.clone(), explanation);
        let stream =
            Stream { id: id.clone(), feed, switched: 0, pin: None, upstreams, outage: None };
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
