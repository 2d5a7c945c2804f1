//! What the control plane counts. Labels come only from the configuration, or from closed sets: a
//! stream is named where the configuration names it, and only counted where a list or a page does.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pitwall_upstream_map::documents::Schedule;
use pitwall_upstream_map::{Health, StreamId};
use prometheus::{Gauge, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::engine::Key;
use crate::engine::contender::Contender;
use crate::engine::known::KnownStreams;
use crate::engine::order::{Ranked, Ranking};
use crate::engine::sources::SourceState;
use crate::engine::work::Report;

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
    live: IntGauge,
    token_left: IntGaugeVec,
    refreshes: IntCounterVec,
    schedule_age: Gauge,
    map_version: IntGauge,
}

#[derive(Clone, Copy)]
pub(crate) enum CheckOutcome {
    Passed,
    /// It failed, or has to prove itself.
    Doubtful,
    Failed,
    /// By the upstream.
    Refused,
}

#[derive(Clone, Copy)]
pub(crate) enum RefreshOutcome {
    /// An upstream that was not there.
    New,
    Renewed,
    /// The same URL again.
    Unchanged,
    Failed,
}

const HEALTHS: [(Health, &str); 3] =
    [(Health::Healthy, "healthy"), (Health::Degraded, "degraded"), (Health::Down, "down")];
/// Steps are configured; an extractor that makes them up makes no more series than this.
const MOST_STEPS: usize = 32;

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
            live: gauge(
                "pitwall_session_live",
                "Whether a session is on; past its nominal end only while a stream is healthy.",
            )?,
            token_left: gauges(
                "pitwall_token_left_seconds",
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
        })
    }

    /// Series that are there before anything happened: an absent one alerts nobody.
    pub(crate) fn configured(&self, source: &str, now: Timestamp) {
        self.failing.with_label_values(&[source]).set(0);
        self.last_success(source, now);
        for outcome in ["success", "failure"] {
            self.runs.with_label_values(&[source, outcome, "none"]);
        }
        for outcome in ["new", "renewed", "unchanged", "failed"] {
            self.refreshes.with_label_values(&[source, outcome]);
        }
        for outcome in ["passed", "doubtful", "failed", "refused"] {
            self.checks.with_label_values(&[source, outcome]);
        }
        self.dropped.with_label_values(&[source]);
    }

    pub(crate) fn ran(&self, source: &str, report: &Report, now: Timestamp) {
        let (outcome, step) = match report.failure() {
            None => ("success", "none"),
            Some(failure) => ("failure", failure.step.as_str()),
        };
        self.count_run(source, outcome, step);
        self.failing.with_label_values(&[source]).set(i64::from(outcome == "failure"));
        if outcome == "success" {
            self.last_success(source, now);
        }
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.candidates.with_label_values(&[source]).set(count(report.candidates));
        self.dropped.with_label_values(&[source]).inc_by(report.dropped as u64);
    }

    pub(crate) fn last_success(&self, source: &str, at: Timestamp) {
        self.last_success.with_label_values(&[source]).set(at.as_second());
    }

    fn count_run(&self, source: &str, outcome: &str, step: &str) {
        use prometheus::core::Collector as _;
        let known = |family: &prometheus::proto::MetricFamily| {
            let of_source = family
                .get_metric()
                .iter()
                .filter(|metric| metric.get_label().iter().any(|label| label.value() == source));
            let steps: Vec<_> = of_source.flat_map(|metric| metric.get_label()).collect();
            steps.iter().any(|label| label.name() == "step" && label.value() == step)
                || steps.len() / 3 < MOST_STEPS
        };
        let step = if self.runs.collect().iter().all(known) { step } else { "other" };
        self.runs.with_label_values(&[source, outcome, step]).inc();
    }

    pub(crate) fn checked(&self, source: &str, outcome: CheckOutcome) {
        let outcome = match outcome {
            CheckOutcome::Passed => "passed",
            CheckOutcome::Doubtful => "doubtful",
            CheckOutcome::Failed => "failed",
            CheckOutcome::Refused => "refused",
        };
        self.checks.with_label_values(&[source, outcome]).inc();
    }

    pub(crate) fn refreshed(&self, source: &str, outcome: RefreshOutcome) {
        let outcome = match outcome {
            RefreshOutcome::New => "new",
            RefreshOutcome::Renewed => "renewed",
            RefreshOutcome::Unchanged => "unchanged",
            RefreshOutcome::Failed => "failed",
        };
        self.refreshes.with_label_values(&[source, outcome]).inc();
    }

    pub(crate) fn waiting(&self, checks: usize) {
        self.checks_waiting.set(i64::try_from(checks).unwrap_or(i64::MAX));
    }

    pub(crate) fn tokens(
        &self,
        sources: &[SourceState],
        contenders: &BTreeMap<Key, Contender>,
        now: Timestamp,
    ) {
        for (index, state) in sources.iter().enumerate() {
            let of_source = contenders.iter().filter(|(key, _)| key.source == index);
            let alive = of_source.filter(|(_, one)| one.health() != Health::Down);
            let left = alive.filter_map(|(_, one)| one.token_left(now)).min();
            let name = [state.source.name.as_str()];
            match left {
                Some(left) => {
                    let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                    self.token_left.with_label_values(&name).set(seconds);
                }
                // It was never there: nothing to remove.
                None => drop(self.token_left.remove_label_values(&name)),
            }
        }
    }

    pub(crate) fn schedule(&self, schedule: &Schedule, now: Timestamp) {
        let age = schedule.fetched_at.map(|at| now.duration_since(at).as_secs_f64());
        self.schedule_age.set(age.unwrap_or(-1.0));
    }

    pub(crate) fn published(
        &self,
        version: u64,
        streams: &Ranked<'_>,
        known: &KnownStreams,
        sources: &[SourceState],
        on: bool,
    ) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.map_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        self.live.set(i64::from(on));
        let places = || streams.values().flat_map(|ranking| &ranking.places);
        let plays = |stream: &StreamId| {
            let active = streams.get(stream).and_then(Ranking::active);
            active.map_or(Health::Down, |place| place.health)
        };
        for stream in known.configured().into_iter().filter(|one| known.get(one).is_some()) {
            let is_up = plays(stream) != Health::Down;
            self.stream_up.with_label_values(&[stream.as_str()]).set(i64::from(is_up));
        }
        for (health, state) in HEALTHS {
            for (index, source) in sources.iter().enumerate() {
                let mine = places().filter(|place| place.key.source == index);
                let these = mine.filter(|place| place.health == health).count();
                let labels = [source.source.name.as_str(), state];
                self.upstreams.with_label_values(&labels).set(count(these));
            }
            let these = known.iter().filter(|(stream, _)| plays(stream) == health).count();
            self.streams.with_label_values(&[state]).set(count(these));
        }
    }
}
