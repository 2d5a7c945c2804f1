//! Metrics of the process itself, by the names that every Prometheus client has: memory, CPU, open
//! files and start time. They are read from `/proc` at each scrape. And which build it is.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntGauge, Opts, Registry};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The commit of which this was built, as `build.rs` finds it.
pub(crate) const COMMIT: &str = env!("PITWALL_COMMIT");

/// Registers the metrics of this process.
///
/// # Errors
/// They are already registered.
pub(crate) fn register(registry: &Registry) -> prometheus::Result<()> {
    let build_info = Opts::new("pitwall_build_info", "1, with version and commit as labels.")
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("commit", COMMIT);
    let build_info = IntGauge::with_opts(build_info)?;
    build_info.set(1);
    registry.register(Box::new(build_info))?;
    registry.register(Box::new(ProcessCollector::new()?))
}

/// Reads `/proc` when it is collected.
struct ProcessCollector {
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    virtual_bytes: IntGauge,
    threads: IntGauge,
    open_fds: IntGauge,
    max_fds: IntGauge,
    start_time: IntGauge,
}

/// What `/proc/self/stat` says (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
struct ProcessStat {
    /// In user and kernel mode, in clock ticks.
    cpu_ticks: u64,
    threads: u64,
    /// Clock ticks after the machine's boot.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl ProcessStat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program is in parentheses, and may hold spaces and parentheses.
        let (_, fields) = text.rsplit_once(") ")?;
        // The first of these fields is number 3 in the manual.
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

impl ProcessCollector {
    fn new() -> prometheus::Result<Self> {
        let collector = Self {
            cpu_seconds: Counter::new(
                "process_cpu_seconds_total",
                "CPU time in user and kernel mode, in seconds.",
            )?,
            resident_bytes: IntGauge::new(
                "process_resident_memory_bytes",
                "Resident memory in bytes.",
            )?,
            virtual_bytes: IntGauge::new(
                "process_virtual_memory_bytes",
                "Virtual memory in bytes.",
            )?,
            threads: IntGauge::new("process_threads", "Threads of the process.")?,
            open_fds: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            max_fds: IntGauge::new("process_max_fds", "The limit of open file descriptors.")?,
            start_time: IntGauge::new(
                "process_start_time_seconds",
                "When the process started, in Unix seconds.",
            )?,
        };
        if let Some(boot) = read_boot_time()
            && let Some(stat) = read_stat()
        {
            let started = boot + stat.start_ticks / clock_ticks_per_second().max(1);
            collector.start_time.set(to_gauge(started));
        }
        Ok(collector)
    }

    /// What cannot be read keeps its last value.
    fn update(&self) {
        if let Some(stat) = read_stat() {
            let cpu_seconds = stat.cpu_ticks as f64 / clock_ticks_per_second().max(1) as f64;
            self.cpu_seconds.inc_by((cpu_seconds - self.cpu_seconds.get()).max(0.0));
            self.resident_bytes.set(to_gauge(stat.resident_pages * page_size() as u64));
            self.virtual_bytes.set(to_gauge(stat.virtual_bytes));
            self.threads.set(to_gauge(stat.threads));
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself.
            self.open_fds.set(to_gauge(files.count().saturating_sub(1) as u64));
        }
        self.max_fds.set(to_gauge(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)));
    }

    fn metrics(&self) -> [&dyn Collector; 7] {
        [
            &self.cpu_seconds,
            &self.resident_bytes,
            &self.virtual_bytes,
            &self.threads,
            &self.open_fds,
            &self.max_fds,
            &self.start_time,
        ]
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.metrics().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.update();
        self.metrics().into_iter().flat_map(Collector::collect).collect()
    }
}

fn read_stat() -> Option<ProcessStat> {
    ProcessStat::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// When the machine booted, in Unix seconds.
fn read_boot_time() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

fn to_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_look_like_fields() {
        let numbers: Vec<String> = (4..=30).map(|number| number.to_string()).collect();
        let line = format!("17 (a) b (c) S {}", numbers.join(" "));
        let expected = ProcessStat {
            cpu_ticks: 14 + 15,
            threads: 20,
            start_ticks: 22,
            virtual_bytes: 23,
            resident_pages: 24,
        };
        assert_eq!(ProcessStat::parse(&line), Some(expected));
        assert_eq!(ProcessStat::parse("17 (a) S 1 2"), None);
    }

    #[test]
    fn this_process_is_measured() {
        let collector = ProcessCollector::new().unwrap();
        let before = collector.collect();
        assert_eq!(before.len(), 7);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = i64::try_from(now.as_secs()).unwrap() - collector.start_time.get();
        assert!((0..86_400).contains(&age), "started {age} s ago");
        assert!(collector.resident_bytes.get() > 1 << 20);
        let open = collector.open_fds.get();
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        collector.update();
        assert!(collector.open_fds.get() > 0 && collector.max_fds.get() >= open, "{open}");
        drop(file);
    }
}
