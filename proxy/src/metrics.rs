//! What Prometheus scrapes of the edge. Labels are closed sets: none comes from a client, and
//! none is a stream's name, for upstream lists name streams.

use crate::live::Reason;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone)]
pub struct Metrics {
    pub requests: IntCounterVec,
    pub seconds: HistogramVec,
    pub bytes: IntCounterVec,
    pub storage: IntCounterVec,
    pub prefetched: IntCounterVec,
    pub switches: IntCounterVec,
    pub stored_bytes: IntGauge,
    pub filling_bytes: IntGauge,
    pub in_flight: IntGauge,
    pub map_version: IntGauge,
    pub viewers: IntGauge,
}

impl Metrics {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("pitwall_requests_total", "Requests answered."),
                &["route", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "pitwall_request_seconds",
                    "From a request's header to the last byte of its answer.",
                )
                .buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
                &["route"],
            )?,
            bytes: IntCounterVec::new(
                Opts::new("pitwall_sent_bytes_total", "Body bytes sent."),
                &["route"],
            )?,
            storage: IntCounterVec::new(
                Opts::new(
                    "pitwall_storage_requests_total",
                    "Media requests by how the object was come by.",
                ),
                &["outcome"],
            )?,
            prefetched: IntCounterVec::new(
                Opts::new(
                    "pitwall_prefetch_total",
                    "New segments of watched playlists, and their maps and keys, by what was done.",
                ),
                &["outcome"],
            )?,
            switches: IntCounterVec::new(
                Opts::new(
                    "pitwall_switches_total",
                    "Changes of the source that plays, of streams that are watched, by why.",
                ),
                &["reason"],
            )?,
            stored_bytes: IntGauge::new("pitwall_storage_bytes", "Bytes of complete objects.")?,
            filling_bytes: IntGauge::new("pitwall_fill_bytes", "Bytes reserved by fills.")?,
            in_flight: IntGauge::new("pitwall_requests_in_flight", "Requests being answered.")?,
            map_version: IntGauge::new("pitwall_edge_map_version", "Version of the map in use.")?,
            viewers: IntGauge::new(
                "pitwall_viewers",
                "Playbacks: players that poll a stream's playlists.",
            )?,
        };
        for reason in Reason::ALL {
            metrics.switches.with_label_values(&[reason.label()]);
        }
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.storage.clone()))?;
        registry.register(Box::new(metrics.prefetched.clone()))?;
        registry.register(Box::new(metrics.switches.clone()))?;
        registry.register(Box::new(metrics.stored_bytes.clone()))?;
        registry.register(Box::new(metrics.filling_bytes.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.map_version.clone()))?;
        registry.register(Box::new(metrics.viewers.clone()))?;
        Ok(metrics)
    }
}
