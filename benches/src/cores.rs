//! Assigns processor cores: contenders run on the first ones, everything that is not measured on
//! the others.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores on which this process may run.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    all: Vec<usize>,
}

impl Cores {
    /// Reads the affinity mask of this process.
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("which cores are ours?")?;
        let all = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        Ok(Self { all })
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The cores of a contender with so many threads: the first `threads` cores, at least one.
    pub(crate) fn contender_cores(&self, threads: usize) -> &[usize] {
        let (cores, _) = self.all.split_at(threads.clamp(1, self.all.len()));
        cores
    }

    /// The cores of origin and load generator: all but the first; on one core, that one.
    pub(crate) fn harness_cores(&self) -> &[usize] {
        match self.all.as_slice() {
            [_, others @ ..] if !others.is_empty() => others,
            all => all,
        }
    }
}

/// Pins the calling thread to `cores`; threads and processes that it starts later inherit the mask.
pub(crate) fn pin_thread(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to cores {cores:?}"))
}
