//! What a process and its children took of the machine, from /proc.

use std::collections::HashMap;
use std::fs;

use anyhow::Context;

/// A reading of the processor time of every thread of a tree of processes.
///
/// `schedstat` counts the same as `utime + stime` of `stat`, in nanoseconds instead of ticks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cpu {
    threads: HashMap<u32, u64>,
}

impl Cpu {
    /// Of the process and all below it: workers do the work of a master.
    pub(crate) fn of(process: u32) -> Self {
        Self::read(&tree(process))
    }

    /// Of the process without what it started.
    pub(crate) fn of_only(process: u32) -> Self {
        Self::read(&[process])
    }

    fn read(processes: &[u32]) -> Self {
        let mut threads = HashMap::new();
        for process in processes {
            for thread in threads_of(*process) {
                let path = format!("/proc/{process}/task/{thread}/schedstat");
                let text = fs::read_to_string(path).unwrap_or_default();
                let nanoseconds = text.split_whitespace().next().and_then(|n| n.parse().ok());
                threads.insert(thread, nanoseconds.unwrap_or_default());
            }
        }
        Self { threads }
    }

    /// Seconds since an `earlier` reading. A thread that ended takes its last share with it.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let nanoseconds: u64 = self
            .threads
            .iter()
            .map(|(thread, now)| now - earlier.threads.get(thread).copied().unwrap_or(0).min(*now))
            .sum();
        nanoseconds as f64 / 1e9
    }
}

/// Seconds that those took whose end this process has seen.
pub(crate) fn of_ended_children() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let ticks = ticks_of_ended_children(&stat).context("/proc/self/stat is not what it was")?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn ticks_of_ended_children(stat: &str) -> Option<u64> {
    // The second field, a name in brackets, may hold anything; `cutime` and `cstime` are the 16th
    // and 17th.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(13);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Resident memory in bytes: now, and the most there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    pub(crate) peak: u64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Self {
        tree(process).into_iter().fold(Self::default(), |sum, process| {
            let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            let one = Self::parse(&text);
            Self { now: sum.now + one.now, peak: sum.peak + one.peak }
        })
    }

    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
            Some(kibibytes * 1024)
        };
        Self { now: field("VmRSS:").unwrap_or_default(), peak: field("VmHWM:").unwrap_or_default() }
    }
}

/// The process and all below it, the process first.
fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(process) = found.get(next).copied() {
        for thread in threads_of(process) {
            let path = format!("/proc/{process}/task/{thread}/children");
            let text = fs::read_to_string(path).unwrap_or_default();
            found.extend(text.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

fn threads_of(process: u32) -> Vec<u32> {
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
        assert_eq!(Memory::parse(status), Memory { now: 1 << 20, peak: 2 << 20 });
        assert_eq!(Memory::parse(""), Memory::default());
    }

    #[test]
    fn the_time_of_ended_children_is_read_past_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 8 0 0 11 12 130 14 20 0 1 0";
        assert_eq!(ticks_of_ended_children(stat), Some(144));
        assert_eq!(ticks_of_ended_children("7 (a) S 1"), None);
    }

    #[test]
    fn time_counts_new_threads_and_forgets_ended_ones() {
        let reading = |threads: &[(u32, u64)]| Cpu { threads: threads.iter().copied().collect() };
        let earlier = reading(&[(1, 1_000_000_000), (2, 500)]);
        let later = reading(&[(1, 3_000_000_000), (3, 1_000_000_000)]);
        assert!((later.since(&earlier) - 3.0).abs() < 1e-9);
    }
}
