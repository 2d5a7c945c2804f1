//! What is measured, as it is written to disk. Every table and the chart are made from this.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::peers::{Skipped, Work};

/// One scenario's results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record<T> {
    pub(crate) machine: Machine,
    pub(crate) results: Vec<T>,
    pub(crate) skipped: Vec<Skipped>,
}

/// One result of a scenario.
pub(crate) trait Entry: Serialize + DeserializeOwned {
    /// Whether an older one says nothing any more, now that there is this one.
    fn replaces(&self, older: &Self) -> bool;
    fn contender(&self) -> &str;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

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
    pub(crate) first_byte_p50: f64,
    pub(crate) first_byte_p99: f64,
    pub(crate) whole_p50: f64,
    pub(crate) whole_p99: f64,
    pub(crate) memory: u64,
    pub(crate) memory_peak: u64,
}

impl Figures {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.responses as f64 / self.seconds
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

impl<T: Entry> Record<T> {
    pub(crate) fn new() -> Self {
        Self { machine: Machine::this(), results: Vec::new(), skipped: Vec::new() }
    }

    /// What is there, or an empty one.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} was not written by this program", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// With what an `older` record has besides.
    pub(crate) fn over(mut self, older: Self) -> Self {
        let Self { mut results, mut skipped, .. } = older;
        results.retain(|older| !self.results.iter().any(|newer| newer.replaces(older)));
        skipped.retain(|older| {
            let measured = self.results.iter().any(|newer| newer.contender() == older.name);
            !measured && !self.skipped.iter().any(|newer| newer.name == older.name)
        });
        results.append(&mut self.results);
        skipped.append(&mut self.skipped);
        Self { machine: self.machine, results, skipped }
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

impl Machine {
    pub(crate) fn this() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let processor = model.map_or("", |model| model.trim_start_matches([' ', '\t', ':']));
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processor.to_owned(),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(samples: &[(&str, &str, f64)], skipped: &[&str]) -> Record<Sample> {
        let sample = |(item, contender, seconds): &(&str, &str, f64)| Sample {
            task: Task {
                work: Work::Stored,
                item: (*item).to_owned(),
                connections: 16,
                threads: 1,
            },
            contender: (*contender).to_owned(),
            repetition: 0,
            figures: Figures { seconds: *seconds, ..Figures::default() },
        };
        let reason = String::new();
        let skipped =
            skipped.iter().map(|name| Skipped { name: (*name).to_owned(), reason: reason.clone() });
        Record {
            results: samples.iter().map(sample).collect(),
            skipped: skipped.collect(),
            ..Record::new()
        }
    }

    #[test]
    fn a_task_that_is_measured_anew_replaces_the_old_one() {
        let old = record(&[("1MB", "a", 1.0), ("1MB", "b", 1.0), ("4MB", "a", 1.0)], &["b", "c"]);
        let new = record(&[("1MB", "b", 2.0)], &[]);
        let both = new.over(old);
        let expected = record(&[("4MB", "a", 1.0), ("1MB", "b", 2.0)], &["c"]);
        assert_eq!(both, expected);
        let task = &expected.results[1].task;
        assert_eq!((both.tasks().len(), both.contenders(task)), (2, vec!["b"]));
    }
}
