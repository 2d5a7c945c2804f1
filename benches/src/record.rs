//! Records: the results of scenarios as JSON files, from which all tables and the chart are made.
//!
//! - [`sample`]: results of contenders that are measured in turns at the same task.

mod sample;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::peers::SkippedContender;
pub(crate) use sample::{Measurements, Sample, Task};

/// The results of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScenarioRecord<T> {
    pub(crate) machine: Machine,
    pub(crate) results: Vec<T>,
    pub(crate) skipped: Vec<SkippedContender>,
}

/// One result of a scenario.
pub(crate) trait RecordEntry: Serialize + DeserializeOwned {
    /// Whether this result replaces an older one.
    fn supersedes(&self, older: &Self) -> bool;
    fn contender(&self) -> &str;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl<T: RecordEntry> ScenarioRecord<T> {
    pub(crate) fn new() -> Self {
        Self { machine: Machine::detect(), results: Vec::new(), skipped: Vec::new() }
    }

    /// Reads the record at `path`; a missing file is an empty record.
    ///
    /// # Errors
    /// When the file cannot be read or parsed.
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

    /// Merges the results of an `older` record that this record does not supersede.
    pub(crate) fn merge_older(mut self, older: Self) -> Self {
        let Self { mut results, mut skipped, .. } = older;
        results.retain(|older| !self.results.iter().any(|newer| newer.supersedes(older)));
        skipped.retain(|older| {
            let measured = self.results.iter().any(|newer| newer.contender() == older.name);
            !measured && !self.skipped.iter().any(|newer| newer.name == older.name)
        });
        results.append(&mut self.results);
        skipped.append(&mut self.skipped);
        Self { machine: self.machine, results, skipped }
    }
}

/// The file of the record `name` in the output directory.
pub(crate) fn record_file_path(output: &Path, name: &str) -> PathBuf {
    output.join(format!("{name}.json"))
}

impl Machine {
    pub(crate) fn detect() -> Self {
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
    use crate::peers::Workload;

    fn record(samples: &[(&str, &str, f64)], skipped: &[&str]) -> ScenarioRecord<Sample> {
        let sample = |(item, contender, seconds): &(&str, &str, f64)| Sample {
            task: Task {
                work: Workload::Stored,
                item: (*item).to_owned(),
                connections: 16,
                threads: 1,
            },
            contender: (*contender).to_owned(),
            repetition: 0,
            figures: Measurements { seconds: *seconds, ..Measurements::default() },
        };
        let reason = String::new();
        let skipped = skipped
            .iter()
            .map(|name| SkippedContender { name: (*name).to_owned(), reason: reason.clone() });
        ScenarioRecord {
            results: samples.iter().map(sample).collect(),
            skipped: skipped.collect(),
            ..ScenarioRecord::new()
        }
    }

    #[test]
    fn a_task_that_is_measured_anew_replaces_the_old_one() {
        let old = record(&[("1MB", "a", 1.0), ("1MB", "b", 1.0), ("4MB", "a", 1.0)], &["b", "c"]);
        let new = record(&[("1MB", "b", 2.0)], &[]);
        let both = new.merge_older(old);
        let expected = record(&[("4MB", "a", 1.0), ("1MB", "b", 2.0)], &["c"]);
        assert_eq!(both, expected);
        let task = &expected.results[1].task;
        assert_eq!((both.tasks().len(), both.contenders(task)), (2, vec!["b"]));
    }
}
