//! Processor time, memory and checks of a control plane without viewers, while nothing changes.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::metric_samples::MetricSamples;
use super::results::SteadyStateFigures;
use crate::process::Process;
use crate::resource_usage::{ResidentMemory, process_cpu_seconds, process_run_delay_seconds};
use crate::scenario::store::deployment::Deployment;
use crate::scenario::store::redis::RedisServer;

/// Timeout until all streams are healthy; what is healthy by then is measured.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(300);

const WARM_UP_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Time after the warm-up in which every upstream is checked twice, so that checks are spread.
const SETTLE_DURATION: Duration = Duration::from_secs(20);

/// Waits until all streams are healthy and checks are spread; the time until they were healthy.
pub(super) fn wait_until_warm(deployment: &Deployment, streams: usize) -> anyhow::Result<Duration> {
    let started = Instant::now();
    while started.elapsed() < WARM_UP_TIMEOUT {
        let samples = MetricSamples::fetch(deployment.control_admin_address)
            .context("the control plane while it warms up")?;
        if count_healthy_streams(&samples) >= streams {
            break;
        }
        std::thread::sleep(WARM_UP_POLL_INTERVAL);
    }
    let took = started.elapsed();
    std::thread::sleep(SETTLE_DURATION);
    Ok(took)
}

pub(super) fn measure(
    deployment: &Deployment,
    control_plane: &Process,
    redis: &RedisServer,
    warm_up: Duration,
    duration: Duration,
) -> anyhow::Result<SteadyStateFigures> {
    let process = control_plane.id();
    let before = MetricSamples::fetch(deployment.control_admin_address)?;
    let (began, redis_before) = (Instant::now(), redis.received_bytes()?);
    let (cpu_before, run_delay_before) =
        (process_cpu_seconds(process)?, process_run_delay_seconds(process));
    std::thread::sleep(duration);
    let cpu_seconds = process_cpu_seconds(process)? - cpu_before;
    // The threads that waited most may have ended.
    let run_delay_seconds = (process_run_delay_seconds(process) - run_delay_before).max(0.0);
    let (seconds, redis_bytes) =
        (began.elapsed().as_secs_f64(), redis.received_bytes()? - redis_before);
    let after = MetricSamples::fetch(deployment.control_admin_address)?;
    let checks = |samples: &MetricSamples| samples.sum("pitwall_checks_total", "") as u64;
    Ok(SteadyStateFigures {
        warm_up_seconds: warm_up.as_secs_f64(),
        healthy_streams: count_healthy_streams(&after),
        seconds,
        cpu_seconds,
        run_delay_seconds,
        checks: checks(&after) - checks(&before),
        checks_waiting: after.sum("pitwall_checks_waiting", "") as u64,
        memory_peak: ResidentMemory::of_process_tree(process).peak,
        redis_bytes,
    })
}

fn count_healthy_streams(samples: &MetricSamples) -> usize {
    samples.sum("pitwall_streams", "state=\"healthy\"") as usize
}
