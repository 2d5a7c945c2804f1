//! `pitwall control-plane` and `pitwall proxy` as separate processes on one Redis.
//!
//! - [`rotation`]: rotation of the seal keys.

mod rotation;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::live::start_upstream;
use crate::support::{client, eventually, fetch, free_address, run_pitwall};

const MULTIVARIANT_PATH: &str = "/live/world-feed/index.m3u8";
const MEDIA_PATH: &str = "/live/world-feed/v720-avc.m3u8";
pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-of-enough-characters";

/// A child process, killed when it is dropped.
pub(crate) struct Process(Child);

impl Process {
    /// Sends SIGKILL and waits for the exit.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Sends SIGTERM and waits for the exit.
    fn terminate(mut self) {
        self.signal("-TERM");
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The configuration that all processes of a test share.
pub(crate) struct Cluster {
    redis: SocketAddr,
    directory: tempfile::TempDir,
    /// The certificate that processes trust for Redis; `None` means no TLS.
    issuer: Option<PathBuf>,
}

/// A `pitwall proxy` process.
pub(crate) struct Edge {
    pub(crate) process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    pub(crate) state: Arc<tempfile::TempDir>,
}

/// A `pitwall control-plane` process.
pub(crate) struct Control {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    pub(crate) state: Arc<tempfile::TempDir>,
    /// The file of its standard error.
    log: PathBuf,
}

impl Cluster {
    fn of(source: SocketAddr) -> Self {
        Self::with(&format!(
            "[[source]]\nname = \"s\"\nkind = \"static\"\nfeed = \"World feed\"\n\
             url = \"http://{source}/live/master.m3u8\"\nallow_private = [\"127.0.0.0/8\"]\n"
        ))
    }

    pub(crate) fn with(sources: &str) -> Self {
        let (redis, directory) = (free_address(), tempfile::tempdir().unwrap());
        let config = format!(
            "[schedule]\nproviders = []\n[store]\nkind = \"redis\"\nurl = \"redis://{redis}\"\n\
             [access]\nseal_key_file = {:?}\nadmin_token_file = {:?}\n{sources}",
            directory.path().join("seal.key"),
            directory.path().join("token"),
        );
        std::fs::write(directory.path().join("pitwall.toml"), config).unwrap();
        std::fs::write(directory.path().join("token"), ADMIN_TOKEN).unwrap();
        let cluster = Self { redis, directory, issuer: None };
        cluster.set_seal_keys(&["k".repeat(40)]);
        cluster
    }

    /// Sets the seal keys of processes that start from now on.
    fn set_seal_keys(&self, keys: &[String]) {
        std::fs::write(self.directory.path().join("seal.key"), keys.join("\n")).unwrap();
    }

    /// Makes Redis accept only TLS, with a self-signed certificate that processes trust.
    fn with_redis_tls(mut self) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let file = |name| self.directory.path().join(name);
        std::fs::write(file("cert.pem"), certified.cert.pem()).unwrap();
        std::fs::write(file("key.pem"), certified.signing_key.serialize_pem()).unwrap();
        self.issuer = Some(file("cert.pem"));
        self
    }

    /// Starts Redis and a control plane, and waits until the control plane is leader.
    pub(crate) async fn start_with_leader(self) -> (Self, Process, Control) {
        let redis = self.start_redis().await;
        let control = self.start_control();
        control.wait_until_leader().await;
        (self, redis, control)
    }

    /// Starts an empty Redis.
    pub(crate) async fn start_redis(&self) -> Process {
        let mut command = Command::new("redis-server");
        let port = self.redis.port().to_string();
        match &self.issuer {
            Some(certificate) => {
                let key = self.directory.path().join("key.pem");
                command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
                command.arg("--tls-cert-file").arg(certificate).arg("--tls-key-file").arg(key);
            }
            None => drop(command.args(["--port", &port])),
        }
        let child = command
            .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(self.directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child);
        let listens = || async { TcpStream::connect(self.redis).ok() };
        eventually("redis-server listens", listens).await;
        process
    }

    fn command(&self, command: &str, state: &Path, addresses: &[(&str, SocketAddr)]) -> Command {
        let mut pitwall = Command::new(env!("CARGO_BIN_EXE_pitwall"));
        pitwall.args([command, "--config"]).arg(self.directory.path().join("pitwall.toml"));
        for (key, address) in addresses {
            pitwall.env(format!("PITWALL_{key}"), address.to_string());
        }
        if let Some(issuer) = &self.issuer {
            pitwall.env("PITWALL_STORE__URL", format!("rediss://{}", self.redis));
            pitwall.env("SSL_CERT_FILE", issuer);
        }
        pitwall.env("PITWALL_STATE__DIR", state).env("PITWALL_LOG", "error");
        pitwall.stdout(Stdio::null());
        pitwall
    }

    pub(crate) fn start_control(&self) -> Control {
        self.start_control_in(empty_directory())
    }

    pub(crate) fn start_control_in(&self, state: Arc<tempfile::TempDir>) -> Control {
        let (address, admin) = (free_address(), free_address());
        let addresses = [
            ("CONTROL__LISTEN", address),
            ("CONTROL__ADVERTISE", address),
            ("CONTROL__ADMIN", admin),
            // The control plane does not listen on this address, but the default may be in use.
            ("EDGE__LISTEN", free_address()),
        ];
        let log = self.directory.path().join(format!("{}.log", address.port()));
        let mut command = self.command("control-plane", state.path(), &addresses);
        command.env("PITWALL_LOG", "info").stderr(std::fs::File::create(&log).unwrap());
        let process = Process(command.spawn().unwrap());
        Control { process, address, admin, state, log }
    }

    pub(crate) fn start_edge(&self, control: SocketAddr, state: Arc<tempfile::TempDir>) -> Edge {
        self.start_edge_with_controls(&[control], state)
    }

    /// Starts an edge with the addresses of several control planes.
    pub(crate) fn start_edge_with_controls(
        &self,
        control: &[SocketAddr],
        state: Arc<tempfile::TempDir>,
    ) -> Edge {
        let (address, admin) = (free_address(), free_address());
        let addresses = [("EDGE__LISTEN", address), ("EDGE__ADMIN", admin)];
        let mut command = self.command("proxy", state.path(), &addresses);
        let control: Vec<_> = control.iter().map(ToString::to_string).collect();
        command.env("PITWALL_EDGE__CONTROL", format!("{control:?}"));
        let process = Process(command.spawn().unwrap());
        Edge { process, address, admin, state }
    }
}

impl Control {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) async fn is_leader(&self) -> bool {
        find_metric_line(self.admin, "pitwall_leader 1").await.is_some()
    }

    pub(crate) async fn wait_until_leader(&self) {
        eventually("the control plane leads", || find_metric_line(self.admin, "pitwall_leader 1"))
            .await;
    }
}

impl Edge {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until the edge's upstream map has the stream.
    pub(crate) async fn wait_for_stream(&self) {
        eventually("the edge plays the stream", || async {
            fetch(&self.url(MULTIVARIANT_PATH))
                .await
                .ok()
                .filter(|response| response.status() == 200)
        })
        .await;
    }

    async fn wait_until_playing(&self) {
        self.wait_for_stream().await;
        self.assert_keeps_playing(1).await;
    }

    /// Asserts that each of `polls` polls, and the newest segment after each, is answered with 200.
    async fn assert_keeps_playing(&self, polls: usize) {
        for poll in 0..polls {
            let response = fetch(&self.url(MEDIA_PATH)).await.unwrap();
            let status = response.status();
            let text = response.text().await.unwrap();
            assert_eq!(status, 200, "poll {poll}: {text}");
            let segment = text.lines().rfind(|line| line.starts_with("/live/")).unwrap();
            assert_eq!(fetch(&self.url(segment)).await.unwrap().status(), 200, "{segment}");
        }
    }

    pub(crate) async fn wait_until_connected(&self) {
        eventually("it is back", || find_metric_line(self.admin, "pitwall_store_connected 1"))
            .await;
    }

    /// The number of splice decisions that this edge has made together with other edges.
    pub(crate) async fn decision_count(&self) -> u64 {
        let response = fetch(&format!("http://{}/metrics", self.admin)).await.unwrap();
        let text = response.text().await.unwrap();
        let name = "pitwall_splice_proposals_total{mode=\"together\"} ";
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
    }

    pub(crate) async fn wait_until_disconnected(&self) {
        eventually("it is gone", || find_metric_line(self.admin, "pitwall_store_connected 0"))
            .await;
    }
}

async fn find_metric_line(admin: SocketAddr, line: &str) -> Option<()> {
    let response = fetch(&format!("http://{admin}/metrics")).await.ok()?;
    let text = response.text().await.ok()?;
    text.lines().any(|candidate| candidate == line).then_some(())
}

pub(crate) fn empty_directory() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn playback_continues_when_redis_or_the_leader_dies() {
    let (source, _upstream) = start_upstream().await;
    let (cluster, redis, first) = Cluster::of(source).start_with_leader().await;
    let (one, two) = (
        cluster.start_edge(first.address, empty_directory()),
        cluster.start_edge(first.address, empty_directory()),
    );
    one.wait_until_playing().await;
    two.wait_until_playing().await;

    // A link that one edge sealed works on the other.
    let text = fetch(&one.url(MEDIA_PATH)).await.unwrap().text().await.unwrap();
    let segment = text.lines().find(|line| line.starts_with("/live/")).unwrap();
    assert_eq!(fetch(&two.url(segment)).await.unwrap().status(), 200);

    // Commands reach the leader through an edge, also one whose control plane is a standby.
    let second = cluster.start_control();
    let run = |address: SocketAddr| async move {
        let url = format!("http://{address}/api/extractors/s/run");
        client()
            .post(url)
            .bearer_auth(ADMIN_TOKEN)
            .send()
            .await
            .ok()
            .map(|response| response.status().as_u16())
    };
    assert_eq!(run(one.address).await, Some(202));
    // The trace of the leader's extractor, which must be the same through either control plane.
    let trace = |address: SocketAddr| async move {
        let url = format!("http://{address}/api/extractors/s/trace");
        let response = client().get(url).bearer_auth(ADMIN_TOKEN).send().await.ok()?;
        response.error_for_status().ok()?.json::<serde_json::Value>().await.ok()
    };
    // Polled, since another run may end between the two requests.
    let has_same_trace = |address: SocketAddr| async move {
        let (direct, forwarded) = (trace(first.address).await?, trace(address).await?);
        (direct == forwarded).then_some(())
    };
    eventually("the second passes commands on", || has_same_trace(second.address)).await;
    assert!(first.is_leader().await && !second.is_leader().await, "it was not the second's own");
    let third = cluster.start_edge(second.address, empty_directory());
    third.wait_until_playing().await;
    eventually("so does the third edge, through the second", || has_same_trace(third.address))
        .await;

    // Redis is killed and comes back empty.
    redis.kill();
    one.wait_until_disconnected().await;
    for edge in [&one, &two] {
        edge.assert_keeps_playing(20).await;
    }
    let redis = cluster.start_redis().await;
    one.wait_until_connected().await;
    let newcomer = cluster.start_edge(first.address, empty_directory());
    newcomer.wait_until_playing().await;

    // The leader is killed, whichever control plane it is now; when the other takes over, playback
    // continues.
    let leader = eventually("one of them leads", || async {
        let (one, two) = (first.is_leader().await, second.is_leader().await);
        (one != two).then_some(one)
    })
    .await;
    let (dying, next) = if leader { (first, second) } else { (second, first) };
    dying.process.kill();
    let taken_over = next.wait_until_leader();
    let watched = async {
        loop {
            one.assert_keeps_playing(1).await;
        }
    };
    tokio::select! {
        () = taken_over => {}
        () = watched => {}
    }
    one.assert_keeps_playing(20).await;

    // Redis is killed, and an edge starts without it from its disk snapshot.
    let snapshot = newcomer.state.path().join("map");
    eventually("the map is on disk", || async { snapshot.exists().then_some(()) }).await;
    redis.kill();
    newcomer.process.kill();
    let again = cluster.start_edge(next.address, newcomer.state.clone());
    again.wait_until_playing().await;
    one.assert_keeps_playing(20).await;
    two.assert_keeps_playing(20).await;
}

#[tokio::test]
async fn redis_is_reached_over_tls_if_its_issuer_is_known() {
    let (source, _upstream) = start_upstream().await;
    let (mut cluster, _redis, control) =
        Cluster::of(source).with_redis_tls().start_with_leader().await;
    cluster.start_edge(control.address, empty_directory()).wait_until_playing().await;

    // Processes that trust another certificate cannot connect.
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = cluster.directory.path().join("other.pem");
    std::fs::write(&file, other.cert.pem()).unwrap();
    cluster.issuer = Some(file);
    let (state, log) = (empty_directory(), cluster.directory.path().join("log"));
    let addresses = [("EDGE__LISTEN", free_address()), ("EDGE__ADMIN", free_address())];
    let mut refused = cluster.command("proxy", state.path(), &addresses);
    refused.env("PITWALL_LOG", "warn").stderr(std::fs::File::create(&log).unwrap());
    let _refused = Process(refused.spawn().unwrap());
    eventually("it says why there is no map", || async {
        let output = std::fs::read_to_string(&log).unwrap();
        let is_logged = output.contains("the last good map is served");
        is_logged.then(|| assert!(output.contains("certificate"), "{output}"))
    })
    .await;
}

#[test]
fn separate_processes_need_a_redis_store() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("pitwall.toml"), "").unwrap();
    let redis = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1\"\n";
    std::fs::write(directory.path().join("redis.toml"), redis).unwrap();
    for (command, file, expected) in [
        ("proxy", "pitwall.toml", "store.kind: pitwall proxy needs \"redis\""),
        ("control-plane", "pitwall.toml", "store.kind: pitwall control-plane needs \"redis\""),
        ("run", "redis.toml", "access.seal_key_file: a Redis store needs one"),
        ("check", "redis.toml", "access.seal_key_file: a Redis store needs one"),
    ] {
        let (code, _, errors) = run_pitwall(&[command, "--config", file], directory.path());
        assert_eq!(code, 2, "{command}: {errors}");
        assert!(errors.contains(expected), "{command}: {errors}");
    }
}

/// The lease is given up, so that another control plane leads at once, and what was learned is
/// saved: however the process is asked to stop.
#[tokio::test]
async fn a_stopped_process_gives_up_its_lease_and_saves_its_history() {
    let (source, _upstream) = start_upstream().await;
    let cluster = Cluster::of(source);
    let _redis = cluster.start_redis().await;
    let has_lease = || {
        let port = cluster.redis.port().to_string();
        let arguments = ["-p", &port, "EXISTS", "{pitwall}:lease"];
        let reply = Command::new("redis-cli").args(arguments).output().unwrap();
        String::from_utf8(reply.stdout).unwrap().trim() == "1"
    };
    for (signal, drain) in [("-INT", "30s"), ("-TERM", "500ms"), ("-TERM", "2s")] {
        let (state, address) = (empty_directory(), free_address());
        let addresses = [("EDGE__LISTEN", address), ("EDGE__ADMIN", free_address())];
        let mut command = cluster.command("run", state.path(), &addresses);
        let mut process = Process(command.env("PITWALL_EDGE__DRAIN", drain).spawn().unwrap());
        eventually("it plays", || async {
            let response = fetch(&format!("http://{address}{MEDIA_PATH}")).await.ok()?;
            (response.status() == 200 && has_lease()).then_some(())
        })
        .await;
        let asked_at = SystemTime::now();
        process.signal(signal);
        // The upstream of the test is served meanwhile.
        let status = tokio::task::spawn_blocking(move || process.0.wait().unwrap()).await.unwrap();
        assert!(status.success(), "{signal} {drain}: {status}");
        assert!(!has_lease(), "{signal} {drain}: the lease is kept");
        let history = std::fs::metadata(state.path().join("history.json")).unwrap();
        // File systems round times down.
        let saved_at = history.modified().unwrap() + Duration::from_millis(10);
        assert!(saved_at >= asked_at, "{signal} {drain}: saved before it was asked to stop");
    }
}
