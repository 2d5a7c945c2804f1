//! Who watches what, and what went wrong for them: all that flows back from an edge.
//!
//! A playback is one viewer watching one stream, seen by its polls. It is over after three
//! target durations of silence. Players that speak CMCD (CTA-5004) say with each segment whether
//! they ran dry since the last one; a segment's link is sealed, so that only they can.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use pitwall_upstream_map::demand::{Report, Seen};
use pitwall_upstream_map::{Store, Stream, StreamId, Upstream};
use prometheus::IntGauge;
use tokio::time::Instant;

use crate::problem::Problem;

/// How often the control plane is told, well within the time it remembers.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Of one stream on one edge. Whoever makes up more is not counted.
const MOST_VIEWERS: usize = 100_000;

pub struct Audience {
    rooms: Mutex<HashMap<StreamId, Room>>,
    words: Mutex<HashMap<Heard, Words>>,
    store: Arc<dyn Store>,
    /// Of all streams together.
    viewers: IntGauge,
}

/// Which upstream of which stream players spoke about.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Heard {
    stream: StreamId,
    source: String,
    generation: u64,
}

#[derive(Clone, Copy, Default)]
struct Words {
    stalls: u32,
    of: u32,
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
        Self { rooms: Mutex::default(), words: Mutex::default(), store, viewers }
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

    /// Something could not be had of this upstream of a stream.
    pub fn failed(&self, stream: &StreamId, upstream: &Upstream, problem: &Problem) {
        let status = match problem {
            Problem::UpstreamStatus(status) => Some(status.as_u16()),
            Problem::UpstreamInvalid(_)
            | Problem::UpstreamUnreachable(_)
            | Problem::UpstreamTimeout => None,
            // Nothing that the upstream did.
            _ => return,
        };
        self.store.demand().report(Report {
            stream: stream.clone(),
            source: upstream.source.clone(),
            generation: upstream.generation,
            what: Seen::Failed { status },
        });
    }

    /// The same of a segment, whose link names its upstream's profile.
    pub fn segment_failed(&self, stream: &Stream, profile: &str, problem: &Problem) {
        if let Some(upstream) = stream.upstreams.iter().find(|one| one.profile.0 == profile) {
            self.failed(&stream.id, upstream, problem);
        }
    }

    /// What a player says with its request for a segment of an upstream, if it says anything.
    pub fn heard(&self, stream: &Stream, profile: &str, headers: &HeaderMap) {
        let said = |name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let status = said("cmcd-status");
        if status.is_empty() && said("cmcd-object").is_empty() && said("cmcd-session").is_empty() {
            return;
        }
        let Some(upstream) = stream.upstreams.iter().find(|one| one.profile.0 == profile) else {
            return;
        };
        let stalled = status.split(|byte| *byte == b',').any(|key| key.trim_ascii() == b"bs");
        self.note(stream, upstream, stalled);
    }

    /// What a player posted of a stream, which is of what plays there. However many reports it
    /// brings together, it is one player's word.
    pub fn reported(&self, stream: &Stream, stalled: bool) {
        if let Some(upstream) = stream.active() {
            self.note(stream, upstream, stalled);
        }
    }

    fn note(&self, stream: &Stream, upstream: &Upstream, stalled: bool) {
        let heard = Heard {
            stream: stream.id.clone(),
            source: upstream.source.clone(),
            generation: upstream.generation,
        };
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let words = words.entry(heard).or_default();
        words.of = words.of.saturating_add(1);
        words.stalls = words.stalls.saturating_add(u32::from(stalled));
    }

    fn pass_on(&self) {
        let words = std::mem::take(&mut *self.words.lock().unwrap_or_else(PoisonError::into_inner));
        for (Heard { stream, source, generation }, Words { stalls, of }) in words {
            let what = Seen::Stalled { stalls, of };
            self.store.demand().report(Report { stream, source, generation, what });
        }
    }

    /// Says again and again who is there, and once that nobody is any more.
    pub async fn tell_of_it(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TOLD_EVERY);
        loop {
            ticks.tick().await;
            self.pass_on();
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
    use pitwall_upstream_map::{Health, MemoryStore};

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

    fn upstream() -> Upstream {
        let json = serde_json::json!({
            "source": "club", "profile": "club", "generation": 7, "health": "healthy",
            "playlist": "https://cdn.example.com/m.m3u8", "expires_at": null, "score": 1.0,
            "renditions": [],
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn players_say_when_they_ran_dry() {
        for (said, expected) in [
            (vec![], None),
            (vec![("user-agent", "bs")], None),
            (vec![("cmcd-session", "sid=\"1\"")], Some((0, 1))),
            (vec![("cmcd-session", "sid=\"1\""), ("cmcd-status", "bs")], Some((1, 1))),
            (vec![("cmcd-status", "rtp=1000, bs")], Some((1, 1))),
            (vec![("cmcd-status", "bsd=3")], Some((0, 1))),
        ] {
            let (audience, store, id) = audience();
            let feed = "World feed".to_owned();
            let stream = Stream { id, feed, upstreams: vec![upstream()] };
            let mut headers = HeaderMap::new();
            for (name, value) in &said {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            audience.heard(&stream, "club", &headers);
            audience.heard(&stream, "another", &headers);
            audience.pass_on();
            let reports = store.demand().take_reports();
            let seen = reports.first().map(|report| match report.what {
                Seen::Stalled { stalls, of } => (stalls, of),
                Seen::Failed { .. } => panic!("nothing failed"),
            });
            assert_eq!(
                (seen, reports.len()),
                (expected, usize::from(expected.is_some())),
                "{said:?}"
            );
        }
    }

    #[test]
    fn what_players_post_is_of_what_plays() {
        let (audience, store, id) = audience();
        let down = Upstream { health: Health::Down, source: "dead".to_owned(), ..upstream() };
        let stream =
            |upstreams| Stream { id: id.clone(), feed: "World feed".to_owned(), upstreams };
        audience.reported(&stream(vec![down.clone(), upstream()]), true);
        audience.reported(&stream(vec![upstream()]), false);
        audience.reported(&stream(vec![down]), true);
        audience.pass_on();
        let reports = store.demand().take_reports();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].source, "club");
        assert!(matches!(reports[0].what, Seen::Stalled { stalls: 1, of: 2 }));
    }

    #[test]
    fn only_what_an_upstream_did_is_reported() {
        let (audience, store, stream) = audience();
        let upstream = upstream();
        for (problem, expected) in [
            (Problem::UpstreamStatus(http::StatusCode::FORBIDDEN), Some(Some(403))),
            (Problem::UpstreamTimeout, Some(None)),
            (Problem::UpstreamInvalid("it broke off".to_owned()), Some(None)),
            (Problem::SealExpired, None),
            (Problem::NotFound, None),
        ] {
            audience.failed(&stream, &upstream, &problem);
            let reports = store.demand().take_reports();
            let seen = reports.iter().map(|report| match report.what {
                Seen::Failed { status } => status,
                Seen::Stalled { .. } => panic!("nobody stalled"),
            });
            assert_eq!(seen.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
            assert!(reports.iter().all(|report| report.generation == 7 && report.source == "club"));
        }
    }
}
