//! Processor time and memory of a process and its descendants, read from /proc.

use std::collections::HashMap;
use std::fs;

use anyhow::Context;

/// The processor time of every thread of some processes, in nanoseconds.
///
/// `schedstat` counts the same as `utime + stime` of `stat`, but in nanoseconds instead of ticks.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpuTimes {
    threads: HashMap<u32, u64>,
}

impl CpuTimes {
    /// Reads the times of a process and its descendants, since servers work in worker processes.
    pub(crate) fn of_process_tree(process: u32) -> Self {
        Self::read(&process_tree(process))
    }

    /// Reads the times of a process without its descendants.
    pub(crate) fn of_process(process: u32) -> Self {
        Self::read(&[process])
    }

    fn read(processes: &[u32]) -> Self {
        let mut threads = HashMap::new();
        for process in processes {
            for thread in list_threads(*process) {
                let path = format!("/proc/{process}/task/{thread}/schedstat");
                let text = fs::read_to_string(path).unwrap_or_default();
                let nanoseconds = text.split_whitespace().next().and_then(|n| n.parse().ok());
                threads.insert(thread, nanoseconds.unwrap_or_default());
            }
        }
        Self { threads }
    }

    /// Processor seconds since an `earlier` reading. The time of a thread that ended in between is
    /// not counted.
    pub(crate) fn seconds_since(&self, earlier: &Self) -> f64 {
        let nanoseconds: u64 = self
            .threads
            .iter()
            .map(|(thread, now)| now - earlier.threads.get(thread).copied().unwrap_or(0).min(*now))
            .sum();
        nanoseconds as f64 / 1e9
    }
}

/// Processor seconds of all children that this process has waited for.
pub(crate) fn ended_children_cpu_seconds() -> anyhow::Result<f64> {
    read_stat_seconds("self", CHILDREN_TIME_FIELDS)
}

/// Processor seconds of a process since its start, with those of its threads that have ended, which
/// [`CpuTimes`] does not count.
pub(crate) fn process_cpu_seconds(process: u32) -> anyhow::Result<f64> {
    read_stat_seconds(&process.to_string(), OWN_TIME_FIELDS)
}

/// Seconds that the current threads of a process were ready to run and waited for a core: what
/// other work on the machine costs it.
pub(crate) fn process_run_delay_seconds(process: u32) -> f64 {
    let threads = list_threads(process).into_iter();
    let nanoseconds = threads.filter_map(|thread| {
        let path = format!("/proc/{process}/task/{thread}/schedstat");
        let text = fs::read_to_string(path).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}

/// `utime`, the 14th field of `stat`, after which `stime` follows.
const OWN_TIME_FIELDS: usize = 14;
/// `cutime`, the 16th, after which `cstime` follows.
const CHILDREN_TIME_FIELDS: usize = 16;

fn read_stat_seconds(process: &str, first_field: usize) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let ticks = parse_stat_ticks(&stat, first_field)
        .with_context(|| format!("{path} is not what it was"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The sum of two fields of `stat`, counted from 1.
fn parse_stat_ticks(stat: &str, first_field: usize) -> Option<u64> {
    // The second field, the name in parentheses, may contain any character.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(first_field - 3);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Resident memory in bytes: the current value and the peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResidentMemory {
    pub(crate) current: u64,
    pub(crate) peak: u64,
}

impl ResidentMemory {
    pub(crate) fn of_process_tree(process: u32) -> Self {
        process_tree(process).into_iter().fold(Self::default(), |sum, process| {
            let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let one = Self::parse_status(&text);
            Self { current: sum.current + one.current, peak: sum.peak + one.peak }
        })
    }

    fn parse_status(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
            Some(kibibytes * 1024)
        };
        Self {
            current: field("VmRSS:").unwrap_or_default(),
            peak: field("VmHWM:").unwrap_or_default(),
        }
    }
}

/// The process and its descendants, the process first.
fn process_tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        for thread in list_threads(process) {
            let path = format!("/proc/{process}/task/{thread}/children");
            let text = fs::read_to_string(path).unwrap_or_default();
            found.extend(text.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

fn list_threads(process: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{process}/task"));
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_a_status() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t     1024 kB\n";
        assert_eq!(
            ResidentMemory::parse_status(status),
            ResidentMemory { current: 1 << 20, peak: 2 << 20 }
        );
        assert_eq!(ResidentMemory::parse_status(""), ResidentMemory::default());
    }

    #[test]
    fn times_of_a_process_and_its_children_are_read_past_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 8 0 0 11 12 130 14 20 0 1 0";
        for (stat, first_field, expected) in [
            (stat, OWN_TIME_FIELDS, Some(23)),
            (stat, CHILDREN_TIME_FIELDS, Some(144)),
            ("7 (a) S 1", OWN_TIME_FIELDS, None),
        ] {
            assert_eq!(parse_stat_ticks(stat, first_field), expected, "{stat} {first_field}");
        }
    }

    #[test]
    fn time_counts_new_threads_and_forgets_ended_ones() {
        let reading =
            |threads: &[(u32, u64)]| CpuTimes { threads: threads.iter().copied().collect() };
        let earlier = reading(&[(1, 1_000_000_000), (2, 500)]);
        let later = reading(&[(1, 3_000_000_000), (3, 1_000_000_000)]);
        assert!((later.seconds_since(&earlier) - 3.0).abs() < 1e-9);
    }
}
