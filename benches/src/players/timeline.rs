//! [`Timeline`]: what happened when, for charts.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Intervals of a timeline at most, however long the players watch.
const MAX_INTERVALS: u32 = 300;

/// Equal intervals of the time since the first player's arrival.
#[derive(Clone, Debug)]
pub struct Timeline {
    interval: Duration,
    intervals: Vec<Interval>,
}

/// What all players together did in one interval.
#[derive(Clone, Debug)]
pub struct Interval {
    pub arrivals: u64,
    pub departures: u64,
    pub segments: u64,
    /// Bytes of segments.
    pub bytes: u64,
    pub failures: u64,
    /// Sum over all players.
    pub stalled: Duration,
    /// In microseconds.
    pub first_byte_delay: Histogram<u32>,
    /// The longest time by which a timer of the players fired late.
    pub longest_lag: Duration,
}

impl Timeline {
    /// Intervals of whole seconds that cover `duration`.
    pub(super) fn new(duration: Duration) -> Self {
        let interval = (duration / MAX_INTERVALS).as_secs_f64().ceil().max(1.0);
        let count = (duration.as_secs_f64() / interval).ceil().max(1.0);
        #[expect(clippy::expect_used, reason = "bounds and digits are constants that fit")]
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 2).expect("a histogram");
        let empty = Interval {
            arrivals: 0,
            departures: 0,
            segments: 0,
            bytes: 0,
            failures: 0,
            stalled: Duration::ZERO,
            first_byte_delay: histogram,
            longest_lag: Duration::ZERO,
        };
        Self { interval: Duration::from_secs_f64(interval), intervals: vec![empty; count as usize] }
    }

    pub fn interval(&self) -> Duration {
        self.interval
    }

    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// The interval of a time; what is late counts in the last one.
    pub(super) fn interval_at(&mut self, time: Duration) -> &mut Interval {
        let last = self.intervals.len() - 1;
        let index = (time.as_secs_f64() / self.interval.as_secs_f64()) as usize;
        // `new` makes at least one.
        &mut self.intervals[index.min(last)]
    }

    /// Spreads a stall that ended at `end` over the intervals in which it lasted.
    pub(super) fn record_stall(&mut self, end: Duration, length: Duration) {
        let mut from = end.saturating_sub(length);
        while from < end {
            let index = (from.as_secs_f64() / self.interval.as_secs_f64()).floor() + 1.0;
            let until = self.interval.mul_f64(index).min(end);
            // Rounding must not keep the loop where it is.
            let until = if until > from { until } else { end };
            self.interval_at(from).stalled += until - from;
            from = until;
        }
    }

    /// Adds another timeline of the same simulation.
    pub(super) fn add(&mut self, other: &Self) {
        for (own, other) in self.intervals.iter_mut().zip(&other.intervals) {
            own.arrivals += other.arrivals;
            own.departures += other.departures;
            own.segments += other.segments;
            own.bytes += other.bytes;
            own.failures += other.failures;
            own.stalled += other.stalled;
            own.longest_lag = own.longest_lag.max(other.longest_lag);
            // Both have the same bounds.
            let _ = own.first_byte_delay.add(&other.first_byte_delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_whole_seconds_and_few() {
        for (seconds, interval, count) in
            [(1, 1, 1), (30, 1, 30), (601, 3, 201), (86_400, 288, 300)]
        {
            let timeline = Timeline::new(Duration::from_secs(seconds));
            let actual = (timeline.interval().as_secs(), timeline.intervals().len());
            assert_eq!(actual, (interval, count), "{seconds} s");
        }
    }

    #[test]
    fn a_stall_counts_where_it_lasted() {
        for (end, length, expected) in [
            (2_500, 1_000, [0, 500, 500, 0]),
            (1_000, 1_000, [1_000, 0, 0, 0]),
            // What lasts longer than the timeline counts in its last interval.
            (6_000, 3_500, [0, 0, 500, 3_000]),
            (500, 0, [0; 4]),
        ] {
            let mut timeline = Timeline::new(Duration::from_secs(4));
            timeline.record_stall(Duration::from_millis(end), Duration::from_millis(length));
            let stalled = timeline.intervals().iter().map(|it| it.stalled.as_millis());
            assert_eq!(stalled.collect::<Vec<_>>(), expected, "until {end}");
        }
    }
}
