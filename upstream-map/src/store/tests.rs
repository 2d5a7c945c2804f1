//! Against a real redis-server, started by each test on a port of its own.

mod damage;
mod leading;
mod loss;
mod reading;
mod sentinels;
mod server;
mod splices;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus::Registry;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::server::RedisServer;
use super::{RedisAddress, RedisConfig, RedisStore, Store, StoreError, StoreKeys};
use crate::documents::Document;
use crate::map::{Health, Profile, ProfileId, Stream, StreamId, Upstream, UpstreamMap};

/// A map of these feeds.
pub(super) fn sample(version: u64, feeds: &[&str]) -> UpstreamMap {
    let mut map = UpstreamMap { version, ..UpstreamMap::default() };
    for feed in feeds {
        let id = StreamId::of_feed(feed).unwrap();
        let upstream = Upstream {
            source: "club".to_owned(),
            profile: ProfileId("club".to_owned()),
            generation: 1,
            playlist: format!("https://cdn.example.com/{id}.m3u8?token=t").parse().unwrap(),
            expires_at: Timestamp::from_second(2_000_000_000).ok(),
            health: Health::Healthy,
            score: 0.5,
            variables: String::new(),
            renditions: Vec::new(),
        };
        let explanation = Document::text(format!("{{\"id\":\"{id}\"}}"));
        map.documents.explain.insert(id.clone(), explanation);
        let feed = (*feed).to_owned();
        let stream = Stream {
            id: id.clone(),
            feed,
            switched: 0,
            pin: None,
            upstreams: vec![upstream],
            outage: None,
        };
        map.streams.insert(id, Arc::new(stream));
    }
    let headers = vec![("Cookie".to_owned(), "secret-cookie".to_owned())];
    let profile = Profile { headers, ..Profile::default() };
    map.profiles.insert(ProfileId("club".to_owned()), Arc::new(profile));
    map.documents.status = Document::text(format!("{{\"version\":{version}}}"));
    map.documents.calendar = Document::text("BEGIN:VCALENDAR");
    map
}

/// A process with a store, as far as the others can tell.
struct Process {
    store: Arc<RedisStore>,
    registry: Registry,
    tasks: Vec<JoinHandle<()>>,
    state: Arc<tempfile::TempDir>,
}

const KEY: u8 = 1;
const LEASE: Duration = Duration::from_millis(900);

impl Process {
    fn on(server: &RedisServer) -> Self {
        Self::with(server, (KEY, None), Arc::new(tempfile::tempdir().unwrap()))
    }

    fn with(server: &RedisServer, keys: (u8, Option<u8>), state: Arc<tempfile::TempDir>) -> Self {
        Self::at(RedisAddress::parse(&server.url(), &[]).unwrap(), keys, state)
    }

    fn at(
        address: RedisAddress,
        (key, previous): (u8, Option<u8>),
        state: Arc<tempfile::TempDir>,
    ) -> Self {
        let registry = Registry::new();
        let config = RedisConfig {
            address,
            prefix: "test".to_owned(),
            keys: StoreKeys { current: [key; 32], previous: previous.map(|key| [key; 32]) },
            key_file: "[access] seal_key_file /run/seal.key".to_owned(),
            state_dir: state.path().to_owned(),
            lease: LEASE,
            check_every: Duration::from_millis(300),
        };
        let store = RedisStore::new(config, &registry).unwrap();
        Self { store, registry, tasks: Vec::new(), state }
    }

    fn edge(server: &RedisServer) -> Self {
        Self::on(server).following()
    }

    fn following(mut self) -> Self {
        self.tasks.push(tokio::spawn(self.store.clone().follow(std::future::pending())));
        self
    }

    /// What this one says of where it is.
    fn place(&self) -> Option<String> {
        Some(format!("{}:8081", self.state.path().display()))
    }

    fn leading(mut self) -> Self {
        let place = self.place();
        self.tasks.push(tokio::spawn(self.store.clone().lead(place, std::future::pending())));
        self
    }

    /// A control plane that leads.
    async fn leader(server: &RedisServer) -> Self {
        let process = Self::on(server).following().leading();
        process.leads().await;
        process
    }

    async fn leads(&self) {
        let mut fence = self.store.fence();
        let leads = fence.wait_for(Option::is_some);
        tokio::time::timeout(Duration::from_secs(20), leads).await.unwrap().unwrap();
    }

    /// As after SIGKILL.
    fn kill(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    /// Until it is there: the engine too tries again.
    async fn publish(&self, version: u64, feeds: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = self.store.publish(sample(version, feeds)).await {
            assert!(Instant::now() < deadline, "version {version} is not published: {error}");
            if let StoreError::Outdated { current, .. } = error {
                assert_eq!(current, version, "somebody else's");
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn version(&self) -> u64 {
        self.store.current().version
    }

    async fn reaches(&self, version: u64) {
        eventually(&format!("version {version}"), || self.version() == version).await;
    }

    /// All of it, without what time does to it.
    fn holds(&self, version: u64, feeds: &[&str]) {
        let json = |map: &UpstreamMap| serde_json::to_value(map).unwrap();
        assert_eq!(json(&self.store.current()), json(&sample(version, feeds)));
    }

    fn counted(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.into_iter().flat_map(|family| family.get_metric());
        let ours =
            metrics.filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label));
        ours.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// The file is written after the map is known: a process killed in between has none.
    async fn is_on_disk(&self) -> PathBuf {
        let file = self.state().join("map");
        eventually("it is on disk", || file.exists()).await;
        file
    }

    fn state(&self) -> &Path {
        self.state.path()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: not in 20 s");
        sleep(Duration::from_millis(10)).await;
    }
}
