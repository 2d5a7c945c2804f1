//! Stored segments over TLS: HTTP/1.1, and HTTP/2 with four concurrent streams per connection, as
//! for a browser that plays four streams.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::round_robin::RoundRobin;
use super::segments::SegmentSize;
use super::{ScenarioOptions, start_contenders};
use crate::certificate;
use crate::h2load::{self, Protocol};
use crate::load::fetch_over_tls;
use crate::origin::incompressible_bytes;
use crate::peers::{Contender, LinkTarget, Workload};
use crate::record::{Measurements, Sample, ScenarioRecord, Task};
use crate::resource_usage::{CpuTimes, ResidentMemory, ended_children_cpu_seconds};
use crate::testbed::Testbed;

const CONNECTION_COUNT: usize = 16;

/// Concurrent HTTP/2 streams per connection.
const STREAMS_PER_CONNECTION: usize = 4;

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) fn run(
    testbed: &Testbed,
    options: &ScenarioOptions,
    sizes: &[SegmentSize],
) -> anyhow::Result<ScenarioRecord<Sample>> {
    let mut record = ScenarioRecord::new();
    let workloads = [Workload::Tls, Workload::Http2];
    let contenders = start_contenders(testbed, options, &workloads, 1, &mut record.skipped);
    let mut round_robin = RoundRobin::new(options, contenders);
    let directory = testbed.create_contender_directory("h2load")?;
    for work in workloads {
        for size in sizes {
            testbed
                .origin
                .write_file(&format!("{}.ts", size.name), &incompressible_bytes(size.bytes))?;
            let task =
                Task { work, item: size.name.clone(), connections: CONNECTION_COUNT, threads: 1 };
            round_robin.measure_task(&task, &mut record, |contender| {
                let path = format!("/{}.ts", size.name);
                let path = contender.link_style.link_to(
                    testbed.origin.files_address,
                    &path,
                    LinkTarget::Segment,
                );
                verify_segment(contender, testbed, size, &path)?;
                measure_with_h2load(contender, &path, work, options.duration, &directory)
            });
        }
    }
    Ok(record)
}

fn verify_segment(
    contender: &Contender,
    testbed: &Testbed,
    size: &SegmentSize,
    path: &str,
) -> anyhow::Result<()> {
    let identity = (certificate::SERVER_NAME, testbed.certificate.client_config.clone());
    let response = fetch_over_tls(contender.address, identity, path, RESPONSE_TIMEOUT)?;
    if response.status != 200 || response.body != incompressible_bytes(size.bytes) {
        bail!("status {}, {} bytes, not the origin's", response.status, response.body.len());
    }
    Ok(())
}

fn measure_with_h2load(
    contender: &Contender,
    path: &str,
    work: Workload,
    duration: Duration,
    directory: &Path,
) -> anyhow::Result<Measurements> {
    let protocol = match work {
        Workload::Http2 => Protocol::Http2(STREAMS_PER_CONNECTION),
        _ => Protocol::Http1,
    };
    let process = contender.process.id();
    let before =
        (CpuTimes::of_process_tree(process), ended_children_cpu_seconds()?, Instant::now());
    let result = h2load::run_h2load(
        contender.address,
        path,
        protocol,
        CONNECTION_COUNT,
        duration,
        directory,
    )?;
    let seconds = before.2.elapsed().as_secs_f64();
    let milliseconds = |quantile| result.last_byte.value_at_quantile(quantile) as f64 / 1e3;
    let memory = ResidentMemory::of_process_tree(process);
    Ok(Measurements {
        seconds,
        responses: result.responses,
        bytes: result.bytes,
        cpu: CpuTimes::of_process_tree(process).seconds_since(&before.0),
        client_cpu: ended_children_cpu_seconds()? - before.1,
        first_byte_p50: None,
        first_byte_p99: None,
        whole_p50: milliseconds(0.5),
        whole_p99: milliseconds(0.99),
        memory: memory.current,
        memory_peak: memory.peak,
    })
}
