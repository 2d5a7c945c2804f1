//! [`TrackedUpstream`]: an upstream of a stream, its health and its statistics. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use pitwall_upstream_map::documents::{ExpirySource, ScorePart};
use pitwall_upstream_map::{Health, Rendition, Role};
use tokio::time::Instant;

use super::figures::Figures;
use super::liveness::LivenessDetector;
use super::source_state::SourceState;
use super::upstream_stats::UpstreamStats;
use crate::breaker::CircuitBreaker;
use crate::check::{CheckError, CheckFailureKind, CheckFindings};
use crate::expiry::TokenExpiry;
use crate::extract::Candidate;
use crate::model::upstream_stats::UpstreamHistory;
use crate::source::CheckRules;

pub(crate) struct TrackedUpstream {
    pub(crate) candidate: Candidate,
    pub(crate) findings: CheckFindings,
    pub(crate) expiry: TokenExpiry,
    pub(crate) stats: UpstreamStats,
    pub(crate) breaker: CircuitBreaker,
    /// Grows whenever the upstream's URLs change.
    pub(crate) generation: u64,
    /// When the last passed check ended.
    pub(crate) last_passed_at: Timestamp,
    last_passed_instant: Instant,
    pub(crate) last_error: Option<String>,
    pub(crate) next_check_at: Instant,
    /// When the running check began.
    pub(crate) check_running_since: Option<Instant>,
    /// When the last check began.
    pub(crate) last_check_began_at: Instant,
    /// When the source last found the upstream.
    last_found_at: Instant,
    /// When the current URL first passed a check.
    url_first_passed_at: Instant,
    liveness: LivenessDetector,
    /// The token is about to expire or has expired, and was not renewed.
    is_token_ending: bool,
    /// Age of the current URL when it was rejected.
    observed_lifetime: Option<Duration>,
    /// The score by the last measurements, which ranking goes by.
    pub(crate) score: f64,
    latest_figures: Figures,
    /// What the documents show.
    pub(crate) figures: Figures,
    /// As the documents show it, see [`is_listed`](Self::is_listed).
    pub(crate) is_shown: bool,
}

/// An upstream whose source fails to renew its token is degraded this long before the token
/// expires.
const TOKEN_ENDING_THRESHOLD: Duration = Duration::from_secs(10);

/// What the findings of a check are judged by.
#[derive(Clone, Copy)]
pub(crate) struct CheckContext<'a> {
    pub(crate) rules: &'a CheckRules,
    pub(crate) now: Timestamp,
    /// The generation that the upstream takes if its URLs have changed.
    pub(crate) next_generation: u64,
}

impl TrackedUpstream {
    pub(crate) fn new(
        candidate: Candidate,
        findings: CheckFindings,
        expiry: TokenExpiry,
        context: CheckContext<'_>,
        history: Option<UpstreamHistory>,
    ) -> Self {
        let UpstreamHistory { record: mut stats, trips } = history.unwrap_or_default();
        stats.record_passed_check(&findings.sample);
        let (now, mut liveness) = (Instant::now(), LivenessDetector::new());
        // The first sample only sets the baseline; deviations show with the next one.
        let _ = liveness.observe(&findings, context.rules, context.now);
        Self {
            candidate,
            findings,
            expiry,
            stats,
            breaker: CircuitBreaker::new(trips),
            generation: context.next_generation,
            last_passed_at: context.now,
            last_passed_instant: now,
            last_error: None,
            next_check_at: now,
            check_running_since: None,
            last_check_began_at: now,
            last_found_at: now,
            url_first_passed_at: now,
            liveness,
            is_token_ending: false,
            observed_lifetime: None,
            score: 0.0,
            figures: Figures::default(),
            latest_figures: Figures::default(),
            is_shown: false,
        }
    }

    /// Takes the figures of the last measurements, with the parts of the score.
    pub(crate) fn refresh_latest_figures(&mut self, score_parts: Vec<ScorePart>, now: Timestamp) {
        self.score = score_parts.iter().map(|part| part.points).sum();
        self.latest_figures = Figures {
            measured_at: Some(now),
            score: self.score,
            score_parts,
            latency: self.stats.latency(),
            throughput: self.stats.throughput(),
            bit_rate: self.findings.sample.bit_rate,
            lag: self.findings.live_edge.lag(now),
        };
        if self.latest_figures.should_replace_at_once(&self.figures) {
            self.figures.clone_from(&self.latest_figures);
        }
    }

    /// Shows the latest figures if they differ enough from those that are shown; returns whether
    /// they do.
    pub(crate) fn show_latest_figures(&mut self) -> bool {
        let do_differ = self.latest_figures.should_replace(&self.figures);
        if do_differ {
            self.figures.clone_from(&self.latest_figures);
        }
        do_differ
    }

    pub(crate) fn check_due_at(&self) -> Option<Instant> {
        self.check_running_since.is_none().then_some(self.next_check_at)
    }

    pub(crate) fn begin_check(&mut self) {
        self.last_check_began_at = Instant::now();
        self.check_running_since = Some(self.last_check_began_at);
    }

    pub(crate) fn health(&self) -> Health {
        match self.breaker.health() {
            Health::Healthy if self.is_token_ending || self.liveness.repetition().is_some() => {
                Health::Degraded
            }
            health => health,
        }
    }

    /// The age of the current URL when it was rejected, if `successor` replaces that URL.
    pub(crate) fn observed_lifetime(&self, successor: &Candidate) -> Option<Duration> {
        self.observed_lifetime.filter(|_| !self.candidate.is_same_find(successor))
    }

    /// Replaces the candidate by a newly extracted one that passed its check. An unchanged URL
    /// takes no new generation and counts as one more passed check.
    pub(crate) fn replace_candidate(
        &mut self,
        candidate: Candidate,
        findings: CheckFindings,
        expiry: TokenExpiry,
        context: CheckContext<'_>,
    ) {
        self.last_found_at = Instant::now();
        let is_new_url = !self.candidate.is_same_find(&candidate);
        (self.candidate, self.expiry) = (candidate, expiry);
        if !is_new_url {
            self.apply_recheck(Ok(findings), context);
            return;
        }
        // The result of a running check of the previous URL will be ignored because of its
        // generation.
        self.generation = context.next_generation;
        self.url_first_passed_at = Instant::now();
        self.observed_lifetime = None;
        match self.liveness.observe(&findings, context.rules, context.now) {
            Ok(()) => {
                self.breaker.reset_for_new_url();
                self.record_passed_check(findings, context.now);
            }
            // The same frozen picture behind a new token.
            Err(error) => {
                self.findings = findings;
                self.record_failed_check(&error);
            }
        }
    }

    /// Applies the result of a recheck; returns whether the upstream's URLs changed and the next
    /// generation was used.
    pub(crate) fn apply_recheck(
        &mut self,
        result: Result<CheckFindings, CheckError>,
        context: CheckContext<'_>,
    ) -> bool {
        let urls = |upstream: &Self| -> Vec<_> {
            upstream
                .offered_renditions()
                .map(|one| (one.id.clone(), one.playlist.clone()))
                .collect()
        };
        let before = urls(self);
        let alive = |findings: CheckFindings| {
            self.liveness.observe(&findings, context.rules, context.now).map(|()| findings)
        };
        match result.and_then(alive) {
            Ok(findings) => {
                self.breaker.record_success();
                self.record_passed_check(findings, context.now);
                let changed = before != urls(self);
                if changed {
                    self.generation = context.next_generation;
                }
                changed
            }
            Err(error) => {
                self.record_failed_check(&error);
                false
            }
        }
    }

    fn record_passed_check(&mut self, findings: CheckFindings, now: Timestamp) {
        self.stats.record_passed_check(&findings.sample);
        self.findings = findings;
        self.last_passed_at = now;
        self.last_passed_instant = Instant::now();
        self.last_error = self.liveness.repetition().map(|repetition| repetition.to_string());
        self.observed_lifetime = None;
        self.is_token_ending = false;
        self.update_token_ending(now, false);
    }

    fn record_failed_check(&mut self, error: &CheckError) {
        self.stats.record_failed_check();
        self.breaker.record_failure(error.kind);
        self.last_error = Some(error.message.clone());
        if error.kind == CheckFailureKind::TokenRejected
            && self.expiry.source != ExpirySource::Upstream
        {
            self.observed_lifetime.get_or_insert(
                self.last_passed_instant.saturating_duration_since(self.url_first_passed_at),
            );
        }
    }

    /// Marks a token that has expired, or is about to while its source fails: the upstream may
    /// still play, but not for long. Returns whether that is new.
    pub(crate) fn update_token_ending(&mut self, now: Timestamp, source_is_failing: bool) -> bool {
        let Some(left) = self.token_time_left(now) else { return false };
        let ending = left.is_zero() || (source_is_failing && left <= TOKEN_ENDING_THRESHOLD);
        if !ending || self.is_token_ending {
            return false;
        }
        self.is_token_ending = true;
        let message = if left.is_zero() { "has ended" } else { "ends and is not renewed" };
        self.last_error.get_or_insert(format!("its token {message}"));
        true
    }

    /// Remaining life of the token, zero if expired; `None` without a known expiry.
    pub(crate) fn token_time_left(&self, now: Timestamp) -> Option<Duration> {
        let left = self.expiry.expires_at?.duration_since(now);
        Some(Duration::try_from(left).unwrap_or_default())
    }

    /// May the upstream be listed? A healthy one may, unless its check is slow; an upstream in
    /// doubt only if it passed a check within `max_age`.
    pub(crate) fn is_listed(&self, max_age: Duration) -> bool {
        // A check that takes a third of `max_age` neither confirms nor refutes the upstream's
        // health.
        let slow = self.check_running_since.is_some_and(|since| since.elapsed() >= max_age / 3);
        let is_certain = self.health() == Health::Healthy && !slow;
        self.health() != Health::Down
            && (is_certain || self.last_passed_instant.elapsed() < max_age)
    }

    /// Records that the source found the upstream again, though the find failed its check.
    pub(crate) fn mark_found(&mut self) {
        self.last_found_at = Instant::now();
    }

    /// When the source last found the upstream.
    pub(crate) fn last_found_at(&self) -> Instant {
        self.last_found_at
    }

    /// Has the upstream been down for `after`, and does its source no longer list it?
    pub(crate) fn is_forgettable(&self, after: Duration, source: &SourceState) -> bool {
        self.breaker.down_for() >= after && !source.is_find_still_known(self.last_found_at)
    }

    /// The renditions offered to viewers: all but frozen ones.
    pub(crate) fn offered_renditions(&self) -> impl Iterator<Item = &Rendition> {
        self.findings.renditions.iter().filter(|one| !self.liveness.is_rendition_stuck(&one.id))
    }

    pub(crate) fn target_duration(&self) -> Duration {
        self.findings.live_edge.target_duration
    }

    /// Bits per second of the best video: measured, else claimed.
    pub(crate) fn bit_rate(&self) -> Option<u64> {
        let video = self.findings.renditions.iter().find(|one| one.role == Role::Video);
        self.findings.sample.bit_rate.or(video?.bandwidth)
    }
}
