//! Helpers of all tests: [`Edge`] runs the executable on free ports and kills it when it is
//! dropped.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A `pitwall run` process with its own directory.
pub(crate) struct Edge {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    state: tempfile::TempDir,
}

impl Edge {
    /// Starts `pitwall run` with this configuration and waits until it is ready and listens.
    pub(crate) async fn start(config: &str) -> Self {
        Self::start_on(free_address(), config).await
    }

    /// As [`Self::start`], listening on `address`.
    pub(crate) async fn start_on(address: SocketAddr, config: &str) -> Self {
        Self::start_in(address, config, |_| {}).await
    }

    /// As [`Self::start`]; `prepare` may write more files into the directory of the configuration.
    pub(crate) async fn start_with(config: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::start_in(free_address(), config, prepare).await
    }

    async fn start_in(address: SocketAddr, config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("pitwall.toml");
        std::fs::write(&file, config).unwrap();
        prepare(state.path());
        let admin = free_address();
        let child = Command::new(env!("CARGO_BIN_EXE_pitwall"))
            .args(["run", "--config"])
            .arg(&file)
            .env("PITWALL_EDGE__LISTEN", address.to_string())
            .env("PITWALL_EDGE__ADMIN", admin.to_string())
            .env("PITWALL_STATE__DIR", state.path().join("state"))
            .env("PITWALL_LOG", "warn")
            .spawn()
            .unwrap();
        let edge = Self { child, address, admin, state };
        edge.wait_until_ready().await;
        edge
    }

    async fn wait_until_ready(&self) {
        eventually("the edge is ready", || async {
            let ready = fetch(&format!("http://{}/readyz", self.admin)).await;
            ready.ok().filter(|ready| ready.status().is_success())
        })
        .await;
        // The admin listener reports readiness, sometimes before the public listener accepts
        // connections.
        let connects = || async { tokio::net::TcpStream::connect(self.address).await.ok() };
        eventually("the edge listens", connects).await;
    }

    /// The directory of the configuration and the state.
    pub(crate) fn directory(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits up to 10 s for the process to exit; whether it exited with success.
    pub(crate) fn wait_for_exit(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::yield_now();
        }
        false
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn client() -> reqwest::Client {
    // Tests run concurrently, so the provider may already be installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Polls until `poll` returns a value, for up to 20 s.
pub(crate) async fn eventually<T, F>(what: &str, poll: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    eventually_within(20, what, poll).await
}

/// Polls until `poll` returns a value, for up to `seconds`: browsers and Python programs are slow.
pub(crate) async fn eventually_within<T, F>(
    seconds: u64,
    what: &str,
    mut poll: impl FnMut() -> F,
) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    while Instant::now() < deadline {
        ticks.tick().await;
        if let Some(value) = poll().await {
            return value;
        }
    }
    panic!("{what}: not in {seconds} s");
}

pub(crate) async fn fetch(url: &str) -> reqwest::Result<reqwest::Response> {
    client().get(url).send().await
}

/// A loopback address on which nothing listens. Its port is below the kernel's ephemeral ports,
/// since an outgoing connection could take one of those before the test listens on it.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(101);
    loop {
        let next = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(next % 20_000).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// A link with `url` in `url=`, without a seal.
pub(crate) fn plain_link(route: &str, url: &str) -> String {
    format!("{route}?url={}", URL_SAFE_NO_PAD.encode(url))
}

/// Runs the executable to its end: exit code, standard output, standard error.
pub(crate) fn run_pitwall(arguments: &[&str], directory: &Path) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pitwall"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Starts the executable and returns it with the first line it prints.
pub(crate) fn start_and_read_line(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pitwall"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}
