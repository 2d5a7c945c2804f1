//! Metrics of the store. All label values are from fixed sets.

use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone)]
pub(super) struct StoreMetrics {
    pub(super) connected: IntGauge,
    /// Unix seconds.
    pub(super) last_sync: Gauge,
    pub(super) reads: IntCounterVec,
    pub(super) rejected: IntCounterVec,
    pub(super) publications: IntCounterVec,
    pub(super) is_leader: IntGauge,
    pub(super) splice_proposals: IntCounterVec,
}

impl StoreMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label])
        };
        let metrics = Self {
            connected: IntGauge::new(
                "pitwall_store_connected",
                "Whether the store can be reached; without it the last good map is served.",
            )?,
            last_sync: Gauge::new(
                "pitwall_store_last_sync_timestamp_seconds",
                "When the store was last found to hold the map that is served.",
            )?,
            reads: counter("pitwall_store_reads_total", "Maps read, by how much of them.", "kind")?,
            rejected: counter(
                "pitwall_store_rejected_total",
                "Maps not taken from the store or from disk; the last good one stays.",
                "reason",
            )?,
            publications: counter(
                "pitwall_store_publications_total",
                "Maps written, by how much of them.",
                "kind",
            )?,
            is_leader: IntGauge::new(
                "pitwall_leader",
                "Whether this control plane leads, and thus publishes.",
            )?,
            splice_proposals: counter(
                "pitwall_splice_proposals_total",
                "Splice proposals by how they were decided: together with other edges, late (the store did not reply in time), or alone.",
                "mode",
            )?,
        };
        for reason in ["empty", "damaged", "outdated", "disk"] {
            metrics.rejected.with_label_values(&[reason]);
        }
        for kind in ["whole", "delta"] {
            metrics.reads.with_label_values(&[kind]);
            metrics.publications.with_label_values(&[kind]);
        }
        for mode in ["together", "late", "alone"] {
            metrics.splice_proposals.with_label_values(&[mode]);
        }
        registry.register(Box::new(metrics.connected.clone()))?;
        registry.register(Box::new(metrics.last_sync.clone()))?;
        registry.register(Box::new(metrics.reads.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        registry.register(Box::new(metrics.publications.clone()))?;
        registry.register(Box::new(metrics.is_leader.clone()))?;
        registry.register(Box::new(metrics.splice_proposals.clone()))?;
        Ok(metrics)
    }
}
