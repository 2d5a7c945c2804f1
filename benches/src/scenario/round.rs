//! The contenders of one number of threads, while they run, taking turns.

use std::collections::HashSet;

use super::Terms;
use crate::peers::{Contender, Skipped};
use crate::record::{Figures, Record, Sample, Task};
use crate::{report, say};

pub(crate) struct Round<'a> {
    terms: &'a Terms,
    contenders: Vec<Contender>,
    /// Who failed at what; asked for it no more.
    failed: HashSet<(String, Task)>,
}

impl<'a> Round<'a> {
    pub(crate) fn new(terms: &'a Terms, contenders: Vec<Contender>) -> Self {
        Self { terms, contenders, failed: HashSet::new() }
    }

    /// Everybody's turn, again and again; `one` checks what a contender answers and measures it.
    pub(crate) fn measure(
        &mut self,
        task: &Task,
        record: &mut Record<Sample>,
        mut one: impl FnMut(&Contender) -> anyhow::Result<Figures>,
    ) {
        for repetition in 0..self.terms.repetitions {
            let count = self.contenders.len();
            for turn in 0..count {
                // Each repetition begins with another one.
                let Some(contender) = self.contenders.get((turn + repetition) % count) else {
                    continue;
                };
                let key = (contender.name.clone(), task.clone());
                if !contender.works.contains(&task.work) || self.failed.contains(&key) {
                    continue;
                }
                match one(contender) {
                    Ok(figures) => record.results.push(Sample {
                        task: task.clone(),
                        contender: contender.name.clone(),
                        repetition,
                        figures,
                    }),
                    Err(error) => {
                        let name = contender.name.clone();
                        let reason = format!("{task}: {error:#}");
                        record.skipped.push(Skipped { name, reason });
                        self.failed.insert(key);
                    }
                }
            }
        }
        say(&report::task(record, task));
    }
}
