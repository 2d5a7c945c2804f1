//! Stored segments over TLS, as browsers ask: HTTP/1.1, and HTTP/2 with four tiles on a connection.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::round::Round;
use super::segments::Size;
use super::{Terms, start};
use crate::certificate;
use crate::h2load::{self, Protocol};
use crate::load::fetch_over_tls;
use crate::origin::noise;
use crate::peers::{Contender, Kind, Work};
use crate::record::{Figures, Record, Sample, Task};
use crate::stage::Stage;
use crate::usage::{Cpu, Memory, of_ended_children};

const CONNECTIONS: usize = 16;

/// Viewers with as many streams beside each other.
const TILES: usize = 4;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(stage: &Stage, terms: &Terms, sizes: &[Size]) -> anyhow::Result<Record<Sample>> {
    let mut record = Record::new();
    let works = [Work::Tls, Work::Http2];
    let contenders = start(stage, terms, &works, 1, &mut record.skipped);
    let mut round = Round::new(terms, contenders);
    let room = stage.room("h2load")?;
    for work in works {
        for size in sizes {
            stage.origin.put(&format!("{}.ts", size.name), &noise(size.bytes))?;
            let task = Task { work, item: size.name.clone(), connections: CONNECTIONS, threads: 1 };
            round.measure(&task, &mut record, |contender| {
                let path = format!("/{}.ts", size.name);
                let path = contender.link.to(stage.origin.files, &path, Kind::Segment);
                check(contender, stage, size, &path)?;
                measure(contender, &path, work, terms.duration, &room)
            });
        }
    }
    Ok(record)
}

fn check(contender: &Contender, stage: &Stage, size: &Size, path: &str) -> anyhow::Result<()> {
    let trusting = (certificate::NAME, stage.certificate.client.clone());
    let fetched = fetch_over_tls(contender.address, trusting, path, PATIENCE)?;
    if fetched.status != 200 || fetched.body != noise(size.bytes) {
        bail!("status {}, {} bytes, not the origin's", fetched.status, fetched.body.len());
    }
    Ok(())
}

fn measure(
    contender: &Contender,
    path: &str,
    work: Work,
    duration: Duration,
    room: &Path,
) -> anyhow::Result<Figures> {
    let protocol = match work {
        Work::Http2 => Protocol::Http2(TILES),
        _ => Protocol::Http1,
    };
    let process = contender.process.id();
    let before = (Cpu::of(process), of_ended_children()?, Instant::now());
    let tally = h2load::run(contender.address, path, protocol, CONNECTIONS, duration, room)?;
    let seconds = before.2.elapsed().as_secs_f64();
    let milliseconds = |quantile| tally.whole.value_at_quantile(quantile) as f64 / 1e3;
    let memory = Memory::of(process);
    Ok(Figures {
        seconds,
        responses: tally.responses,
        bytes: tally.bytes,
        cpu: Cpu::of(process).since(&before.0),
        client_cpu: of_ended_children()? - before.1,
        first_byte_p50: None,
        first_byte_p99: None,
        whole_p50: milliseconds(0.5),
        whole_p99: milliseconds(0.99),
        memory: memory.now,
        memory_peak: memory.peak,
    })
}
