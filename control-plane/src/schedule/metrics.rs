//! [`ScheduleMetrics`]: the schedule's Prometheus metrics, except its age, which is among the
//! metrics of the upstream map.

use jiff::Timestamp;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::provider::ProviderFault;

#[derive(Clone)]
pub(crate) struct ScheduleMetrics {
    fetches: IntCounterVec,
    last_success: IntGaugeVec,
    stale: IntGauge,
    disagreements: IntGauge,
    overrides: IntGauge,
    override_file_ok: IntGauge,
}

impl ScheduleMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            fetches: IntCounterVec::new(
                Opts::new(
                    "pitwall_schedule_fetches_total",
                    "Readings of a schedule provider, by how they ended: success, failed \
                     (no usable answer), refused (cannot be true), locked (closed to us as \
                     it is meant to be).",
                ),
                &["provider", "result"],
            )?,
            last_success: IntGaugeVec::new(
                Opts::new(
                    "pitwall_schedule_last_success_timestamp_seconds",
                    "When a schedule provider was last read.",
                ),
                &["provider"],
            )?,
            stale: IntGauge::new(
                "pitwall_schedule_stale",
                "1 while a part of the schedule to come is confirmed by no provider.",
            )?,
            disagreements: IntGauge::new(
                "pitwall_schedule_disagreements",
                "Sessions to come or live on which providers disagree.",
            )?,
            overrides: IntGauge::new(
                "pitwall_schedule_overrides",
                "Sessions and meetings that the operator's file overrides.",
            )?,
            override_file_ok: IntGauge::new(
                "pitwall_schedule_override_file_ok",
                "0 when the operator's file cannot be read and the last good one is in force.",
            )?,
        };
        registry.register(Box::new(metrics.fetches.clone()))?;
        registry.register(Box::new(metrics.last_success.clone()))?;
        registry.register(Box::new(metrics.stale.clone()))?;
        registry.register(Box::new(metrics.disagreements.clone()))?;
        registry.register(Box::new(metrics.overrides.clone()))?;
        registry.register(Box::new(metrics.override_file_ok.clone()))?;
        metrics.override_file_ok.set(1);
        Ok(metrics)
    }

    pub(crate) fn record_success(&self, provider: &str, at: Timestamp) {
        self.fetches.with_label_values(&[provider, "success"]).inc();
        self.last_success.with_label_values(&[provider]).set(at.as_second());
    }

    pub(crate) fn record_failure(&self, provider: &str, fault: ProviderFault) {
        self.fetches.with_label_values(&[provider, fault.metric_label()]).inc();
    }

    pub(crate) fn record_merge(&self, stale: bool, disagreements: usize) {
        self.stale.set(i64::from(stale));
        self.disagreements.set(i64::try_from(disagreements).unwrap_or(i64::MAX));
    }

    pub(crate) fn record_overrides(&self, count: usize, file_ok: bool) {
        self.overrides.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.override_file_ok.set(i64::from(file_ok));
    }
}
