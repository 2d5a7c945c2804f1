//! What went wrong for viewers: what the edge saw of it, and what their players say.
//!
//! Players that speak CMCD (CTA-5004) say with each segment whether they ran dry since the last
//! one; a segment's link is sealed, so that only they can. Others post it
//! ([`cmcd`](crate::cmcd)).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};
use pitwall_upstream_map::demand::{Report, Seen};
use pitwall_upstream_map::{Store, Stream, StreamId, Upstream};

use crate::problem::Problem;

/// All that is told the control plane: failures at once, words gathered.
pub struct Complaints {
    words: Mutex<HashMap<Heard, Words>>,
    store: Arc<dyn Store>,
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

impl Complaints {
    pub(super) fn to(store: Arc<dyn Store>) -> Self {
        Self { words: Mutex::default(), store }
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

    /// What a player says with its request for a segment of an upstream, if it says anything.
    pub fn heard(&self, stream: &Stream, upstream: &Upstream, headers: &HeaderMap) {
        let said = |name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let status = said("cmcd-status");
        if status.is_empty() && said("cmcd-object").is_empty() && said("cmcd-session").is_empty() {
            return;
        }
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

    pub(super) fn pass_on(&self) {
        let words = std::mem::take(&mut *self.words.lock().unwrap_or_else(PoisonError::into_inner));
        for (Heard { stream, source, generation }, Words { stalls, of }) in words {
            let what = Seen::Stalled { stalls, of };
            self.store.demand().report(Report { stream, source, generation, what });
        }
    }
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::{Health, MemoryStore};

    use super::*;

    fn complaints() -> (Complaints, Arc<MemoryStore>, StreamId) {
        let store = MemoryStore::new();
        (Complaints::to(store.clone()), store, StreamId::of_feed("World feed").unwrap())
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
            let (complaints, store, id) = complaints();
            let feed = "World feed".to_owned();
            let (upstream, upstreams) = (upstream(), Vec::new());
            let stream = Stream { id, feed, switched: 0, pin: None, upstreams, outage: None };
            let mut headers = HeaderMap::new();
            for (name, value) in &said {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            complaints.heard(&stream, &upstream, &headers);
            complaints.pass_on();
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
        let (complaints, store, id) = complaints();
        let down = Upstream { health: Health::Down, source: "dead".to_owned(), ..upstream() };
        let stream = |upstreams| {
            let feed = "World feed".to_owned();
            Stream { id: id.clone(), feed, switched: 0, pin: None, upstreams, outage: None }
        };
        complaints.reported(&stream(vec![down.clone(), upstream()]), true);
        complaints.reported(&stream(vec![upstream()]), false);
        complaints.reported(&stream(vec![down]), true);
        complaints.pass_on();
        let reports = store.demand().take_reports();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].source, "club");
        assert!(matches!(reports[0].what, Seen::Stalled { stalls: 1, of: 2 }));
    }

    #[test]
    fn only_what_an_upstream_did_is_reported() {
        let (complaints, store, stream) = complaints();
        let upstream = upstream();
        for (problem, expected) in [
            (Problem::UpstreamStatus(http::StatusCode::FORBIDDEN), Some(Some(403))),
            (Problem::UpstreamTimeout, Some(None)),
            (Problem::UpstreamInvalid("it broke off".to_owned()), Some(None)),
            (Problem::SealExpired, None),
            (Problem::NotFound, None),
        ] {
            complaints.failed(&stream, &upstream, &problem);
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
