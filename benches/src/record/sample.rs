//! [`Sample`]: the result of one contender at one task in one repetition.

use serde::{Deserialize, Serialize};

use super::{RecordEntry, ScenarioRecord};
use crate::peers::Workload;

/// One measurement of one contender at one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    #[serde(flatten)]
    pub(crate) task: Task,
    pub(crate) contender: String,
    pub(crate) repetition: usize,
    #[serde(flatten)]
    pub(crate) figures: Measurements,
}

/// A task, the same for all contenders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) work: Workload,
    /// The size of a segment, such as "1MB", or the name of a playlist.
    pub(crate) item: String,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
}

impl std::fmt::Display for Task {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { work, item, connections, threads } = self;
        let plural = if *threads == 1 { "" } else { "s" };
        write!(out, "{} {item}, {connections} connections, {threads} thread{plural}", work.label())
    }
}

/// The figures of one measurement: times in seconds, delays in milliseconds, memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurements {
    pub(crate) seconds: f64,
    pub(crate) responses: u64,
    /// Bytes of bodies.
    pub(crate) bytes: u64,
    pub(crate) cpu: f64,
    pub(crate) client_cpu: f64,
    /// `None` when the load generator does not measure it, as h2load.
    pub(crate) first_byte_p50: Option<f64>,
    pub(crate) first_byte_p99: Option<f64>,
    pub(crate) whole_p50: f64,
    pub(crate) whole_p99: f64,
    pub(crate) memory: u64,
    pub(crate) memory_peak: u64,
}

impl Measurements {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.responses as f64 / self.seconds
    }

    /// In milliseconds; `NaN` when not measured.
    pub(crate) fn first_byte_p50(&self) -> f64 {
        self.first_byte_p50.unwrap_or(f64::NAN)
    }

    /// In milliseconds; `NaN` when not measured.
    pub(crate) fn first_byte_p99(&self) -> f64 {
        self.first_byte_p99.unwrap_or(f64::NAN)
    }

    /// Rate of body bytes. Unlike [`Self::requests_per_second`] it includes the part of the last,
    /// incomplete responses.
    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    /// Processor seconds per gigabyte (10^9 bytes) of bodies.
    pub(crate) fn cpu_per_gigabyte(&self) -> f64 {
        self.cpu / (self.bytes as f64 / 1e9)
    }

    pub(crate) fn client_cpu_per_gigabyte(&self) -> f64 {
        self.client_cpu / (self.bytes as f64 / 1e9)
    }

    /// Processor microseconds per request.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.cpu * 1e6 / self.responses as f64
    }

    pub(crate) fn client_cpu_per_request(&self) -> f64 {
        self.client_cpu * 1e6 / self.responses as f64
    }
}

impl ScenarioRecord<Sample> {
    /// The measured tasks, sorted and without duplicates.
    pub(crate) fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = self.results.iter().map(|sample| sample.task.clone()).collect();
        tasks.sort();
        tasks.dedup();
        tasks
    }

    /// The samples of one contender at one task.
    pub(crate) fn samples_of<'a>(
        &'a self,
        task: &'a Task,
        contender: &'a str,
    ) -> impl Iterator<Item = &'a Sample> {
        let matches = move |sample: &&Sample| sample.task == *task && sample.contender == contender;
        self.results.iter().filter(matches)
    }

    /// The names of the contenders measured at a task, in the order of their first samples.
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

impl RecordEntry for Sample {
    /// A new sample supersedes the task's older samples of all contenders, since contenders are
    /// only compared within one run.
    fn supersedes(&self, older: &Self) -> bool {
        self.task == older.task
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}
