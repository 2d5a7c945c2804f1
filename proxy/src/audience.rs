//! Who watches what. What went wrong for them is with their [`complaints`].
//!
//! A playback is one viewer watching one stream, seen by its polls. It is over after three
//! target durations of silence.

mod complaints;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pitwall_upstream_map::{Store, StreamId};
use prometheus::IntGauge;
use tokio::time::Instant;

pub use self::complaints::Complaints;

/// How often the control plane is told, well within the time it remembers.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Of one stream on one edge. Whoever makes up more is not counted.
const MOST_VIEWERS: usize = 100_000;

pub struct Audience {
    rooms: Mutex<HashMap<StreamId, Room>>,
    pub complaints: Complaints,
    store: Arc<dyn Store>,
    /// Of all streams together.
    viewers: IntGauge,
}

/// A stream's viewers, and until when each is one.
type Room = HashMap<Viewer, Instant>;

/// Who polls, as far as a request tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Viewer(u64);

impl Viewer {
    /// Whoever got this token, from wherever it is shown.
    pub fn of_token(token: &str) -> Self {
        Self::of(None, token.as_bytes())
    }

    pub fn of(address: Option<IpAddr>, agent: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(address.map_or(String::new(), |address| address.to_string()).as_bytes());
        hasher.update(&[0]);
        hasher.update(agent);
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl Audience {
    pub fn new(store: Arc<dyn Store>, viewers: IntGauge) -> Self {
        let complaints = Complaints::to(store.clone());
        Self { rooms: Mutex::default(), complaints, store, viewers }
    }

    /// This viewer polled a stream's playlist, and is expected to poll again within `silence`.
    pub fn seen(&self, stream: &StreamId, viewer: Viewer, silence: Duration) {
        let until = Instant::now() + silence;
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get_mut(stream) {
            if room.len() < MOST_VIEWERS || room.contains_key(&viewer) {
                room.insert(viewer, until);
            }
            return;
        }
        rooms.insert(stream.clone(), HashMap::from([(viewer, until)]));
        self.viewers.inc();
        drop(rooms);
        // The first one is told at once: what is watched is looked after more closely.
        self.store.demand().watch(stream, 1);
    }

    /// Says again and again who is there, and once that nobody is any more.
    pub async fn tell_of_it(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TOLD_EVERY);
        loop {
            ticks.tick().await;
            self.complaints.pass_on();
            for (stream, viewers) in self.count() {
                self.store.demand().watch(&stream, viewers);
            }
        }
    }

    fn count(&self) -> Vec<(StreamId, usize)> {
        let now = Instant::now();
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        for room in rooms.values_mut() {
            room.retain(|_, until| *until > now);
        }
        let counts: Vec<_> =
            rooms.iter().map(|(stream, room)| (stream.clone(), room.len())).collect();
        rooms.retain(|_, room| !room.is_empty());
        let all: usize = counts.iter().map(|(_, viewers)| viewers).sum();
        self.viewers.set(i64::try_from(all).unwrap_or(i64::MAX));
        counts
    }
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::MemoryStore;

    use super::*;

    fn audience() -> (Arc<Audience>, Arc<MemoryStore>, StreamId) {
        let store = MemoryStore::new();
        let viewers = IntGauge::new("viewers", "Viewers.").unwrap();
        let stream = StreamId::of_feed("World feed").unwrap();
        (Arc::new(Audience::new(store.clone(), viewers)), store, stream)
    }

    fn viewer(last: u8, agent: &str) -> Viewer {
        Viewer::of(Some(IpAddr::from([192, 0, 2, last])), agent.as_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn playbacks_are_counted_while_they_poll() {
        let (audience, store, stream) = audience();
        let onboard = StreamId::of_feed("Onboard 44").unwrap();
        let telling = tokio::spawn(audience.clone().tell_of_it());
        for (what, polls, seconds, expected) in [
            ("the first is told at once", vec![viewer(1, "a")], 0, Some(1)),
            ("two addresses", vec![viewer(1, "a"), viewer(2, "a")], 6, Some(2)),
            ("two players at one", vec![viewer(1, "a"), viewer(1, "b")], 6, Some(3)),
            ("they fall silent one by one", vec![viewer(1, "a")], 6, Some(2)),
            ("until nobody is left", vec![], 15, None),
            ("and again", vec![viewer(1, "a")], 0, Some(1)),
        ] {
            for viewer in polls {
                audience.seen(&stream, viewer, Duration::from_secs(12));
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            assert_eq!(store.demand().watched().get(&stream).copied(), expected, "{what}");
            assert_eq!(audience.viewers.get(), expected.map_or(0, |n| i64::try_from(n).unwrap()));
        }
        audience.seen(&onboard, viewer(3, "a"), Duration::from_secs(12));
        assert_eq!(audience.viewers.get(), 2, "of both streams");
        telling.abort();
    }
}
