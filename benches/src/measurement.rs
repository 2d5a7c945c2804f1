//! One measurement: a contender under load, and the processor time and memory which that takes.

use std::time::Duration;

use crate::load::{ExpectedLength, LoadGenerator};
use crate::peers::Contender;
use crate::record::Measurements;
use crate::resource_usage::{CpuTimes, ResidentMemory};

/// Load before the measurement, until connections are open and buffers have grown.
const WARMUP_DURATION: Duration = Duration::from_millis(300);

/// Pause in which the aftermath of the previous measurement ends.
const SETTLE_DURATION: Duration = Duration::from_millis(50);

/// Puts load on `contender` and measures responses, processor time and memory.
pub(crate) fn measure_load(
    contender: &Contender,
    connections: usize,
    duration: Duration,
    expect: ExpectedLength,
    request: impl FnMut(usize, &mut String),
) -> anyhow::Result<Measurements> {
    std::thread::sleep(SETTLE_DURATION);
    let process = contender.process.id();
    let mut load = LoadGenerator::connect(contender.address, connections, expect, request)?;
    load.run(WARMUP_DURATION)?;
    let before = (CpuTimes::of_process_tree(process), CpuTimes::of_process(std::process::id()));
    let result = load.run(duration)?;
    let after = (CpuTimes::of_process_tree(process), CpuTimes::of_process(std::process::id()));
    let memory = ResidentMemory::of_process_tree(process);
    load.drain()?;
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    Ok(Measurements {
        seconds: result.seconds,
        responses: result.responses,
        bytes: result.bytes,
        cpu: after.0.seconds_since(&before.0),
        client_cpu: after.1.seconds_since(&before.1),
        first_byte_p50: Some(milliseconds(result.first_byte_delay.value_at_quantile(0.5))),
        first_byte_p99: Some(milliseconds(result.first_byte_delay.value_at_quantile(0.99))),
        whole_p50: milliseconds(result.last_byte_delay.value_at_quantile(0.5)),
        whole_p99: milliseconds(result.last_byte_delay.value_at_quantile(0.99)),
        memory: memory.current,
        memory_peak: memory.peak,
    })
}
