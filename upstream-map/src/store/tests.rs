//! Tests against a real redis-server, which each test starts on a port of its own.

mod damage;
mod leading;
mod loss;
mod own_edge;
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
use super::{RedisAddress, RedisConfig, RedisStore, Store, StoreError, StoreSecrets};
use crate::documents::PublicDocument;
use crate::map::UpstreamMap;
use crate::stream::{
    Health, MultivariantTags, RequestProfile, RequestProfileId, Stream, StreamId, Upstream,
};

/// A map with one stream per feed.
pub(super) fn sample_map(version: u64, feeds: &[&str]) -> UpstreamMap {
    let mut map = UpstreamMap { version, ..UpstreamMap::default() };
    for feed in feeds {
        let id = StreamId::of_feed(feed).unwrap();
        let upstream = Upstream {
            source: "club".to_owned(),
            profile: RequestProfileId("club".to_owned()),
            generation: 1,
            playlist: format!("https://cdn.example.com/{id}.m3u8?token=t").parse().unwrap(),
            expires_at: Timestamp::from_second(2_000_000_000).ok(),
            health: Health::Healthy,
            score: 0.5,
            variables: String::new(),
            renditions: Vec::new(),
            multivariant: MultivariantTags::default(),
        };
        let explanation = PublicDocument::from_text(format!("{{\"id\":\"{id}\"}}"));
        let feed = (*feed).to_owned();
        let stream = Stream {
            id: id.clone(),
            feed,
            switched: 0,
            pin: None,
            upstreams: vec![upstream],
            outage: None,
            position: (0, 0),
            public: PublicDocument::default(),
            explanation,
        };
        map.streams.insert(id, Arc::new(stream));
    }
    let headers = vec![("Cookie".to_owned(), "secret-cookie".to_owned())];
    let profile = RequestProfile { headers, ..RequestProfile::default() };
    map.profiles.insert(RequestProfileId("club".to_owned()), Arc::new(profile));
    map.documents.status = PublicDocument::from_text(format!("{{\"version\":{version}}}"));
    map.documents.calendar = PublicDocument::from_text("BEGIN:VCALENDAR");
    map
}

/// A process with a store, as other processes see it.
struct StoreProcess {
    store: Arc<RedisStore>,
    registry: Registry,
    tasks: Vec<JoinHandle<()>>,
    state: Arc<tempfile::TempDir>,
}

const SEAL_KEY_BYTE: u8 = 1;
const LEASE_DURATION: Duration = Duration::from_millis(900);

impl StoreProcess {
    fn start(server: &RedisServer) -> Self {
        Self::with_keys(server, (SEAL_KEY_BYTE, None), Arc::new(tempfile::tempdir().unwrap()))
    }

    fn with_keys(
        server: &RedisServer,
        keys: (u8, Option<u8>),
        state: Arc<tempfile::TempDir>,
    ) -> Self {
        Self::with_address(RedisAddress::parse(&server.url(), &[]).unwrap(), keys, state)
    }

    fn with_address(
        address: RedisAddress,
        keys: (u8, Option<u8>),
        state: Arc<tempfile::TempDir>,
    ) -> Self {
        Self::with_config(address, keys, state, false)
    }

    /// A process with an edge and a control plane.
    fn with_own_edge(server: &RedisServer, state: Arc<tempfile::TempDir>) -> Self {
        let address = RedisAddress::parse(&server.url(), &[]).unwrap();
        Self::with_config(address, (SEAL_KEY_BYTE, None), state, true).start_sync().start_election()
    }

    fn with_config(
        address: RedisAddress,
        (key, previous): (u8, Option<u8>),
        state: Arc<tempfile::TempDir>,
        has_own_edge: bool,
    ) -> Self {
        let registry = Registry::new();
        let config = RedisConfig {
            address,
            prefix: "test".to_owned(),
            keys: StoreSecrets { current: [key; 32], previous: previous.map(|key| [key; 32]) },
            key_file: "[access] seal_key_file /run/seal.key".to_owned(),
            state_dir: state.path().to_owned().into(),
            lease_duration: LEASE_DURATION,
            check_interval: Duration::from_millis(300),
            has_own_edge,
        };
        let store = RedisStore::new(config, &registry).unwrap();
        Self { store, registry, tasks: Vec::new(), state }
    }

    fn edge(server: &RedisServer) -> Self {
        Self::start(server).start_sync()
    }

    fn start_sync(mut self) -> Self {
        self.tasks.push(tokio::spawn(self.store.clone().run_sync(std::future::pending())));
        self
    }

    /// The address at which this process takes commands.
    fn command_address(&self) -> Option<String> {
        Some(format!("{}:8081", self.state.path().display()))
    }

    fn start_election(mut self) -> Self {
        let command_address = self.command_address();
        self.tasks.push(tokio::spawn(
            self.store.clone().run_leader_election(command_address, std::future::pending()),
        ));
        self
    }

    /// A control plane that is the leader.
    async fn leader(server: &RedisServer) -> Self {
        let process = Self::start(server).start_sync().start_election();
        process.wait_for_leadership().await;
        process
    }

    async fn wait_for_leadership(&self) {
        let mut fence = self.store.subscribe_fence();
        let is_leader = fence.wait_for(Option::is_some);
        tokio::time::timeout(Duration::from_secs(20), is_leader).await.unwrap().unwrap();
    }

    /// Stops all tasks, as SIGKILL would.
    fn kill(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    /// Publishes a map, retrying until it succeeds, as the engine does.
    async fn publish(&self, version: u64, feeds: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = self.store.publish(sample_map(version, feeds)).await {
            assert!(Instant::now() < deadline, "version {version} is not published: {error}");
            if let StoreError::Outdated { current, .. } = error {
                assert_eq!(current, version, "another process published this version");
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn version(&self) -> u64 {
        self.store.map().version
    }

    async fn wait_for_version(&self, version: u64) {
        eventually(&format!("version {version}"), || self.version() == version).await;
    }

    /// Asserts that the current map is the sample map of this version.
    fn assert_map(&self, version: u64, feeds: &[&str]) {
        let json = |map: &UpstreamMap| serde_json::to_value(map).unwrap();
        assert_eq!(json(&self.store.map()), json(&sample_map(version, feeds)));
    }

    fn counter_value(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.into_iter().flat_map(|family| family.get_metric());
        let matching =
            metrics.filter(|metric| metric.get_label().iter().any(|pair| pair.value() == label));
        matching.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// Waits for the map file, which is written after the map is installed: a process killed in
    /// between has no file.
    async fn wait_for_map_file(&self) -> PathBuf {
        let file = self.state_dir().join("map");
        eventually("the map file is on disk", || file.exists()).await;
        file
    }

    fn state_dir(&self) -> &Path {
        self.state.path()
    }
}

impl Drop for StoreProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not in 20 s");
        sleep(Duration::from_millis(10)).await;
    }
}
