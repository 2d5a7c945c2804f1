//! What is measured of contenders that take turns at the same task.

use serde::{Deserialize, Serialize};

use super::{Entry, Record};
use crate::peers::Work;

/// One repetition of one contender's at one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    #[serde(flatten)]
    pub(crate) task: Task,
    pub(crate) contender: String,
    pub(crate) repetition: usize,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// What all contenders are given alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) work: Work,
    /// "1MB" of a segment, or the name of a playlist.
    pub(crate) item: String,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
}

impl std::fmt::Display for Task {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { work, item, connections, threads } = self;
        let plural = if *threads == 1 { "" } else { "s" };
        write!(out, "{} {item}, {connections} connections, {threads} thread{plural}", work.name())
    }
}

/// Times in seconds, delays in milliseconds, memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) responses: u64,
    /// Of bodies.
    pub(crate) bytes: u64,
    pub(crate) cpu: f64,
    pub(crate) client_cpu: f64,
    /// `None`: the load generator does not tell.
    pub(crate) first_byte_p50: Option<f64>,
    pub(crate) first_byte_p99: Option<f64>,
    pub(crate) whole_p50: f64,
    pub(crate) whole_p99: f64,
    pub(crate) memory: u64,
    pub(crate) memory_peak: u64,
}

impl Figures {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.responses as f64 / self.seconds
    }

    /// `NaN` where nobody told.
    pub(crate) fn first_byte_p50(&self) -> f64 {
        self.first_byte_p50.unwrap_or(f64::NAN)
    }

    pub(crate) fn first_byte_p99(&self) -> f64 {
        self.first_byte_p99.unwrap_or(f64::NAN)
    }

    /// Of bodies. Counts what of the last answers had come, which requests do not.
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    pub(crate) fn cpu_per_gigabyte(&self) -> f64 {
        self.cpu / (self.bytes as f64 / 1e9)
    }

    pub(crate) fn client_cpu_per_gigabyte(&self) -> f64 {
        self.client_cpu / (self.bytes as f64 / 1e9)
    }

    /// In microseconds.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.cpu * 1e6 / self.responses as f64
    }

    pub(crate) fn client_cpu_per_request(&self) -> f64 {
        self.client_cpu * 1e6 / self.responses as f64
    }
}

impl Record<Sample> {
    /// The tasks that were measured, each once, in order.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.results.iter().map(|sample| sample.task.clone()).collect();
        tasks.sort();
        tasks.dedup();
        tasks
    }

    /// The repetitions of one contender at one task.
    pub(crate) fn of<'a>(
        &'a self,
        task: &'a Task,
        contender: &'a str,
    ) -> impl Iterator<Item = &'a Sample> {
        let these = move |sample: &&Sample| sample.task == *task && sample.contender == contender;
        self.results.iter().filter(these)
    }

    /// Who did a task, in the order in which they were measured first.
    pub(crate) fn contenders(&self, task: &Task) -> Vec<&str> {
        let mut names = Vec::new();
        for sample in self.results.iter().filter(|sample| sample.task == *task) {
            if !names.contains(&sample.contender.as_str()) {
                names.push(&sample.contender);
            }
        }
        names
    }
}

impl Entry for Sample {
    /// Contenders are compared within one run, so a task is measured anew for all of them.
    fn replaces(&self, older: &Self) -> bool {
        self.task == older.task
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}
