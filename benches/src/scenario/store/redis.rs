//! A redis-server for one measurement, and a way to it that can be made slow.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::process::{Process, free_address};
use crate::stage::Stage;

/// Answers under way on one slow connection; a piece each.
const UNDER_WAY: usize = 1024;

pub(super) struct Redis {
    pub(super) address: SocketAddr,
    _process: Process,
}

impl Redis {
    /// Beside the load, as it is on a machine of its own.
    pub(super) fn start(stage: &Stage, room: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--maxclients", "5000", "--dir"]).arg(room);
        let others = stage.cores.others();
        let mut process = Process::start(&mut command, &room.join("redis.log"), others, others)?;
        process.wait_for(address).context("redis-server, of the package of that name")?;
        Ok(Self { address, _process: process })
    }
}

impl Redis {
    pub(super) fn bytes_of_the_map(&self) -> anyhow::Result<u64> {
        // One question in the plainest form there is, so that no client is needed here.
        let mut stream = std::net::TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"MEMORY USAGE {bench}:map SAMPLES 0\r\n")?;
        let mut answer = String::new();
        std::io::BufReader::new(stream).read_line(&mut answer)?;
        let bytes = answer.strip_prefix(':').and_then(|bytes| bytes.trim().parse().ok());
        bytes.with_context(|| format!("redis-server said {answer:?}"))
    }
}

/// Passes connections on; answers come late by what is set.
#[derive(Clone)]
pub(super) struct Detour {
    pub(super) address: SocketAddr,
    late: Arc<AtomicU64>,
}

impl Detour {
    pub(super) async fn to(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let late = Arc::new(AtomicU64::new(0));
        let detour = Self { address: listener.local_addr()?, late: late.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let late = late.clone();
                // Ends when either side does.
                tokio::spawn(async move {
                    let _ = pass(client, server, &late).await;
                });
            }
        });
        Ok(detour)
    }

    pub(super) fn delay(&self, by: Duration) {
        let late = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.late.store(late, Ordering::Relaxed);
    }
}

async fn pass(client: TcpStream, server: SocketAddr, late: &AtomicU64) -> std::io::Result<()> {
    let (mut asks, mut answered) = client.into_split();
    let (mut answers, mut asked) = TcpStream::connect(server).await?.into_split();
    let (send, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let there = async { tokio::io::copy(&mut asks, &mut asked).await.map(drop) };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = answers.read(&mut buffer).await?;
            let piece = buffer.split_at(count).0.to_vec();
            let when = Instant::now() + Duration::from_millis(late.load(Ordering::Relaxed));
            if count == 0 || send.send((when, piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let handed = async {
        while let Some((when, piece)) = due.recv().await {
            tokio::time::sleep_until(when).await;
            answered.write_all(&piece).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = there => done,
        done = back => done,
        done = handed => done,
    }
}
