//! Memory: of streams that hardly move, and of connections that wait.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde::{Deserialize, Serialize};

use super::segments::Urls;
use super::{Terms, alone, wanted};
use crate::load::{Expect, Load};
use crate::origin::noise;
use crate::peers::{Contender, Kind, Work};
use crate::record::{Entry, Record};
use crate::stage::Stage;
use crate::usage::Memory;

const STREAMS: usize = 64;

/// One that is stored as a rule, and one that is too large for it.
const SIZES: [(&str, usize); 2] = [("4MB", 4_000_000), ("100MB", 100_000_000)];

/// What a slow reader takes each time, and how often: 64 KB/s.
const SIP: usize = 6_400;
const TICK: Duration = Duration::from_millis(100);

const SLOWNESS: Duration = Duration::from_secs(5);

const IDLE: usize = 10_000;
const IDLE_BYTES: usize = 500_000;

/// Bytes of user memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) contender: String,
    /// "slow 4MB" or "idle".
    pub(crate) state: String,
    pub(crate) count: usize,
    pub(crate) before: u64,
    /// The most while they were there.
    pub(crate) most: u64,
}

impl Reading {
    pub(crate) fn each(&self) -> f64 {
        self.most.saturating_sub(self.before) as f64 / self.count as f64
    }
}

impl Entry for Reading {
    fn replaces(&self, older: &Self) -> bool {
        (&self.contender, &self.state) == (&older.contender, &older.state)
    }

    fn contender(&self) -> &str {
        &self.contender
    }
}

pub(crate) fn run(stage: &Stage, terms: &Terms) -> anyhow::Result<Record<Reading>> {
    let mut record = Record::new();
    for (name, bytes) in SIZES {
        stage.origin.put(&format!("{name}.ts"), &noise(bytes))?;
    }
    stage.origin.put("idle.ts", &noise(IDLE_BYTES))?;
    let urls = Urls::default();
    let Record { results, skipped, .. } = &mut record;
    for peer in wanted(stage, terms, &[Work::Relayed]) {
        for (size, _) in SIZES {
            // A new process each time: freed memory is not always given back.
            results.extend(alone(peer.as_ref(), stage, skipped, |contender| {
                slow(stage, contender, size, &urls).context("slow readers")
            }));
        }
    }
    for peer in wanted(stage, terms, &[Work::Stored]) {
        let peer = peer.as_ref();
        results.extend(alone(peer, stage, skipped, |contender| {
            idle(stage, contender).context("idle connections")
        }));
    }
    Ok(record)
}

/// Readers that take a sip now and then, each of a stream of its own.
fn slow(stage: &Stage, contender: &Contender, size: &str, urls: &Urls) -> anyhow::Result<Reading> {
    let origin = stage.origin.files;
    // What the first request makes is not counted.
    contender.first(&contender.link.to(origin, "/idle.ts", Kind::Segment))?;
    let process = contender.process.id();
    let before = Memory::of(process).now;
    let mut most = before;
    let mut streams = (0..STREAMS)
        .map(|_| {
            let path = format!("/{size}.ts?n={:010}", urls.next());
            ask(contender, &contender.link.to(origin, &path, Kind::Segment))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let started = Instant::now();
    let mut sip = vec![0; SIP];
    while started.elapsed() < SLOWNESS {
        for stream in &mut streams {
            match stream.read(&mut sip) {
                Ok(0) => bail!("it ended the connection of a slow reader"),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("a slow reader"),
            }
        }
        most = most.max(Memory::of(process).now);
        std::thread::sleep(TICK);
    }
    Ok(Reading {
        contender: contender.name.clone(),
        state: format!("slow {size}"),
        count: STREAMS,
        before,
        most,
    })
}

fn ask(contender: &Contender, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(contender.address)?;
    // So that the kernel does not take the whole segment in the reader's place.
    set_socket_recv_buffer_size(&stream, 16 * 1024)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", contender.address)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Viewers between two segments.
fn idle(stage: &Stage, contender: &Contender) -> anyhow::Result<Reading> {
    let path = contender.link.to(stage.origin.files, "/idle.ts", Kind::Segment);
    contender.first(&path)?;
    let process = contender.process.id();
    let before = Memory::of(process).now;
    let expect = Expect::Exactly(IDLE_BYTES as u64);
    let mut load = Load::connect(contender.address, IDLE, expect, |_, out| out.push_str(&path))?;
    load.once(Duration::from_secs(60))?;
    std::thread::sleep(Duration::from_secs(1));
    let most = Memory::of(process).now;
    load.finish()?;
    let state = "idle".to_owned();
    Ok(Reading { contender: contender.name.clone(), state, count: IDLE, before, most })
}
