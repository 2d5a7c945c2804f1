//! Prometheus metrics of the control plane. Labels come only from the configuration or from closed
//! sets: a stream has a label only if the configuration names it; streams that only a source lists
//! are only counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::Schedule;
use pitwall_upstream_map::{Health, StreamId};
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::model::run_report::SourceRunReport;

#[derive(Clone)]
pub(crate) struct Metrics {
    runs: IntCounterVec,
    failing: IntGaugeVec,
    last_success: IntGaugeVec,
    candidates: IntGaugeVec,
    dropped: IntCounterVec,
    checks: IntCounterVec,
    checks_waiting: IntGauge,
    upstreams: IntGaugeVec,
    streams: IntGaugeVec,
    stream_up: IntGaugeVec,
    session_live: IntGauge,
    token_seconds_left: IntGaugeVec,
    refreshes: IntCounterVec,
    schedule_age: Gauge,
    map_version: IntGauge,
    stream_viewers: IntGaugeVec,
    playback_reports: IntCounterVec,
    playback_stalls: IntCounterVec,
    feedback_lag: Histogram,
    /// By source: the steps that have series.
    step_labels: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

#[derive(Clone, Copy)]
pub(crate) enum CheckOutcome {
    Passed,
    /// A check failed, or the upstream is on probation.
    Doubtful,
    Failed,
    /// The upstream rejected the token.
    Refused,
}

#[derive(Clone, Copy)]
pub(crate) enum RefreshOutcome {
    /// An upstream that was not known before.
    New,
    Renewed,
    /// The URL has not changed.
    Unchanged,
    Failed,
}

/// Step names come from the configuration; an extractor that invents them makes at most this many
/// series per source.
const STEP_LABELS_MAX_COUNT: usize = 32;
const REFRESH_OUTCOMES: [&str; 4] = ["new", "renewed", "unchanged", "failed"];
const CHECK_OUTCOMES: [&str; 4] = ["passed", "doubtful", "failed", "refused"];

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let vector = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vector.clone()))?;
            prometheus::Result::Ok(vector)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let vector = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vector.clone()))?;
            prometheus::Result::Ok(vector)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let schedule_age = Gauge::new(
            "pitwall_schedule_age_seconds",
            "Since the schedule was last read; -1 before the first time.",
        )?;
        registry.register(Box::new(schedule_age.clone()))?;
        let feedback_lag = HistogramOpts::new(
            "pitwall_feedback_lag_seconds",
            "Seconds from a report of an edge until the control plane has taken it in, by the \
             clocks of both.",
        )
        .buckets(vec![0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0]);
        let feedback_lag = Histogram::with_opts(feedback_lag)?;
        registry.register(Box::new(feedback_lag.clone()))?;
        Ok(Self {
            runs: counters(
                "pitwall_extractor_runs_total",
                "Runs of a source, by how they ended and the step that failed.",
                &["source", "outcome", "step"],
            )?,
            failing: gauges(
                "pitwall_extractor_failing",
                "Whether the last run of a source failed, wholly or in part.",
                &["source"],
            )?,
            last_success: gauges(
                "pitwall_extractor_last_success_timestamp_seconds",
                "When a source last ran without a failure; where that is not known, when this \
                 process began to ask it.",
                &["source"],
            )?,
            candidates: gauges(
                "pitwall_candidates",
                "Streams that the last run of a source found.",
                &["source"],
            )?,
            dropped: counters(
                "pitwall_candidates_dropped_total",
                "Streams that a source found beyond those that are taken.",
                &["source"],
            )?,
            checks: counters(
                "pitwall_checks_total",
                "Checks of what plays, by what the upstream was after them.",
                &["source", "outcome"],
            )?,
            checks_waiting: gauge("pitwall_checks_waiting", "Checks that are due and wait.")?,
            upstreams: gauges(
                "pitwall_upstreams",
                "Upstreams by source and health.",
                &["source", "state"],
            )?,
            streams: gauges("pitwall_streams", "Streams by the health of what plays.", &["state"])?,
            stream_up: gauges(
                "pitwall_stream_up",
                "Whether something of a stream plays, of those that the configuration names; no \
                 series before its sources have been asked.",
                &["stream"],
            )?,
            session_live: gauge(
                "pitwall_session_live",
                "Whether a session is on; past its nominal end only while a stream is healthy.",
            )?,
            token_seconds_left: gauges(
                "pitwall_token_remaining_seconds",
                "Until the first token of a source ends; no series where none does.",
                &["source"],
            )?,
            refreshes: counters(
                "pitwall_refreshes_total",
                "Finds that were checked: new, renewed or unchanged; and failed runs.",
                &["source", "outcome"],
            )?,
            schedule_age,
            map_version: gauge("pitwall_map_version", "The last map published.")?,
            stream_viewers: gauges(
                "pitwall_stream_viewers",
                "Playbacks of a stream at all edges, of those that the configuration names.",
                &["stream"],
            )?,
            playback_reports: counters(
                "pitwall_playback_reports_total",
                "Reports of players on a stream, of those that the configuration names.",
                &["stream"],
            )?,
            playback_stalls: counters(
                "pitwall_playback_stalls_total",
                "Reports of players whose buffer ran dry, of streams that the configuration names.",
                &["stream"],
            )?,
            feedback_lag,
            step_labels: Arc::default(),
        })
    }

    /// Creates the source's series before anything happens, as an alerting rule does not fire on an
    /// absent series.
    pub(crate) fn register_source(&self, source: &str, now: Timestamp) {
        self.failing.with_label_values(&[source]).set(0);
        self.set_last_success(source, now);
        for outcome in ["success", "failure"] {
            self.runs.with_label_values(&[source, outcome, "none"]);
        }
        for outcome in REFRESH_OUTCOMES {
            self.refreshes.with_label_values(&[source, outcome]);
        }
        for outcome in CHECK_OUTCOMES {
            self.checks.with_label_values(&[source, outcome]);
        }
        self.dropped.with_label_values(&[source]);
    }

    /// Removes the series of a source that is no longer configured.
    pub(crate) fn remove_source(&self, source: &str) {
        // Removal fails only if the series does not exist, which is ignored.
        for gauges in
            [&self.failing, &self.last_success, &self.candidates, &self.token_seconds_left]
        {
            let _ = gauges.remove_label_values(&[source]);
        }
        let _ = self.dropped.remove_label_values(&[source]);
        let mut labels = self.step_labels.lock().unwrap_or_else(PoisonError::into_inner);
        let steps = labels.remove(source).unwrap_or_default();
        for step in steps.iter().map(String::as_str).chain(["none"]) {
            for outcome in ["success", "failure"] {
                let _ = self.runs.remove_label_values(&[source, outcome, step]);
            }
        }
        for outcome in REFRESH_OUTCOMES {
            let _ = self.refreshes.remove_label_values(&[source, outcome]);
        }
        for outcome in CHECK_OUTCOMES {
            let _ = self.checks.remove_label_values(&[source, outcome]);
        }
        for health in [Health::Healthy, Health::Degraded, Health::Down] {
            let _ = self.upstreams.remove_label_values(&[source, health_label(health)]);
        }
    }

    /// Removes the series of a stream that the configuration no longer names.
    pub(crate) fn remove_stream(&self, stream: &StreamId) {
        let labels = [stream.as_str()];
        for gauges in [&self.stream_up, &self.stream_viewers] {
            // Removal fails only if the series does not exist, which is ignored.
            let _ = gauges.remove_label_values(&labels);
        }
        for counters in [&self.playback_reports, &self.playback_stalls] {
            let _ = counters.remove_label_values(&labels);
        }
    }

    pub(crate) fn record_run(&self, source: &str, report: &SourceRunReport, now: Timestamp) {
        let (outcome, step) = match report.first_failure() {
            None => ("success", "none"),
            Some(failure) => ("failure", failure.step.as_str()),
        };
        self.count_run(source, outcome, step);
        self.failing.with_label_values(&[source]).set(i64::from(outcome == "failure"));
        if outcome == "success" {
            self.set_last_success(source, now);
        }
        self.candidates.with_label_values(&[source]).set(to_gauge(report.candidates));
        self.dropped.with_label_values(&[source]).inc_by(report.dropped as u64);
    }

    pub(crate) fn set_last_success(&self, source: &str, at: Timestamp) {
        self.last_success.with_label_values(&[source]).set(at.as_second());
    }

    fn count_run(&self, source: &str, outcome: &str, step: &str) {
        let mut labels = self.step_labels.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = labels.entry(source.to_owned()).or_default();
        let is_counted = labels.contains(step) || labels.len() < STEP_LABELS_MAX_COUNT;
        let step = if is_counted { step } else { "other" };
        labels.insert(step.to_owned());
        self.runs.with_label_values(&[source, outcome, step]).inc();
    }

    pub(crate) fn record_check(&self, source: &str, outcome: CheckOutcome) {
        let outcome = match outcome {
            CheckOutcome::Passed => "passed",
            CheckOutcome::Doubtful => "doubtful",
            CheckOutcome::Failed => "failed",
            CheckOutcome::Refused => "refused",
        };
        self.checks.with_label_values(&[source, outcome]).inc();
    }

    pub(crate) fn record_refresh(&self, source: &str, outcome: RefreshOutcome) {
        let outcome = match outcome {
            RefreshOutcome::New => "new",
            RefreshOutcome::Renewed => "renewed",
            RefreshOutcome::Unchanged => "unchanged",
            RefreshOutcome::Failed => "failed",
        };
        self.refreshes.with_label_values(&[source, outcome]).inc();
    }

    pub(crate) fn set_checks_waiting(&self, checks: usize) {
        self.checks_waiting.set(to_gauge(checks));
    }

    /// `left`: until the first token of the source ends; `None` where none does.
    pub(crate) fn set_token_remaining(&self, source: &str, left: Option<Duration>) {
        match left {
            Some(left) => {
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                self.token_seconds_left.with_label_values(&[source]).set(seconds);
            }
            // Removal fails only if the series does not exist, which is ignored.
            None => drop(self.token_seconds_left.remove_label_values(&[source])),
        }
    }

    pub(crate) fn update_schedule_age(&self, schedule: &Schedule, now: Timestamp) {
        let age = schedule.fetched_at.map(|at| now.duration_since(at).as_secs_f64());
        self.schedule_age.set(age.unwrap_or(-1.0));
    }

    pub(crate) fn set_map_version(&self, version: u64) {
        self.map_version.set(i64::try_from(version).unwrap_or(i64::MAX));
    }

    pub(crate) fn set_session_live(&self, is_live: bool) {
        self.session_live.set(i64::from(is_live));
    }

    pub(crate) fn set_stream_up(&self, stream: &StreamId, is_up: bool) {
        self.stream_up.with_label_values(&[stream.as_str()]).set(i64::from(is_up));
    }

    /// Creates the series of a stream that the configuration names: `rate()` sees the first report
    /// only if there was a 0 before.
    pub(crate) fn register_stream(&self, stream: &StreamId) {
        let labels = [stream.as_str()];
        self.stream_viewers.with_label_values(&labels);
        self.playback_reports.with_label_values(&labels);
        self.playback_stalls.with_label_values(&labels);
    }

    pub(crate) fn set_stream_viewers(&self, stream: &StreamId, viewers: usize) {
        self.stream_viewers.with_label_values(&[stream.as_str()]).set(to_gauge(viewers));
    }

    /// `stalls`: how many `of` these reports said that the buffer ran dry.
    pub(crate) fn record_playback_reports(&self, stream: &StreamId, stalls: u32, of: u32) {
        self.playback_reports.with_label_values(&[stream.as_str()]).inc_by(of.into());
        self.playback_stalls.with_label_values(&[stream.as_str()]).inc_by(stalls.into());
    }

    pub(crate) fn record_feedback_lag(&self, lag: Duration) {
        self.feedback_lag.observe(lag.as_secs_f64());
    }

    /// Number of streams whose active upstream has this health.
    pub(crate) fn set_streams(&self, health: Health, count: usize) {
        self.streams.with_label_values(&[health_label(health)]).set(to_gauge(count));
    }

    pub(crate) fn set_upstreams(&self, source: &str, health: Health, count: usize) {
        self.upstreams.with_label_values(&[source, health_label(health)]).set(to_gauge(count));
    }
}

fn health_label(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "degraded",
        Health::Down => "down",
    }
}

fn to_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
