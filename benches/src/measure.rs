//! One measurement: a contender under load for a while, and what that took of the machine.

use std::time::Duration;

use crate::load::{Expect, Load};
use crate::peers::Contender;
use crate::record::Figures;
use crate::usage::{Cpu, Memory};

/// Connections are up and buffers have grown before anything counts.
const WARMING: Duration = Duration::from_millis(300);

/// What is left of the one before has ended.
const SETTLING: Duration = Duration::from_millis(50);

pub(crate) fn measure(
    contender: &Contender,
    connections: usize,
    duration: Duration,
    expect: Expect,
    request: impl FnMut(usize, &mut String),
) -> anyhow::Result<Figures> {
    std::thread::sleep(SETTLING);
    let process = contender.process.id();
    let mut load = Load::connect(contender.address, connections, expect, request)?;
    load.run(WARMING)?;
    let before = (Cpu::of(process), Cpu::of_only(std::process::id()));
    let tally = load.run(duration)?;
    let after = (Cpu::of(process), Cpu::of_only(std::process::id()));
    let memory = Memory::of(process);
    load.finish()?;
    let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    Ok(Figures {
        seconds: tally.seconds,
        responses: tally.responses,
        bytes: tally.bytes,
        cpu: after.0.since(&before.0),
        client_cpu: after.1.since(&before.1),
        first_byte_p50: Some(milliseconds(tally.first_byte.value_at_quantile(0.5))),
        first_byte_p99: Some(milliseconds(tally.first_byte.value_at_quantile(0.99))),
        whole_p50: milliseconds(tally.whole.value_at_quantile(0.5)),
        whole_p99: milliseconds(tally.whole.value_at_quantile(0.99)),
        memory: memory.now,
        memory_peak: memory.peak,
    })
}
