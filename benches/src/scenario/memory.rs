//! Memory per slow reader and per idle connection.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde::{Deserialize, Serialize};

use super::segments::UrlCounter;
use super::{ScenarioOptions, measure_alone, wanted_peers};
use crate::load::{ExpectedLength, LoadGenerator};
use crate::origin::incompressible_bytes;
use crate::peers::{Contender, LinkTarget, Workload};
use crate::record::{RecordEntry, ScenarioRecord};
use crate::resource_usage::ResidentMemory;
use crate::testbed::Testbed;

const SLOW_READER_COUNT: usize = 64;

/// A size that caches store, and one that is too large to be stored.
const SEGMENT_SIZES: [(&str, usize); 2] = [("4MB", 4_000_000), ("100MB", 100_000_000)];

/// Bytes that a slow reader reads per [`SLOW_READ_INTERVAL`]: 64 KB/s.
const SLOW_READ_BYTES: usize = 6_400;
const SLOW_READ_INTERVAL: Duration = Duration::from_millis(100);

const SLOW_READ_DURATION: Duration = Duration::from_secs(5);

const IDLE_CONNECTION_COUNT: usize = 10_000;
const IDLE_SEGMENT_BYTES: usize = 500_000;

/// Resident memory of a contender, in bytes, in one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryReading {
    pub(crate) contender: String,
    /// "slow 4MB" or "idle".
    pub(crate) state: String,
    /// Number of readers or connections.
    pub(crate) count: usize,
    /// The value before they connected.
    pub(crate) before: u64,
    /// The greatest value in that state.
    pub(crate) most: u64,
}

impl MemoryReading {
    pub(crate) fn bytes_each(&self) -> f64 {
        self.most.saturating_sub(self.before) as f64 / self.count as f64
    }
}

impl RecordEntry for MemoryReading {
    fn supersedes(&self, older: &Self) -> bool {
        (&self.contender, &self.state) == (&older.contender, &older.state)
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}

pub(crate) fn run(
    testbed: &Testbed,
    options: &ScenarioOptions,
) -> anyhow::Result<ScenarioRecord<MemoryReading>> {
    let mut record = ScenarioRecord::new();
    for (name, bytes) in SEGMENT_SIZES {
        testbed.origin.write_file(&format!("{name}.ts"), &incompressible_bytes(bytes))?;
    }
    testbed.origin.write_file("idle.ts", &incompressible_bytes(IDLE_SEGMENT_BYTES))?;
    let urls = UrlCounter::default();
    let ScenarioRecord { results, skipped, .. } = &mut record;
    for peer in wanted_peers(testbed, options, &[Workload::Relayed]) {
        for (size, _) in SEGMENT_SIZES {
            // A new process each time, since freed memory is not always returned to the system.
            results.extend(measure_alone(peer.as_ref(), testbed, skipped, |contender| {
                measure_slow_readers(testbed, contender, size, &urls).context("slow readers")
            }));
        }
    }
    for peer in wanted_peers(testbed, options, &[Workload::Stored]) {
        let peer = peer.as_ref();
        results.extend(measure_alone(peer, testbed, skipped, |contender| {
            measure_idle_connections(testbed, contender).context("idle connections")
        }));
    }
    Ok(record)
}

/// Memory of readers that read a little at intervals, each from its own segment.
fn measure_slow_readers(
    testbed: &Testbed,
    contender: &Contender,
    size: &str,
    urls: &UrlCounter,
) -> anyhow::Result<MemoryReading> {
    let origin = testbed.origin.files_address;
    // Memory that the first request allocates is not counted.
    contender.fetch_body(&contender.link_style.link_to(origin, "/idle.ts", LinkTarget::Segment))?;
    let process = contender.process.id();
    let before = ResidentMemory::of_process_tree(process).current;
    let mut most = before;
    let mut streams = (0..SLOW_READER_COUNT)
        .map(|_| {
            let path = format!("/{size}.ts?n={:010}", urls.next_number());
            send_request(
                contender,
                &contender.link_style.link_to(origin, &path, LinkTarget::Segment),
            )
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let started = Instant::now();
    let mut buffer = vec![0; SLOW_READ_BYTES];
    while started.elapsed() < SLOW_READ_DURATION {
        for stream in &mut streams {
            match stream.read(&mut buffer) {
                Ok(0) => bail!("the contender closed the connection of a slow reader"),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("a slow reader"),
            }
        }
        most = most.max(ResidentMemory::of_process_tree(process).current);
        std::thread::sleep(SLOW_READ_INTERVAL);
    }
    Ok(MemoryReading {
        contender: contender.name.clone(),
        state: format!("slow {size}"),
        count: SLOW_READER_COUNT,
        before,
        most,
    })
}

fn send_request(contender: &Contender, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(contender.address)?;
    // A small receive buffer, so that the kernel does not receive the whole segment for the reader.
    set_socket_recv_buffer_size(&stream, 16 * 1024)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", contender.address)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Memory of connections between two requests, as those of viewers between two segments.
fn measure_idle_connections(
    testbed: &Testbed,
    contender: &Contender,
) -> anyhow::Result<MemoryReading> {
    let path =
        contender.link_style.link_to(testbed.origin.files_address, "/idle.ts", LinkTarget::Segment);
    contender.fetch_body(&path)?;
    let process = contender.process.id();
    let before = ResidentMemory::of_process_tree(process).current;
    let expect = ExpectedLength::Exactly(IDLE_SEGMENT_BYTES as u64);
    let mut load =
        LoadGenerator::connect(contender.address, IDLE_CONNECTION_COUNT, expect, |_, out| {
            out.push_str(&path)
        })?;
    load.run_once(Duration::from_secs(60))?;
    std::thread::sleep(Duration::from_secs(1));
    let most = ResidentMemory::of_process_tree(process).current;
    load.drain()?;
    let state = "idle".to_owned();
    Ok(MemoryReading {
        contender: contender.name.clone(),
        state,
        count: IDLE_CONNECTION_COUNT,
        before,
        most,
    })
}
