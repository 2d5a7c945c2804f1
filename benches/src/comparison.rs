//! Ratios of one contender to another, computed per repetition: a slow moment of the machine
//! affects the contenders of the same repetition alike, and so cancels out.

use pitwall_benches::statistics::Spread;

use crate::record::{Measurements, Sample, ScenarioRecord, Task};

/// The ratio of `contender`'s figure to `base`'s at a task; `None` without a repetition in which
/// both were measured.
pub(crate) fn ratio_spread(
    record: &ScenarioRecord<Sample>,
    task: &Task,
    contender: &str,
    base: &str,
    figure: fn(&Measurements) -> f64,
) -> Option<Spread> {
    let base: Vec<_> = record.samples_of(task, base).collect();
    Spread::of(record.samples_of(task, contender).filter_map(|sample| {
        let base_sample = base.iter().find(|other| other.repetition == sample.repetition)?;
        Some(figure(&sample.figures) / figure(&base_sample.figures))
    }))
}

/// The spread of one figure of a contender at a task; `None` when it was not measured.
pub(crate) fn figure_spread(
    record: &ScenarioRecord<Sample>,
    task: &Task,
    contender: &str,
    figure: fn(&Measurements) -> f64,
) -> Option<Spread> {
    Spread::of(record.samples_of(task, contender).map(|sample| figure(&sample.figures)))
}

/// The median, `NaN` when nothing was measured.
pub(crate) fn median_or_nan(spread: Option<Spread>) -> f64 {
    spread.map_or(f64::NAN, |spread| spread.median)
}
