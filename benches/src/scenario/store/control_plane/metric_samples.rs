//! [`MetricSamples`]: figures of a process in the text format of Prometheus.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;

use crate::load::fetch;

/// Timeout of a response: tens of thousands of sources have hundreds of thousands of samples.
const METRICS_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct MetricSamples(String);

impl MetricSamples {
    /// # Errors
    /// When the process does not answer `/metrics` with status 200.
    pub(super) fn fetch(admin: SocketAddr) -> anyhow::Result<Self> {
        let response = fetch(admin, "/metrics", METRICS_TIMEOUT)?;
        if response.status != 200 {
            bail!("/metrics: status {}", response.status);
        }
        Ok(Self(String::from_utf8(response.body)?))
    }

    /// The sum of a metric's samples that have `label`, which may be empty.
    pub(super) fn sum(&self, metric: &str, label: &str) -> f64 {
        let samples = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(metric)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let is_of_metric = labels.is_empty() || labels.starts_with('{');
            (is_of_metric && labels.contains(label)).then(|| value.parse::<f64>().ok())?
        });
        samples.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_metric_and_label() {
        let samples = MetricSamples(
            "# HELP checks Checks.\n# TYPE checks counter\n\
             checks{outcome=\"passed\",source=\"a b\"} 3\n\
             checks{outcome=\"failed\",source=\"a b\"} 1\n\
             checks_waiting 7\n"
                .to_owned(),
        );
        for (metric, label, expected) in [
            ("checks", "", 4.0),
            ("checks", "outcome=\"passed\"", 3.0),
            ("checks_waiting", "", 7.0),
            ("streams", "", 0.0),
        ] {
            assert!((samples.sum(metric, label) - expected).abs() < 1e-9, "{metric} {label}");
        }
    }
}
