//! A redis-server of the test's own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::{Client, Connection, FromRedisValue};

/// Below those that the kernel gives to outgoing connections: a server that was killed wants its port again.
fn free() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let from_here = std::process::id().wrapping_mul(101);
    let next = || from_here.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
    let bound = || TcpListener::bind(("127.0.0.1", 10_000 + u16::try_from(next()).unwrap())).ok();
    std::iter::repeat_with(bound).flatten().next().unwrap().local_addr().unwrap()
}

pub(super) struct RedisServer {
    child: Option<Child>,
    address: SocketAddr,
    /// What it keeps on disk.
    directory: tempfile::TempDir,
    options: Vec<String>,
}

impl RedisServer {
    pub(super) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(super) fn start_with(options: &[&str]) -> Self {
        let address = free();
        let directory = tempfile::tempdir().unwrap();
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { child: None, address, directory, options };
        server.start_again();
        server
    }

    /// With what its append-only file kept, unless it was emptied.
    pub(super) fn start_again(&mut self) {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.address.port().to_string()])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir"])
            .arg(self.directory.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn forget(&self) {
        let _ = std::fs::remove_dir_all(self.directory.path().join("appendonlydir"));
    }

    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// One of those that watch `master`.
    pub(super) fn start_sentinel(master: &Self) -> Self {
        let address = free();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("sentinel.conf");
        let text = format!(
            "bind 127.0.0.1\nport {}\nsentinel monitor mymaster 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 2000\n",
            address.port(),
            master.address.port()
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("redis-server");
        let command = command.arg(&file).arg("--sentinel").stdout(Stdio::null());
        let child = Some(command.spawn().unwrap());
        Self { child, address, directory, options: Vec::new() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks what may not be up yet.
    pub(super) fn try_ask<T: FromRedisValue>(&self, command: &[&str]) -> Option<T> {
        let mut connection = Client::open(self.url()).unwrap().get_connection().ok()?;
        redis::cmd(command[0]).arg(&command[1..]).query(&mut connection).ok()
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(super) fn connection(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    pub(super) fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut it = redis::cmd(command[0]);
        it.arg(&command[1..]);
        it.query(&mut self.connection()).unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
