//! [`ViewerTracker`]: how many viewers each stream has on this edge. Their stalls and failures are
//! in [`playback_reports`].
//!
//! A playback is one viewer watching one stream, known by its polls of media playlists. It is over
//! after three target durations without a poll.

mod playback_reports;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use pitwall_upstream_map::{Store, StreamId};
use prometheus::IntGauge;
use tokio::time::Instant;

pub use self::playback_reports::{PlaybackReports, has_cmcd_fields};
use crate::http::access::Grant;
use crate::shards::{SHARD_COUNT, Shards};

/// How often viewer counts and reports go to the control plane: well within the 30 s for which it
/// takes a count as current
/// ([`VIEWER_COUNT_TTL`](pitwall_upstream_map::feedback::VIEWER_COUNT_TTL)).
const FEEDBACK_INTERVAL: Duration = Duration::from_secs(5);

/// How many viewers of one stream this edge counts: a client that makes up identities takes no more
/// memory than this.
const STREAM_MAX_VIEWERS: usize = 100_000;

/// The viewers of each stream on this edge.
pub struct ViewerTracker {
    /// The viewers of all streams, by viewer.
    streams: Shards<HashMap<StreamId, StreamViewers>>,
    /// The streams that have viewers, with how many they had when they were last counted. It is
    /// locked before a shard or without one.
    watched: Mutex<BTreeMap<StreamId, usize>>,
    pub playback_reports: PlaybackReports,
    store: Arc<dyn Store>,
    /// The viewers of all streams.
    viewers_gauge: IntGauge,
}

/// A stream's viewers, and when each of them expires without another poll.
type StreamViewers = HashMap<ViewerId, Instant>;

/// A viewer's identity as far as its requests tell it: a hash of its playback token, or of its
/// address and user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ViewerId(u64);

impl ViewerId {
    /// The viewer to whom this playback token was issued, from whichever address it is presented,
    /// else the one at this address with this `User-Agent`.
    pub fn of_request(grant: &Grant, address: Option<IpAddr>, headers: &HeaderMap) -> Self {
        if let Grant::Token(token) = grant {
            return Self::of(None, token.as_bytes());
        }
        let agent = headers.get(header::USER_AGENT);
        Self::of(address, agent.map(HeaderValue::as_bytes).unwrap_or_default())
    }

    fn of(address: Option<IpAddr>, agent: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        match address {
            Some(IpAddr::V4(v4)) => hasher.update(&[4]).update(&v4.octets()),
            Some(IpAddr::V6(v6)) => hasher.update(&[6]).update(&v6.octets()),
            None => hasher.update(&[0]),
        };
        hasher.update(agent);
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl ViewerTracker {
    pub fn new(store: Arc<dyn Store>, viewers_gauge: IntGauge) -> Self {
        let playback_reports = PlaybackReports::new(store.clone());
        let (streams, watched) = (Shards::default(), Mutex::default());
        Self { streams, watched, playback_reports, store, viewers_gauge }
    }

    /// Records that a viewer polled a media playlist of a stream: its playback is over if no other
    /// poll follows within `timeout`.
    pub fn record_poll(&self, stream: &StreamId, viewer: ViewerId, timeout: Duration) {
        let expires_at = Instant::now() + timeout;
        let mut streams = self.streams.of_key(viewer);
        if let Some(viewers) = streams.get_mut(stream) {
            if viewers.len() < STREAM_MAX_VIEWERS / SHARD_COUNT || viewers.contains_key(&viewer) {
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
            for (stream, viewers) in self.count_viewers() {
                self.store.feedback().set_local_viewers(&stream, viewers);
            }
        }
    }

    /// Drops expired viewers and counts the rest of each stream. A stream without viewers is in the
    /// result once, with 0.
    fn count_viewers(&self) -> BTreeMap<StreamId, usize> {
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
    use pitwall_upstream_map::MemoryStore;

    use super::*;

    fn viewer_tracker() -> (Arc<ViewerTracker>, Arc<MemoryStore>, StreamId) {
        let store = MemoryStore::new();
        let viewers = IntGauge::new("viewers", "Viewers.").unwrap();
        let stream = StreamId::of_feed("World feed").unwrap();
        (Arc::new(ViewerTracker::new(store.clone(), viewers)), store, stream)
    }

    fn viewer(last: u8, agent: &str) -> ViewerId {
        ViewerId::of(Some(IpAddr::from([192, 0, 2, last])), agent.as_bytes())
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
}
