//! Who runs where: the contender on one core, everything that is not measured on the others.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The machine's cores, as this process was given them.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    all: Vec<usize>,
}

impl Cores {
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("which cores are ours?")?;
        let all = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        Ok(Self { all })
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The contender's: the first `threads`.
    pub(crate) fn measured(&self, threads: usize) -> &[usize] {
        let (cores, _) = self.all.split_at(threads.clamp(1, self.all.len()));
        cores
    }

    /// Origin and load generator: all but the first, where there is more than one.
    pub(crate) fn others(&self) -> &[usize] {
        match self.all.as_slice() {
            [_, others @ ..] if !others.is_empty() => others,
            all => all,
        }
    }
}

/// Pins the calling thread; what it starts afterwards inherits that.
pub(crate) fn pin(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to cores {cores:?}"))
}
