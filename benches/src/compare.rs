//! Ratios of one contender to another: repetition by repetition, so that a bad moment of the
//! machine, which hits neighbours alike, does not show.

use pitwall_benches::statistics::Spread;

use crate::record::{Figures, Record, Sample, Task};

/// How `contender` compares to `base` at a task; `None` when one of them did not do it.
pub(crate) fn ratio(
    record: &Record<Sample>,
    task: &Task,
    contender: &str,
    base: &str,
    figure: fn(&Figures) -> f64,
) -> Option<Spread> {
    let base: Vec<_> = record.of(task, base).collect();
    Spread::of(record.of(task, contender).filter_map(|sample| {
        let same = base.iter().find(|other| other.repetition == sample.repetition)?;
        Some(figure(&sample.figures) / figure(&same.figures))
    }))
}

/// One figure of a contender at a task.
pub(crate) fn figure(
    record: &Record<Sample>,
    task: &Task,
    contender: &str,
    figure: fn(&Figures) -> f64,
) -> Option<Spread> {
    Spread::of(record.of(task, contender).map(|sample| figure(&sample.figures)))
}
