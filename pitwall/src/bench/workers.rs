//! The threads that the players run on, one for each core, and the processor time that they take.

use std::thread;
use std::time::{Duration, Instant};

use pitwall_benches::players::{Connector, PlaybackStatistics, PlayerShare, ViewerSimulation};

/// How often the processor time is read, which is also how late the end is noticed.
const SAMPLE_PERIOD: Duration = Duration::from_millis(100);

/// What the players saw, and what they cost.
pub(super) struct RunMeasurement {
    pub(super) statistics: PlaybackStatistics,
    pub(super) elapsed: Duration,
    pub(super) cores: usize,
    /// Cores that this process used, in each second; empty where /proc does not say it.
    pub(super) used_cores: Vec<f64>,
}

/// Runs the players on as many threads as there are cores. `progress` is told the seconds that have
/// passed, each second, and `None` at the end.
///
/// # Errors
/// When a thread or its runtime cannot be started.
pub(super) fn run(
    simulation: &ViewerSimulation,
    connector: &Connector,
    progress: impl Fn(Option<u64>),
) -> anyhow::Result<RunMeasurement> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let of = u32::try_from(cores.min(simulation.viewers))?.max(1);
    let (started, mut cpu) = (Instant::now(), CpuSampler::start());
    let statistics = thread::scope(|scope| {
        let threads = (0..of).map(|index| {
            let work = move || run_share(simulation, connector, PlayerShare { index, of });
            thread::Builder::new().spawn_scoped(scope, work)
        });
        let threads = threads.collect::<Result<Vec<_>, _>>()?;
        let mut told = 0;
        progress(Some(told));
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(SAMPLE_PERIOD);
            cpu.sample();
            if started.elapsed().as_secs() > told {
                told = started.elapsed().as_secs();
                progress(Some(told));
            }
        }
        progress(None);
        let mut all: Option<PlaybackStatistics> = None;
        for thread in threads {
            let shared =
                thread.join().map_err(|_| anyhow::anyhow!("a thread of players failed"))??;
            match &mut all {
                Some(all) => all.add(shared),
                None => all = Some(shared),
            }
        }
        all.ok_or_else(|| anyhow::anyhow!("no thread for players"))
    })?;
    Ok(RunMeasurement { statistics, elapsed: started.elapsed(), cores, used_cores: cpu.used_cores })
}

fn run_share(
    simulation: &ViewerSimulation,
    connector: &Connector,
    share: PlayerShare,
) -> anyhow::Result<PlaybackStatistics> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(simulation.run_share(connector, share)))
}

/// Reads the processor time of this process once a second.
struct CpuSampler {
    last: (Instant, Option<f64>),
    used_cores: Vec<f64>,
}

impl CpuSampler {
    fn start() -> Self {
        Self { last: (Instant::now(), process_cpu_seconds()), used_cores: Vec::new() }
    }

    fn sample(&mut self) {
        let passed = self.last.0.elapsed();
        if passed < Duration::from_secs(1) {
            return;
        }
        let (before, now) = (self.last.1, process_cpu_seconds());
        if let (Some(before), Some(now)) = (before, now) {
            self.used_cores.push((now - before) / passed.as_secs_f64());
        }
        self.last = (Instant::now(), now);
    }
}

/// Processor seconds of this process: fields 14 and 15 of /proc/self/stat.
fn process_cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the executable, in parentheses, may hold spaces; the third field comes next.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse().ok()).collect();
    let per_second = rustix::param::clock_ticks_per_second();
    (ticks.len() == 2).then(|| ticks.iter().sum::<u64>() as f64 / per_second as f64)
}
