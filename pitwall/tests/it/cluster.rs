//! `pitwall control-plane` and `pitwall proxy` as processes of their own, on one Redis.
//!
//! - [`rotation`]: their seal keys, one after the other.

mod rotation;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::live::upstream;
use crate::support::{client, eventually, fetch, free, pitwall};

const STREAM: &str = "/live/world-feed/index.m3u8";
const MEDIA: &str = "/live/world-feed/v720-avc.m3u8";
pub(crate) const TOKEN: &str = "an-admin-token-of-enough-characters";

/// Killed when the test ends.
pub(crate) struct Process(Child);

impl Process {
    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// SIGTERM, and waits for the end.
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

pub(crate) struct Cluster {
    redis: SocketAddr,
    directory: tempfile::TempDir,
    /// Whose certificate of Redis is believed; without one there is no TLS.
    issuer: Option<PathBuf>,
}

pub(crate) struct Edge {
    pub(crate) process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    pub(crate) state: Arc<tempfile::TempDir>,
}

pub(crate) struct Control {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    pub(crate) state: Arc<tempfile::TempDir>,
    /// What it logs.
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
        let (redis, directory) = (free(), tempfile::tempdir().unwrap());
        let config = format!(
            "[schedule]\nproviders = []\n[store]\nkind = \"redis\"\nurl = \"redis://{redis}\"\n\
             [access]\nseal_key_file = {:?}\nadmin_token_file = {:?}\n{sources}",
            directory.path().join("seal.key"),
            directory.path().join("token"),
        );
        std::fs::write(directory.path().join("pitwall.toml"), config).unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let cluster = Self { redis, directory, issuer: None };
        cluster.set_seal_keys(&["k".repeat(40)]);
        cluster
    }

    /// Of processes that start from now on.
    fn set_seal_keys(&self, keys: &[String]) {
        std::fs::write(self.directory.path().join("seal.key"), keys.join("\n")).unwrap();
    }

    /// Redis takes nothing but TLS, and shows a certificate of its own.
    fn behind_tls(mut self) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let file = |name| self.directory.path().join(name);
        std::fs::write(file("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(file("key.pem"), made.signing_key.serialize_pem()).unwrap();
        self.issuer = Some(file("cert.pem"));
        self
    }

    /// With its Redis, and a control plane that leads.
    pub(crate) async fn led(self) -> (Self, Process, Control) {
        let redis = self.redis().await;
        let control = self.control();
        control.leads().await;
        (self, redis, control)
    }

    /// Always an empty one.
    pub(crate) async fn redis(&self) -> Process {
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

    pub(crate) fn control(&self) -> Control {
        self.control_in(empty())
    }

    pub(crate) fn control_in(&self, state: Arc<tempfile::TempDir>) -> Control {
        let (address, admin) = (free(), free());
        let addresses = [
            ("CONTROL__LISTEN", address),
            ("CONTROL__ADVERTISE", address),
            ("CONTROL__ADMIN", admin),
            // Nobody's, but not somebody else's either.
            ("EDGE__LISTEN", free()),
        ];
        let log = self.directory.path().join(format!("{}.log", address.port()));
        let mut command = self.command("control-plane", state.path(), &addresses);
        command.env("PITWALL_LOG", "info").stderr(std::fs::File::create(&log).unwrap());
        let process = Process(command.spawn().unwrap());
        Control { process, address, admin, state, log }
    }

    pub(crate) fn edge(&self, control: SocketAddr, state: Arc<tempfile::TempDir>) -> Edge {
        self.edge_of(&[control], state)
    }

    /// One that knows where all these control planes are.
    pub(crate) fn edge_of(&self, control: &[SocketAddr], state: Arc<tempfile::TempDir>) -> Edge {
        let (address, admin) = (free(), free());
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
        metric(self.admin, "pitwall_store_leads 1").await.is_some()
    }

    pub(crate) async fn leads(&self) {
        eventually("the control plane leads", || metric(self.admin, "pitwall_store_leads 1")).await;
    }
}

impl Edge {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its map has the stream.
    pub(crate) async fn is_there(&self) {
        eventually("the edge plays the stream", || async {
            fetch(&self.url(STREAM)).await.ok().filter(|answer| answer.status() == 200)
        })
        .await;
    }

    async fn plays(&self) {
        self.is_there().await;
        self.goes_on(1).await;
    }

    /// Without a single error.
    async fn goes_on(&self, polls: usize) {
        for poll in 0..polls {
            let answer = fetch(&self.url(MEDIA)).await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert_eq!(status, 200, "poll {poll}: {text}");
            let segment = text.lines().rfind(|line| line.starts_with("/live/")).unwrap();
            assert_eq!(fetch(&self.url(segment)).await.unwrap().status(), 200, "{segment}");
        }
    }

    pub(crate) async fn is_connected(&self) {
        eventually("it is back", || metric(self.admin, "pitwall_store_connected 1")).await;
    }

    /// How often it has agreed with others on what it publishes.
    pub(crate) async fn agreements(&self) -> u64 {
        let answer = fetch(&format!("http://{}/metrics", self.admin)).await.unwrap();
        let text = answer.text().await.unwrap();
        let name = "pitwall_store_words_total{how=\"together\"} ";
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().parse().unwrap()
    }

    pub(crate) async fn is_cut_off(&self) {
        eventually("it is gone", || metric(self.admin, "pitwall_store_connected 0")).await;
    }
}

async fn metric(admin: SocketAddr, line: &str) -> Option<()> {
    let answer = fetch(&format!("http://{admin}/metrics")).await.ok()?;
    let text = answer.text().await.ok()?;
    text.lines().any(|one| one == line).then_some(())
}

pub(crate) fn empty() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn a_stream_goes_on_whatever_dies() {
    let (source, _upstream) = upstream().await;
    let (cluster, redis, first) = Cluster::of(source).led().await;
    let (one, two) = (cluster.edge(first.address, empty()), cluster.edge(first.address, empty()));
    one.plays().await;
    two.plays().await;

    // A link that one edge made works on the other.
    let text = fetch(&one.url(MEDIA)).await.unwrap().text().await.unwrap();
    let segment = text.lines().find(|line| line.starts_with("/live/")).unwrap();
    assert_eq!(fetch(&two.url(segment)).await.unwrap().status(), 200);

    // Commands go through the edge to the leader, also from one whose control plane stands by.
    let second = cluster.control();
    let run = |address: SocketAddr| async move {
        let url = format!("http://{address}/api/extractors/s/run");
        client().post(url).bearer_auth(TOKEN).send().await.ok().map(|it| it.status().as_u16())
    };
    assert_eq!(run(one.address).await, Some(202));
    // What the leader has done, which is the same whoever is asked.
    let trace = |address: SocketAddr| async move {
        let url = format!("http://{address}/api/extractors/s/trace");
        let answer = client().get(url).bearer_auth(TOKEN).send().await.ok()?;
        answer.error_for_status().ok()?.json::<serde_json::Value>().await.ok()
    };
    // Another run may end between two questions.
    let same = |address: SocketAddr| async move {
        let (told, passed_on) = (trace(first.address).await?, trace(address).await?);
        (told == passed_on).then_some(())
    };
    eventually("the second passes commands on", || same(second.address)).await;
    assert!(first.is_leader().await && !second.is_leader().await, "it was not the second's own");
    let third = cluster.edge(second.address, empty());
    third.plays().await;
    eventually("so does the third edge, through the second", || same(third.address)).await;

    // Redis dies and comes back empty.
    redis.kill();
    one.is_cut_off().await;
    for edge in [&one, &two] {
        edge.goes_on(20).await;
    }
    let redis = cluster.redis().await;
    one.is_connected().await;
    let newcomer = cluster.edge(first.address, empty());
    newcomer.plays().await;

    // The leader dies, whichever it was to whom Redis came back; the next one changes nothing that
    // plays.
    let leader = eventually("one of them leads", || async {
        let (one, two) = (first.is_leader().await, second.is_leader().await);
        (one != two).then_some(one)
    })
    .await;
    let (dying, next) = if leader { (first, second) } else { (second, first) };
    dying.process.kill();
    let taken_over = next.leads();
    let watched = async {
        loop {
            one.goes_on(1).await;
        }
    };
    tokio::select! {
        () = taken_over => {}
        () = watched => {}
    }
    one.goes_on(20).await;

    // Redis dies, and an edge starts without it.
    let kept = newcomer.state.path().join("map");
    eventually("the map is on disk", || async { kept.exists().then_some(()) }).await;
    redis.kill();
    newcomer.process.kill();
    let again = cluster.edge(next.address, newcomer.state.clone());
    again.plays().await;
    one.goes_on(20).await;
    two.goes_on(20).await;
}

#[tokio::test]
async fn redis_is_reached_over_tls_if_its_issuer_is_known() {
    let (source, _upstream) = upstream().await;
    let (mut cluster, _redis, control) = Cluster::of(source).behind_tls().led().await;
    cluster.edge(control.address, empty()).plays().await;

    // Somebody else's certificate.
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = cluster.directory.path().join("other.pem");
    std::fs::write(&file, other.cert.pem()).unwrap();
    cluster.issuer = Some(file);
    let (state, log) = (empty(), cluster.directory.path().join("log"));
    let addresses = [("EDGE__LISTEN", free()), ("EDGE__ADMIN", free())];
    let mut refused = cluster.command("proxy", state.path(), &addresses);
    refused.env("PITWALL_LOG", "warn").stderr(std::fs::File::create(&log).unwrap());
    let _refused = Process(refused.spawn().unwrap());
    eventually("it says why there is no map", || async {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains("the store is gone").then(|| assert!(said.contains("certificate"), "{said}"))
    })
    .await;
}

#[test]
fn alone_in_memory_there_is_nothing_to_do() {
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
        let (code, _, errors) = pitwall(&[command, "--config", file], directory.path());
        assert_eq!(code, 2, "{command}: {errors}");
        assert!(errors.contains(expected), "{command}: {errors}");
    }
}
