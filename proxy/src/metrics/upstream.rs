//! [`UpstreamMetrics`]: what the edge requests from upstreams, by source.
//!
//! Names of sources come from the configuration of the control plane, so that the number of series
//! is bounded; plain links together are the source `link`.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::{ByLabel, Label, labels, register};

labels! {
    /// What is requested.
    TrafficKind { Playlist = "playlist", Media = "media" }
}

/// The metrics of requests to upstreams; a clone shares them.
#[derive(Clone)]
pub struct UpstreamMetrics {
    requests: IntCounterVec,
    response_bytes: IntCounterVec,
    pub first_byte: ByLabel<TrafficKind, Histogram>,
    pub permit_wait: Histogram,
}

impl UpstreamMetrics {
    /// # Errors
    /// A metric is already registered in `registry`.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let first_byte = HistogramOpts::new(
            "pitwall_upstream_first_byte_seconds",
            "Seconds from a request to an upstream to the header of its response.",
        )
        .buckets(vec![0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]);
        let first_byte = register(registry, HistogramVec::new(first_byte, &["kind"])?)?;
        let permit_wait = HistogramOpts::new(
            "pitwall_upstream_permit_wait_seconds",
            "Seconds that a request to an upstream waits for a connection of its source.",
        )
        .buckets(vec![0.001, 0.01, 0.1, 0.5, 2.0, 10.0]);
        Ok(Self {
            requests: counters(
                "pitwall_upstream_requests_total",
                "Requests to upstreams by the class of the status, or why there is none.",
                &["source", "kind", "status"],
            )?,
            response_bytes: counters(
                "pitwall_upstream_response_bytes_total",
                "Bytes of response bodies received from upstreams, decoded.",
                &["source", "kind"],
            )?,
            first_byte: ByLabel::new(|kind| first_byte.with_label_values(&[kind])),
            permit_wait: register(registry, Histogram::with_opts(permit_wait)?)?,
        })
    }

    pub fn count_request(&self, source: &str, kind: TrafficKind, status: &str) {
        let source = source_label(source);
        self.requests.with_label_values(&[source, kind.text(), status]).inc();
    }

    pub fn byte_counter_of(&self, source: &str, kind: TrafficKind) -> IntCounter {
        self.response_bytes.with_label_values(&[source_label(source), kind.text()])
    }
}

/// `source`: empty for what no source has, a plain link.
fn source_label(source: &str) -> &str {
    if source.is_empty() { "link" } else { source }
}
