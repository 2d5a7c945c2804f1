//! [`ViewerTracker`]: how many viewers each stream has on this edge. Their stalls and failures are
//! in [`playback_reports`].
//!
//! A playback is one viewer watching one stream, known by its polls of media playlists. It is over
//! after three target durations without a poll.

mod playback_reports;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use pitwall_upstream_map::{Store, StreamId};
use prometheus::IntGauge;
use tokio::time::Instant;

pub use self::playback_reports::{UpstreamReporter, has_cmcd_fields};
use crate::http::access::Grant;
use crate::http::client_address::ClientAddress;
use crate::http::limits::ClientNetwork;
use crate::shards::{SHARD_COUNT, Shards};

/// How often viewer counts and reports go to the control plane: well within the 30 s for which it
/// takes a count as current
/// ([`VIEWER_COUNT_TTL`](pitwall_upstream_map::feedback::VIEWER_COUNT_TTL)).
const FEEDBACK_INTERVAL: Duration = Duration::from_secs(5);

/// How many viewers of one stream a shard counts. All viewers of one client are in one shard, so
/// that a client which makes up identities adds no more than this to a count, and takes no more
/// memory.
const SHARD_MAX_VIEWERS: usize = 100_000 / SHARD_COUNT;

/// The viewers of each stream on this edge.
pub struct ViewerTracker {
    /// The viewers of all streams, by client.
    streams: Shards<HashMap<StreamId, StreamViewers>>,
    /// The streams that have viewers, with how many they had when they were last counted. It is
    /// locked before a shard or without one.
    watched: Mutex<BTreeMap<StreamId, usize>>,
    pub playback_reports: UpstreamReporter,
    store: Arc<dyn Store>,
    /// The viewers of all streams.
    viewers_gauge: IntGauge,
}

/// A stream's viewers, and when each of them expires without another poll.
type StreamViewers = HashMap<ViewerId, Instant>;

/// A viewer's identity as far as its requests tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewerId {
    /// Hash of what the viewer cannot make up: its playback token, or the network of its client.
    client: u64,
    /// Hash of that and of what the client says of the viewer: its `User-Agent`, and the address
    /// that a proxy which is not trusted forwards.
    viewer: u64,
}

impl ViewerId {
    /// The viewer to whom this playback token was issued, from whichever address it is presented,
    /// else the one at this address with this `User-Agent`.
    pub fn of_request(grant: &Grant, client: Option<ClientAddress>, headers: &HeaderMap) -> Self {
        if let Grant::Token(token) = grant {
            let token = hash_of(token);
            return Self { client: token, viewer: token };
        }
        let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        Self::of(client, agent.unwrap_or_default())
    }

    fn of(client: Option<ClientAddress>, agent: &[u8]) -> Self {
        let network = client.map(|client| ClientNetwork::from(client.address));
        let addresses = client.map(|client| (client.address, client.claimed_viewer));
        Self { client: hash_of(network), viewer: hash_of((addresses, agent)) }
    }
}

fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl ViewerTracker {
    pub fn new(store: Arc<dyn Store>, viewers_gauge: IntGauge) -> Self {
        let playback_reports = UpstreamReporter::new(store.clone());
        let (streams, watched) = (Shards::default(), Mutex::default());
        Self { streams, watched, playback_reports, store, viewers_gauge }
    }

    /// Records that a viewer polled a media playlist of a stream: its playback is over if no other
    /// poll follows within `timeout`.
    pub fn record_poll(&self, stream: &StreamId, viewer: ViewerId, timeout: Duration) {
        let expires_at = Instant::now() + timeout;
        let mut streams = self.streams.lock_shard_of_key(viewer.client);
        if let Some(viewers) = streams.get_mut(stream) {
            if viewers.len() < SHARD_MAX_VIEWERS || viewers.contains_key(&viewer) {
                viewers.insert(viewer, expires_at);
            }
            return;
        }
        streams.insert(stream.clone(), HashMap::from([(viewer, expires_at)]));
        drop(streams);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.insert(stream.clone(), 1).is_none() {
            self.viewers_gauge.inc();
            // A stream's first viewer is reported at once, as the control plane checks the sources
            // of a watched stream more often.
            self.store.feedback().set_local_viewers(stream, 1);
        }
    }

    /// Reports the viewer count of each stream every [`FEEDBACK_INTERVAL`], and once that a stream
    /// has no viewer left. Never returns.
    pub async fn run_feedback_loop(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(FEEDBACK_INTERVAL);
        loop {
            ticks.tick().await;
            self.playback_reports.flush();
            for (stream, viewers) in self.expire_and_count_viewers() {
                self.store.feedback().set_local_viewers(&stream, viewers);
            }
        }
    }

    /// Drops expired viewers and counts the rest of each stream. A stream without viewers is in the
    /// result once, with 0.
    fn expire_and_count_viewers(&self) -> BTreeMap<StreamId, usize> {
        let now = Instant::now();
        // Held throughout, so that a first viewer comes either before the count or after it.
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.values_mut().for_each(|viewers| *viewers = 0);
        for mut streams in self.streams.iter() {
            streams.retain(|stream, viewers| {
                viewers.retain(|_, expires_at| *expires_at > now);
                if !viewers.is_empty() {
                    *watched.entry(stream.clone()).or_default() += viewers.len();
                }
                !viewers.is_empty()
            });
        }
        let counts = watched.clone();
        watched.retain(|_, viewers| *viewers > 0);
        let total: usize = counts.values().sum();
        self.viewers_gauge.set(i64::try_from(total).unwrap_or(i64::MAX));
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use pitwall_upstream_map::MemoryStore;

    use super::*;

    fn viewer_tracker() -> (Arc<ViewerTracker>, Arc<MemoryStore>, StreamId) {
        let store = MemoryStore::new();
        let viewers = IntGauge::new("viewers", "Viewers.").unwrap();
        let stream = StreamId::of_feed("World feed").unwrap();
        (Arc::new(ViewerTracker::new(store.clone(), viewers)), store, stream)
    }

    fn viewer(last: u8, agent: &str) -> ViewerId {
        let address = IpAddr::from([192, 0, 2, last]);
        ViewerId::of(Some(ClientAddress { address, claimed_viewer: None }), agent.as_bytes())
    }

    /// A viewer of whom the proxy at 192.168.1.`proxy` says that it has this address.
    fn claimed_viewer(proxy: u8, viewer: u32) -> ViewerId {
        let (address, viewer) =
            (IpAddr::from([192, 168, 1, proxy]), IpAddr::from(viewer.to_be_bytes()));
        ViewerId::of(Some(ClientAddress { address, claimed_viewer: Some(viewer) }), b"a")
    }

    #[tokio::test(start_paused = true)]
    async fn playbacks_are_counted_while_they_poll() {
        let (tracker, store, stream) = viewer_tracker();
        let onboard = StreamId::of_feed("Onboard 44").unwrap();
        let feedback_loop = tokio::spawn(tracker.clone().run_feedback_loop());
        for (what, polls, seconds, expected) in [
            ("the first viewer is reported at once", vec![viewer(1, "a")], 0, Some(1)),
            ("two addresses", vec![viewer(1, "a"), viewer(2, "a")], 6, Some(2)),
            ("two players at one", vec![viewer(1, "a"), viewer(1, "b")], 6, Some(3)),
            ("two viewers stop polling", vec![viewer(1, "a")], 6, Some(2)),
            ("the last viewer stops polling", vec![], 15, None),
            ("a viewer returns", vec![viewer(1, "a")], 0, Some(1)),
        ] {
            for viewer in polls {
                tracker.record_poll(&stream, viewer, Duration::from_secs(12));
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            assert_eq!(
                store.feedback().viewers_by_stream().get(&stream).copied(),
                expected,
                "{what}"
            );
            assert_eq!(
                tracker.viewers_gauge.get(),
                expected.map_or(0, |n| i64::try_from(n).unwrap())
            );
        }
        tracker.record_poll(&onboard, viewer(3, "a"), Duration::from_secs(12));
        assert_eq!(tracker.viewers_gauge.get(), 2, "of both streams");
        feedback_loop.abort();
    }

    #[tokio::test]
    async fn viewers_behind_a_proxy_are_told_apart_up_to_a_limit() {
        for (what, viewers, expected) in [
            ("twenty", (0..20).map(|n| claimed_viewer(1, n)).collect::<Vec<_>>(), 20),
            (
                "twenty behind each of two proxies",
                (0..40).map(|n| claimed_viewer(u8::from(n < 20), n % 20)).collect(),
                40,
            ),
            (
                "forged addresses",
                (0..100_000).map(|n| claimed_viewer(1, n)).collect(),
                SHARD_MAX_VIEWERS,
            ),
            (
                "forged agents",
                (0..100_000).map(|n| viewer(1, &n.to_string())).collect(),
                SHARD_MAX_VIEWERS,
            ),
        ] {
            let (tracker, _, stream) = viewer_tracker();
            for viewer in viewers {
                tracker.record_poll(&stream, viewer, Duration::from_secs(12));
            }
            assert_eq!(tracker.expire_and_count_viewers()[&stream], expected, "{what}");
        }
    }
}
