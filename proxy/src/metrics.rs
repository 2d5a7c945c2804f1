//! [`Metrics`]: the Prometheus metrics of the edge. Label values are closed sets: none comes from a
//! client, and none is a stream's name, which comes from upstream lists, so that the number of
//! series is bounded.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of one edge; a clone shares them.
#[derive(Clone)]
pub struct Metrics {
    pub requests: IntCounterVec,
    pub request_duration: HistogramVec,
    pub response_bytes: IntCounterVec,
    pub cache_requests: IntCounterVec,
    pub prefetches: IntCounterVec,
    pub source_switches: IntCounterVec,
    pub cached_bytes: IntGauge,
    pub inflight_fetch_bytes: IntGauge,
    pub requests_in_flight: IntGauge,
    pub map_version: IntGauge,
    pub viewers: IntGauge,
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// A metric is already registered in `registry`.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("pitwall_http_requests_total", "HTTP requests that were answered."),
                &["route", "status"],
            )?,
            request_duration: HistogramVec::new(
                HistogramOpts::new(
                    "pitwall_http_request_duration_seconds",
                    "Seconds from the header of a request to the last byte of its response.",
                )
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
                &["route"],
            )?,
            response_bytes: IntCounterVec::new(
                Opts::new(
                    "pitwall_http_response_bytes_total",
                    "Bytes of response bodies that were sent.",
                ),
                &["route"],
            )?,
            cache_requests: IntCounterVec::new(
                Opts::new(
                    "pitwall_cache_requests_total",
                    "Requests for media by cache result: hit, coalesced, miss or bypass.",
                ),
                &["result"],
            )?,
            prefetches: IntCounterVec::new(
                Opts::new(
                    "pitwall_prefetch_total",
                    "New segments, maps and keys of watched playlists by outcome of their prefetch.",
                ),
                &["outcome"],
            )?,
            source_switches: IntCounterVec::new(
                Opts::new(
                    "pitwall_source_switches_total",
                    "Source switches of watched streams by reason.",
                ),
                &["reason"],
            )?,
            cached_bytes: IntGauge::new(
                "pitwall_cache_bytes",
                "Bytes of complete objects in the cache.",
            )?,
            inflight_fetch_bytes: IntGauge::new(
                "pitwall_inflight_fetch_bytes",
                "Bytes reserved by in-flight fetches.",
            )?,
            requests_in_flight: IntGauge::new(
                "pitwall_http_requests_in_flight",
                "HTTP requests that are being answered.",
            )?,
            map_version: IntGauge::new("pitwall_edge_map_version", "Version of the map in use.")?,
            viewers: IntGauge::new(
                "pitwall_viewers",
                "Playbacks: players that poll a stream's playlists.",
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.request_duration.clone()))?;
        registry.register(Box::new(metrics.response_bytes.clone()))?;
        registry.register(Box::new(metrics.cache_requests.clone()))?;
        registry.register(Box::new(metrics.prefetches.clone()))?;
        registry.register(Box::new(metrics.source_switches.clone()))?;
        registry.register(Box::new(metrics.cached_bytes.clone()))?;
        registry.register(Box::new(metrics.inflight_fetch_bytes.clone()))?;
        registry.register(Box::new(metrics.requests_in_flight.clone()))?;
        registry.register(Box::new(metrics.map_version.clone()))?;
        registry.register(Box::new(metrics.viewers.clone()))?;
        Ok(metrics)
    }
}
