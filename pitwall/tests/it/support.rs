//! Helpers of all tests: [`Edge`] runs the executable on free ports and kills it when it is
//! dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpSocket;

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

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
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

/// The HTTP client of all tests. It keeps no idle connection, because the runtime that drives a
/// connection ends with the test that opened it.
pub(crate) fn client() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| client_builder().build().unwrap());
    CLIENT.clone()
}

/// A builder with the settings of [`client`].
pub(crate) fn client_builder() -> reqwest::ClientBuilder {
    // Tests run concurrently, so the provider may already be installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0)
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

/// A loopback address on which nothing listens until a process of this test does so.
///
/// A socket stays bound to it until the tests end, without listening, so that the kernel gives the
/// port to nobody else. SO_REUSEADDR lets a server bind it nevertheless, as every server sets that
/// option too.
pub(crate) fn free_address() -> SocketAddr {
    static BOUND: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = socket.local_addr().unwrap();
    BOUND.lock().unwrap().push(socket);
    address
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
    let output = child.stdout.take().unwrap();
    match find_line(output, Duration::from_secs(20), |line| Some(line.to_owned())) {
        Some(line) => (child, line),
        None => {
            let _ = child.kill();
            panic!("{arguments:?} printed no line in 20 s: {:?}", child.wait());
        }
    }
}

/// What `find` returns for the first line of `output` for which it returns anything; `None` if
/// there is no such line within `limit`, or before the output ends. The rest of the output is read
/// and dropped, so that the process which writes it never waits.
pub(crate) fn find_line<T: Send + 'static>(
    output: impl Read + Send + 'static,
    limit: Duration,
    find: impl Fn(&str) -> Option<T> + Send + 'static,
) -> Option<T> {
    let (sender, found) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        // The receiver is gone when the limit has passed.
        let _ = lines.find_map(|line| find(&line)).map(|value| sender.send(value));
        drop(sender);
        lines.for_each(drop);
    });
    found.recv_timeout(limit).ok()
}

#[test]
fn a_line_is_waited_for_within_a_limit() {
    for (script, expected) in [
        ("echo one; echo two", Some("two")),
        ("echo one; printf two", Some("two")),
        ("echo one", None),
        ("exec sleep 600", None),
        ("echo one; exec sleep 600", None),
    ] {
        let mut child =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let is_two = |line: &str| (line == "two").then(|| line.to_owned());
        // A line that is printed at once has more time than one that never comes.
        let limit = Duration::from_millis(if expected.is_some() { 20_000 } else { 100 });
        let found = find_line(child.stdout.take().unwrap(), limit, is_two);
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(found.as_deref(), expected, "{script}");
    }
}
