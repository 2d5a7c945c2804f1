//! [`TesterReport`]: whether the figures are the server's or the tester's own.

use pitwall_benches::players::PlaybackStatistics;
use serde::Serialize;

use super::workers::RunMeasurement;

/// The share of all cores beyond which players wait for each other.
const BUSY_SHARE: f64 = 0.9;

/// The share of seconds that may be busy: a short peak, as of arrivals, is none.
const BUSY_SECONDS_SHARE: f64 = 0.1;

/// Timers that fire later than this delay what players ask for, and when they see an answer.
const TIMER_LAG_MAX_MILLISECONDS: f64 = 20.0;

/// A viewer has two connections with HTTP/1.1: a playlist is polled while a segment arrives.
const FILES_PER_VIEWER: usize = 2;

/// Files that the tester has open itself.
const OWN_FILES: usize = 32;

/// What the tester itself needed.
#[derive(Debug, Serialize)]
pub(super) struct TesterReport {
    pub(super) cores: usize,
    /// On average, of all cores.
    pub(super) used_cores: f64,
    pub(super) most_used_cores: f64,
    /// By how much timers fired late, 99th percentile.
    pub(super) timer_lag_p99_ms: f64,
    pub(super) open_files_limit: usize,
    /// Why the figures are worse than what the server does; empty: they are the server's.
    pub(super) limits: Vec<String>,
}

impl TesterReport {
    pub(super) fn new(measured: &RunMeasurement, viewers: usize, open_files: usize) -> Self {
        let used = &measured.used_cores;
        let timer_lag = &measured.statistics.timer_lag;
        let mut report = Self {
            cores: measured.cores,
            // The sum of nothing is -0.0.
            used_cores: (used.iter().sum::<f64>() + 0.0) / used.len().max(1) as f64,
            most_used_cores: used.iter().copied().fold(0.0, f64::max),
            timer_lag_p99_ms: timer_lag.value_at_quantile(0.99) as f64 / 1e3,
            open_files_limit: open_files,
            limits: Vec::new(),
        };
        report.limits = report.find_limits(used, &measured.statistics, viewers);
        report
    }

    fn find_limits(
        &self,
        used_cores: &[f64],
        statistics: &PlaybackStatistics,
        viewers: usize,
    ) -> Vec<String> {
        let mut limits = Vec::new();
        let is_busy = |used: &&f64| **used >= BUSY_SHARE * self.cores as f64;
        let busy = used_cores.iter().filter(is_busy).count();
        if busy > 0 && busy as f64 >= BUSY_SECONDS_SHARE * used_cores.len() as f64 {
            limits.push(format!(
                "processor: the tester used nearly all of {} cores in {busy} of {} seconds",
                self.cores,
                used_cores.len()
            ));
        }
        if self.timer_lag_p99_ms > TIMER_LAG_MAX_MILLISECONDS {
            limits.push(format!(
                "event loop: timers fired {:.0} ms late (p99), so every delay is too long by as \
                 much; this machine does too much, the server's part included if it runs here",
                self.timer_lag_p99_ms
            ));
        }
        let needed = viewers.saturating_mul(FILES_PER_VIEWER).saturating_add(OWN_FILES);
        if needed > self.open_files_limit {
            limits.push(format!(
                "open files: {viewers} viewers may need {needed}, and the limit is {}: raise the \
                 hard one (ulimit -Hn)",
                self.open_files_limit
            ));
        }
        if statistics.local_failures > 0 {
            limits.push(format!(
                "connections: {} failed because this machine had no more open files or ports",
                statistics.local_failures
            ));
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Case {
        used_cores: &'static [f64],
        lag_milliseconds: u64,
        local_failures: u64,
        open_files: usize,
        limits: &'static [&'static str],
    }

    const FINE: Case = Case {
        used_cores: &[0.1, 0.2],
        lag_milliseconds: 1,
        local_failures: 0,
        open_files: 1024,
        limits: &[],
    };

    #[test]
    fn a_tester_says_when_it_is_the_limit() {
        let peak = &[1.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
        for case in [
            FINE,
            Case { used_cores: &[], ..FINE },
            Case { used_cores: peak, ..FINE },
            Case { used_cores: &[1.9, 1.85, 0.3], limits: &["processor: "], ..FINE },
            Case { lag_milliseconds: 40, limits: &["event loop: "], ..FINE },
            Case { open_files: 231, limits: &["open files: "], ..FINE },
            Case { open_files: 232, ..FINE },
            Case { local_failures: 3, limits: &["connections: 3 "], ..FINE },
        ] {
            let mut statistics = PlaybackStatistics::new(Duration::from_secs(1));
            statistics.local_failures = case.local_failures;
            statistics.timer_lag.saturating_record(case.lag_milliseconds * 1000);
            let used_cores = case.used_cores.to_vec();
            let elapsed = Duration::from_secs(1);
            let measured = RunMeasurement { statistics, elapsed, cores: 2, used_cores };
            let limits = TesterReport::new(&measured, 100, case.open_files).limits;
            assert_eq!(limits.len(), case.limits.len(), "{limits:?}");
            for (limit, expected) in limits.iter().zip(case.limits) {
                assert!(limit.starts_with(expected), "{limit}");
            }
        }
    }
}
