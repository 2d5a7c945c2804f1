//! [`RedisServer`]: a redis-server for one measurement; [`DelayProxy`]: a proxy that delays its
//! replies.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::process::{Process, find_free_address};
use crate::testbed::Testbed;

/// Limit of delayed chunks of replies on one connection.
const DELAYED_CHUNKS_MAX: usize = 1024;

pub(super) struct RedisServer {
    pub(super) address: SocketAddr,
    _process: Process,
}

impl RedisServer {
    /// Starts redis-server on the cores that are not measured, as if it had its own machine.
    pub(super) fn start(testbed: &Testbed, directory: &Path) -> anyhow::Result<Self> {
        let address = find_free_address()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
        command.args(["--save", "", "--maxclients", "5000", "--dir"]).arg(directory);
        let others = testbed.cores.harness_cores();
        let mut process =
            Process::start(&mut command, &directory.join("redis.log"), others, others)?;
        process
            .wait_until_listening(address)
            .context("redis-server, of the package of that name")?;
        Ok(Self { address, _process: process })
    }
}

impl RedisServer {
    /// Memory of the published map in Redis, in bytes.
    pub(super) fn map_memory_bytes(&self) -> anyhow::Result<u64> {
        let reply = self.read_reply_line("MEMORY USAGE {bench}:map SAMPLES 0", ":")?;
        reply.parse().with_context(|| format!("redis-server replied {reply:?}"))
    }

    /// Bytes of all commands that Redis has received since its start.
    pub(super) fn received_bytes(&self) -> anyhow::Result<u64> {
        let reply = self.read_reply_line("INFO stats", "total_net_input_bytes:")?;
        reply.parse().with_context(|| format!("redis-server replied {reply:?}"))
    }

    /// Sends a command; the rest of the first line of its reply that begins with `prefix`.
    fn read_reply_line(&self, command: &str, prefix: &str) -> anyhow::Result<String> {
        // An inline command, so that no Redis client library is needed here.
        let mut stream = std::net::TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        for line in std::io::BufReader::new(stream).lines() {
            if let Some(rest) = line?.strip_prefix(prefix) {
                return Ok(rest.to_owned());
            }
        }
        bail!("redis-server closed the connection after {command}")
    }
}

/// A TCP proxy to a Redis server that delays replies by an adjustable time.
#[derive(Clone)]
pub(super) struct DelayProxy {
    pub(super) address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
}

impl DelayProxy {
    pub(super) async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let delay_ms = Arc::new(AtomicU64::new(0));
        let proxy = Self { address: listener.local_addr()?, delay_ms: delay_ms.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let delay_ms = delay_ms.clone();
                // The task ends when either side closes its connection.
                tokio::spawn(async move {
                    let _ = forward_with_delay(client, server, &delay_ms).await;
                });
            }
        });
        Ok(proxy)
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(delay_ms, Ordering::Relaxed);
    }
}

async fn forward_with_delay(
    client: TcpStream,
    server: SocketAddr,
    delay_ms: &AtomicU64,
) -> std::io::Result<()> {
    let (mut client_reader, mut client_writer) = client.into_split();
    let (mut server_reader, mut server_writer) = TcpStream::connect(server).await?.into_split();
    let (sender, mut delayed) = mpsc::channel::<(Instant, Vec<u8>)>(DELAYED_CHUNKS_MAX);
    let forward_requests =
        async { tokio::io::copy(&mut client_reader, &mut server_writer).await.map(drop) };
    let queue_replies = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = server_reader.read(&mut buffer).await?;
            let chunk = buffer.split_at(count).0.to_vec();
            let due = Instant::now() + Duration::from_millis(delay_ms.load(Ordering::Relaxed));
            if count == 0 || sender.send((due, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write_replies = async {
        while let Some((due, chunk)) = delayed.recv().await {
            tokio::time::sleep_until(due).await;
            client_writer.write_all(&chunk).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = forward_requests => done,
        done = queue_replies => done,
        done = write_replies => done,
    }
}
