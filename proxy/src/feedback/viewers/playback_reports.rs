//! [`UpstreamReporter`]: failed upstream requests and stalls of players, reported to the control
//! plane.
//!
//! Players that speak CMCD (CTA-5004) say in the fields of each segment request whether their
//! buffer ran dry since the last one; segment links are sealed, so that only a viewer of the stream
//! can say so. Other players post their reports ([`cmcd`](crate::feedback::cmcd)).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};
use pitwall_upstream_map::feedback::{Observation, UpstreamReport};
use pitwall_upstream_map::{Store, Stream, StreamId, Upstream};

use crate::http::problem::Problem;

/// Reports about upstreams for the control plane: failures are pushed at once, stalls are counted
/// and pushed by the feedback loop of [`ViewerTracker`](super::ViewerTracker).
pub struct UpstreamReporter {
    stall_counts: Mutex<HashMap<ReportKey, StallCounts>>,
    store: Arc<dyn Store>,
}

/// The upstream of a stream that players reported on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ReportKey {
    stream: StreamId,
    source: String,
    generation: u64,
}

/// How many of an upstream's reports since the last flush were of a stall.
#[derive(Clone, Copy, Default)]
struct StallCounts {
    stalls: u32,
    reports: u32,
}

impl UpstreamReporter {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { stall_counts: Mutex::default(), store }
    }

    /// Reports a failed request to an upstream of a stream. A problem that the upstream did not
    /// cause is not reported.
    pub fn report_failure(&self, stream: &StreamId, upstream: &Upstream, problem: &Problem) {
        let status = match problem {
            Problem::UpstreamStatus(status) => Some(status.as_u16()),
            Problem::UpstreamInvalid(_)
            | Problem::UpstreamUnreachable(_)
            | Problem::UpstreamTimeout => None,
            // Any other problem says nothing against the upstream.
            _ => return,
        };
        self.store.feedback().push_report(UpstreamReport {
            stream: stream.clone(),
            source: upstream.source.clone(),
            generation: upstream.generation,
            what: Observation::Failed { status },
        });
    }

    /// Counts the CMCD fields of a player's request for a segment of an upstream, if it has any.
    pub fn record_cmcd_headers(&self, stream: &Stream, upstream: &Upstream, headers: &HeaderMap) {
        if has_cmcd_fields(headers) {
            let status = headers.get(&CMCD_STATUS).map_or(&b""[..], HeaderValue::as_bytes);
            let stalled = status.split(|byte| *byte == b',').any(|key| key.trim_ascii() == b"bs");
            self.count_report(stream, upstream, stalled);
        }
    }

    /// Counts what a player posted about a stream, for the stream's active upstream. A post counts
    /// as one report however many it holds, so that each player weighs the same.
    pub fn record_posted_report(&self, stream: &Stream, stalled: bool) {
        if let Some(upstream) = stream.active_upstream() {
            self.count_report(stream, upstream, stalled);
        }
    }

    fn count_report(&self, stream: &Stream, upstream: &Upstream, stalled: bool) {
        let key = ReportKey {
            stream: stream.id.clone(),
            source: upstream.source.clone(),
            generation: upstream.generation,
        };
        let mut stall_counts = self.stall_counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = stall_counts.entry(key).or_default();
        counts.reports = counts.reports.saturating_add(1);
        counts.stalls = counts.stalls.saturating_add(u32::from(stalled));
    }

    /// Pushes the stall counts gathered since the last flush to the store's feedback.
    pub(super) fn flush(&self) {
        let counts =
            std::mem::take(&mut *self.stall_counts.lock().unwrap_or_else(PoisonError::into_inner));
        for (ReportKey { stream, source, generation }, StallCounts { stalls, reports }) in counts {
            let what = Observation::Stalled { stalls, of: reports };
            self.store.feedback().push_report(UpstreamReport { stream, source, generation, what });
        }
    }
}

const CMCD_STATUS: HeaderName = HeaderName::from_static("cmcd-status");
const CMCD_FIELDS: [HeaderName; 3] =
    [CMCD_STATUS, HeaderName::from_static("cmcd-object"), HeaderName::from_static("cmcd-session")];

/// Whether a request has CMCD fields.
pub fn has_cmcd_fields(headers: &HeaderMap) -> bool {
    CMCD_FIELDS.iter().any(|name| headers.get(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use pitwall_upstream_map::documents::PublicDocument;
    use pitwall_upstream_map::{Health, MemoryStore};

    use super::*;

    fn playback_reports() -> (UpstreamReporter, Arc<MemoryStore>, StreamId) {
        let store = MemoryStore::new();
        (UpstreamReporter::new(store.clone()), store, StreamId::of_feed("World feed").unwrap())
    }

    fn upstream() -> Upstream {
        let json = serde_json::json!({
            "source": "club", "profile": "club", "generation": 7, "health": "healthy",
            "playlist": "https://cdn.example.com/m.m3u8", "expires_at": null, "score": 1.0,
            "renditions": [],
        });
        serde_json::from_value(json).unwrap()
    }

    fn stream(id: &StreamId, upstreams: Vec<Upstream>) -> Stream {
        Stream {
            id: id.clone(),
            feed: "World feed".to_owned(),
            switched: 0,
            pin: None,
            upstreams,
            outage: None,
            position: (0, 0),
            public: PublicDocument::default(),
            explanation: PublicDocument::default(),
        }
    }

    #[test]
    fn cmcd_fields_of_segment_requests_are_counted() {
        for (fields, expected) in [
            (vec![], None),
            (vec![("user-agent", "bs")], None),
            (vec![("cmcd-session", "sid=\"1\"")], Some((0, 1))),
            (vec![("cmcd-session", "sid=\"1\""), ("cmcd-status", "bs")], Some((1, 1))),
            (vec![("cmcd-status", "rtp=1000, bs")], Some((1, 1))),
            (vec![("cmcd-status", "bsd=3")], Some((0, 1))),
        ] {
            let (playback_reports, store, id) = playback_reports();
            let (upstream, stream) = (upstream(), stream(&id, Vec::new()));
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            playback_reports.record_cmcd_headers(&stream, &upstream, &headers);
            playback_reports.flush();
            let reports = store.feedback().take_reports();
            let seen = reports.first().map(|report| match report.what {
                Observation::Stalled { stalls, of } => (stalls, of),
                Observation::Failed { .. } => panic!("nothing failed"),
            });
            assert_eq!(
                (seen, reports.len()),
                (expected, usize::from(expected.is_some())),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn posted_reports_are_counted_for_the_active_upstream() {
        let (playback_reports, store, id) = playback_reports();
        let down = Upstream { health: Health::Down, source: "dead".to_owned(), ..upstream() };
        let stream = |upstreams| stream(&id, upstreams);
        playback_reports.record_posted_report(&stream(vec![down.clone(), upstream()]), true);
        playback_reports.record_posted_report(&stream(vec![upstream()]), false);
        playback_reports.record_posted_report(&stream(vec![down]), true);
        playback_reports.flush();
        let reports = store.feedback().take_reports();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].source, "club");
        assert!(matches!(reports[0].what, Observation::Stalled { stalls: 1, of: 2 }));
    }

    #[test]
    fn only_failures_of_the_upstream_are_reported() {
        let (playback_reports, store, stream) = playback_reports();
        let upstream = upstream();
        for (problem, expected) in [
            (Problem::UpstreamStatus(http::StatusCode::FORBIDDEN), Some(Some(403))),
            (Problem::UpstreamTimeout, Some(None)),
            (Problem::UpstreamInvalid("it broke off".to_owned()), Some(None)),
            (Problem::SealExpired, None),
            (Problem::NotFound, None),
        ] {
            playback_reports.report_failure(&stream, &upstream, &problem);
            let reports = store.feedback().take_reports();
            let seen = reports.iter().map(|report| match report.what {
                Observation::Failed { status } => status,
                Observation::Stalled { .. } => panic!("no stall was reported"),
            });
            assert_eq!(seen.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
            assert!(reports.iter().all(|report| report.generation == 7 && report.source == "club"));
        }
    }
}
