//! What the control plane counts.

use jiff::Timestamp;
use pitwall_upstream_map::Health;
use pitwall_upstream_map::documents::Schedule;
use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::engine::sources::SourceState;
use crate::publish::Ranked;

#[derive(Clone)]
pub(crate) struct Metrics {
    runs: IntCounterVec,
    last_success: IntGaugeVec,
    healthy: IntGaugeVec,
    schedule_age: Gauge,
    map_version: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            runs: IntCounterVec::new(
                Opts::new("pitwall_extractor_runs_total", "Runs of a source, by how they ended."),
                &["source", "result"],
            )?,
            last_success: IntGaugeVec::new(
                Opts::new(
                    "pitwall_extractor_last_success_timestamp_seconds",
                    "When a source last ran without a failure.",
                ),
                &["source"],
            )?,
            healthy: IntGaugeVec::new(
                Opts::new(
                    "pitwall_upstream_healthy",
                    "Whether an upstream of a stream is healthy.",
                ),
                &["stream", "source"],
            )?,
            schedule_age: Gauge::new(
                "pitwall_schedule_age_seconds",
                "Since the schedule was last read; -1 before the first time.",
            )?,
            map_version: IntGauge::new("pitwall_map_version", "The last map published.")?,
        };
        registry.register(Box::new(metrics.runs.clone()))?;
        registry.register(Box::new(metrics.last_success.clone()))?;
        registry.register(Box::new(metrics.healthy.clone()))?;
        registry.register(Box::new(metrics.schedule_age.clone()))?;
        registry.register(Box::new(metrics.map_version.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn ran(&self, state: &SourceState) {
        let name = state.source.name.as_str();
        let result = if state.failing() { "failure" } else { "success" };
        self.runs.with_label_values(&[name, result]).inc();
        if let Some(at) = state.last_success_at {
            self.last_success.with_label_values(&[name]).set(at.as_second());
        }
    }

    pub(crate) fn schedule(&self, schedule: &Schedule, now: Timestamp) {
        let age = schedule.fetched_at.map(|at| now.duration_since(at).as_secs_f64());
        self.schedule_age.set(age.unwrap_or(-1.0));
    }

    pub(crate) fn published(&self, version: u64, streams: &Ranked<'_>, sources: &[SourceState]) {
        self.map_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        // Streams that are gone leave no series behind.
        self.healthy.reset();
        for (stream, upstreams) in streams {
            for (key, contender) in upstreams {
                let Some(state) = sources.get(key.source) else { continue };
                let labels = [stream.as_str(), state.source.name.as_str()];
                // Of several finds of one source for one stream, one that works is enough.
                if contender.health == Health::Healthy {
                    self.healthy.with_label_values(&labels).set(1);
                } else {
                    self.healthy.with_label_values(&labels);
                }
            }
        }
    }
}
