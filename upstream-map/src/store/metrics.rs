//! What is counted. Labels are closed sets.

use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) connected: IntGauge,
    /// Unix seconds.
    pub(super) heard: Gauge,
    pub(super) reads: IntCounterVec,
    pub(super) refused: IntCounterVec,
    pub(super) publications: IntCounterVec,
    pub(super) leads: IntGauge,
    pub(super) words: IntCounterVec,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, label: &str| {
            IntCounterVec::new(Opts::new(name, help), &[label])
        };
        let metrics = Self {
            connected: IntGauge::new(
                "pitwall_store_connected",
                "Whether the store can be reached; without it the last good map is served.",
            )?,
            heard: Gauge::new(
                "pitwall_store_heard_timestamp_seconds",
                "When the store was last found to hold the map that is served.",
            )?,
            reads: counter("pitwall_store_reads_total", "Maps read, by how much of them.", "kind")?,
            refused: counter(
                "pitwall_store_refused_total",
                "Maps not taken from the store or from disk; the last good one stays.",
                "why",
            )?,
            publications: counter(
                "pitwall_store_publications_total",
                "Maps written, by how much of them.",
                "kind",
            )?,
            leads: IntGauge::new(
                "pitwall_store_leads",
                "Whether this control plane is the one that publishes.",
            )?,
            words: counter(
                "pitwall_store_words_total",
                "What edges agree on about splices: together, or alone because the store was late.",
                "how",
            )?,
        };
        for why in ["empty", "damaged", "outdated", "disk"] {
            metrics.refused.with_label_values(&[why]);
        }
        for how in ["together", "late", "alone"] {
            metrics.words.with_label_values(&[how]);
        }
        registry.register(Box::new(metrics.connected.clone()))?;
        registry.register(Box::new(metrics.heard.clone()))?;
        registry.register(Box::new(metrics.reads.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.publications.clone()))?;
        registry.register(Box::new(metrics.leads.clone()))?;
        registry.register(Box::new(metrics.words.clone()))?;
        Ok(metrics)
    }
}
