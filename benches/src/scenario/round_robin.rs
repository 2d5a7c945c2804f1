//! Measures running contenders in turns, repetition by repetition.

use std::collections::HashSet;

use super::ScenarioOptions;
use crate::peers::{Contender, SkippedContender};
use crate::record::{Measurements, Sample, ScenarioRecord, Task};
use crate::{print_text, task_table};

pub(crate) struct RoundRobin<'a> {
    options: &'a ScenarioOptions,
    contenders: Vec<Contender>,
    /// Contenders and the tasks at which they failed, which are not repeated.
    failed_tasks: HashSet<(String, Task)>,
}

impl<'a> RoundRobin<'a> {
    pub(crate) fn new(options: &'a ScenarioOptions, contenders: Vec<Contender>) -> Self {
        Self { options, contenders, failed_tasks: HashSet::new() }
    }

    /// Measures all contenders at `task`, one after the other, in each repetition; `measure`
    /// verifies and measures one contender.
    pub(crate) fn measure_task(
        &mut self,
        task: &Task,
        record: &mut ScenarioRecord<Sample>,
        mut measure: impl FnMut(&Contender) -> anyhow::Result<Measurements>,
    ) {
        for repetition in 0..self.options.repetitions {
            let count = self.contenders.len();
            for position in 0..count {
                // Each repetition begins with another contender, so that none is always first.
                let Some(contender) = self.contenders.get((position + repetition) % count) else {
                    continue;
                };
                let key = (contender.name.clone(), task.clone());
                if !contender.workloads.contains(&task.work) || self.failed_tasks.contains(&key) {
                    continue;
                }
                match measure(contender) {
                    Ok(figures) => record.results.push(Sample {
                        task: task.clone(),
                        contender: contender.name.clone(),
                        repetition,
                        figures,
                    }),
                    Err(error) => {
                        let name = contender.name.clone();
                        let reason = format!("{task}: {error:#}");
                        record.skipped.push(SkippedContender { name, reason });
                        self.failed_tasks.insert(key);
                    }
                }
            }
        }
        print_text(&task_table::render_task(record, task));
    }
}
