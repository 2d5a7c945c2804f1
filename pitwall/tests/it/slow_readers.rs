//! Viewers who do not read: they change nothing for the others, and take a bounded amount of memory.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Edge, eventually, eventually_within, fetch, plain_link};

const OBJECT_BYTES: usize = 2 << 20;

/// Number of requests by path.
type RequestCounts = Arc<Mutex<HashMap<String, usize>>>;

async fn start_upstream() -> (SocketAddr, RequestCounts) {
    let counts = RequestCounts::default();
    let object = |State(counts): State<RequestCounts>, Path(name): Path<String>| async move {
        *counts.lock().unwrap().entry(name).or_default() += 1;
        vec![0x47_u8; OBJECT_BYTES]
    };
    let router = Router::new().route("/{name}", get(object)).with_state(counts.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, counts)
}

struct Fixture {
    edge: Edge,
    upstream: SocketAddr,
    counts: RequestCounts,
}

impl Fixture {
    async fn new(cache: &str) -> Self {
        let (upstream, counts) = start_upstream().await;
        let edge = Edge::start(&format!(
            "[edge.cache]\n{cache}\n[schedule]\nproviders = []\n\
             [upstream]\nallow_hosts = [\"{upstream}\"]\nallow_private = [\"127.0.0.0/8\"]\n"
        ))
        .await;
        Self { edge, upstream, counts }
    }

    fn link(&self, name: &str) -> String {
        plain_link("/relay", &format!("http://{}/{name}", self.upstream))
    }

    async fn fetch_length(&self, name: &str) -> usize {
        let response = fetch(&self.edge.url(&self.link(name))).await.unwrap();
        response.bytes().await.unwrap().len()
    }

    /// A viewer who has the beginning of an object and reads no further.
    async fn start_slow_reader(&self, name: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(self.edge.address).await.unwrap();
        let request = format!("GET {} HTTP/1.1\r\nHost: edge\r\n\r\n", self.link(name));
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut beginning = [0; 12];
        stream.read_exact(&mut beginning).await.unwrap();
        assert_eq!(&beginning, b"HTTP/1.1 200");
        stream
    }
}

#[tokio::test]
async fn slow_readers_change_nothing_for_other_viewers() {
    for (what, cache, slow_readers) in [
        ("all stored", "", 20),
        ("more than there is room for", "bytes = \"16MiB\"\nfill_bytes = \"16MiB\"", 40),
        ("segments larger than fill_bytes", "fill_bytes = \"1MiB\"", 0),
    ] {
        let fixture = Fixture::new(cache).await;
        let mut slow = Vec::new();
        for n in 0..slow_readers {
            slow.push(fixture.start_slow_reader(&format!("slow-{n}.ts")).await);
        }
        let viewers = (0..20).map(|_| fixture.fetch_length("new.ts"));
        assert_eq!(futures::future::join_all(viewers).await, [OBJECT_BYTES; 20], "{what}");
        assert_eq!(fixture.counts.lock().unwrap()["new.ts"], 1, "{what}");
    }
}

/// Resident memory of the edge, in bytes.
fn resident_bytes(edge: &Edge) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", edge.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

#[tokio::test]
async fn memory_is_bounded_while_slow_readers_hold_what_was_evicted() {
    const SLOW_READERS: usize = 80;
    let fixture = Fixture::new("bytes = \"16MiB\"\nfill_bytes = \"16MiB\"").await;
    let idle = resident_bytes(&fixture.edge);
    let mut slow = Vec::new();
    let mut most = 0;
    for n in 0..SLOW_READERS {
        let name = format!("{n}.ts");
        // A fast viewer has it stored, and slow ones keep it.
        assert_eq!(fixture.fetch_length(&name).await, OBJECT_BYTES);
        slow.push(fixture.start_slow_reader(&name).await);
        most = most.max(resident_bytes(&fixture.edge));
    }
    // All objects together would be 160 MiB.
    let used = (most - idle) >> 20;
    assert!(used < 64, "{used} MiB");
    drop(slow);
    eventually_within(5, "the memory is given back but for the cache", || async {
        (resident_bytes(&fixture.edge) < idle + (24 << 20)).then_some(())
    })
    .await;
    eventually("what they held is released", || async {
        let metrics = fetch(&format!("http://{}/metrics", fixture.edge.admin)).await.unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.lines().any(|line| line == "pitwall_inflight_fetch_bytes 0").then_some(())
    })
    .await;
}
