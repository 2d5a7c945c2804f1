//! How a process starts, what it says of it, and what does not end it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::{client, eventually, fetch, free};

mod checks;
mod idle;
mod reasons;

const QUIET: &str = "[schedule]\nproviders = []\n";
/// Nobody listens there; a process that follows it starts all the same.
const SHARED: &str = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:1\"\n\
                      [access]\nseal_key_file = \"keys\"\n";

/// Killed when the test ends.
struct Process {
    child: Child,
    folder: tempfile::TempDir,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    fn start(command: &str, config: &str) -> Self {
        Self::start_under("", command, config, |_| {})
    }

    /// After this line of a shell, with more than one file in the folder of its configuration.
    fn start_under(shell: &str, command: &str, config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("pitwall.toml"), config).unwrap();
        prepare(folder.path());
        Self::start_in(folder, shell, command)
    }

    fn start_in(folder: tempfile::TempDir, shell: &str, command: &str) -> Self {
        let (listen, admin) = (free(), free());
        let own = if command == "control-plane" { "CONTROL" } else { "EDGE" };
        let child = Command::new("sh")
            .args(["-c", &format!("{shell}\nexec \"$0\" {command} --config \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_pitwall"))
            .arg(folder.path().join("pitwall.toml"))
            .env(format!("PITWALL_{own}__LISTEN"), listen.to_string())
            .env(format!("PITWALL_{own}__ADMIN"), admin.to_string())
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder, listen, admin }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn says(&self, text: &str) {
        let said = || async { self.log().contains(text).then_some(()) };
        eventually(&format!("it says {text:?}"), said).await;
    }

    async fn is_up(&self) {
        let health = format!("http://{}/healthz", self.admin);
        let healthy = || async {
            fetch(&health).await.ok().filter(|answer| answer.status() == 200)?;
            TcpStream::connect(self.listen).await.ok()
        };
        eventually("it is up", healthy).await;
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Ends it, and gives its folder back.
    fn kill(mut self) -> tempfile::TempDir {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        drop(self);
        folder
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keys(folder: &Path) {
    fs::write(folder.join("keys"), "k".repeat(40)).unwrap();
}

#[tokio::test]
async fn sighup_ends_nothing_and_is_answered_in_the_log() {
    for (command, config) in [("run", QUIET), ("proxy", SHARED), ("control-plane", SHARED)] {
        let mut process = Process::start_under("", command, config, keys);
        process.is_up().await;
        for _ in 0..2 {
            process.signal("-HUP");
        }
        process.says("SIGHUP: a reload is not supported yet: restart to apply changes").await;
        process.is_up().await;
        assert!(process.child.try_wait().unwrap().is_none(), "{command}");
    }
}

#[tokio::test]
async fn the_open_file_limit_is_the_hard_one() {
    let process = Process::start_under("ulimit -Sn 128", "run", QUIET, |_| {});
    process.is_up().await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|n| line.split_whitespace().nth(n).unwrap());
    assert_eq!(soft, hard, "{line}");
    assert_ne!(soft, "128", "this machine's hard limit is too low for the test");
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(process.listen).await.unwrap());
    }
    assert_eq!(fetch(&format!("http://{}/healthz", process.listen)).await.unwrap().status(), 200);
}

/// Asks an admin listener, which does not keep a probe waiting.
async fn probe(admin: SocketAddr, path: &str) -> u16 {
    let asked = client().get(format!("http://{admin}{path}")).timeout(Duration::from_secs(3));
    asked.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn with_few_open_files_connections_are_bounded_and_probes_are_answered() {
    let config = format!("{QUIET}[edge.limits]\nheader = \"1m\"\n");
    let process = Process::start_under("ulimit -n 128", "run", &config, |_| {});
    process.is_up().await;
    process
        .says("at most 48 connections at once, not the 50000 of [edge.limits] connections")
        .await;
    process.says("this process may have 128 open files and would need 51088").await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        // One that is turned away may be so before it is connected.
        idle.extend(TcpStream::connect(process.listen).await);
    }
    for path in ["/readyz", "/metrics", "/healthz"] {
        for _ in 0..5 {
            assert_eq!(probe(process.admin, path).await, 200, "{path}");
        }
    }
    // Whoever has no place hears so at once; the others wait.
    let is_open = |stream: &TcpStream| {
        let read = stream.try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    eventually("all but 48 are turned away", || async {
        (idle.iter().filter(|stream| is_open(stream)).count() == 48).then_some(())
    })
    .await;
    assert!(!process.log().contains("Too many open files"), "{}", process.log());
}

/// All files in the state directory.
fn files(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn state_is_for_its_owner_and_a_lost_key_is_not_made_anew() {
    // Whatever the mask would leave to others.
    let process = Process::start_under("umask 000", "run", QUIET, |_| {});
    let state = process.folder.path().join("state");
    let key = state.join("seal.key");
    process
        .says(&format!("a new seal key was made: keep a backup of it path={}", key.display()))
        .await;
    process.is_up().await;
    process.signal("-TERM");
    eventually("there is other state", || async {
        files(&state).into_iter().find(|path| *path != key)
    })
    .await;
    for path in files(&state) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let folder = process.kill();
    // It is not made twice.
    let process = Process::start_in(folder, "", "run");
    process.is_up().await;
    assert!(!process.log().contains("a new seal key"), "{}", process.log());
    let folder = process.kill();

    fs::remove_file(&key).unwrap();
    for command in ["check", "run"] {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pitwall"));
        process.args([command, "--config"]).arg(folder.path().join("pitwall.toml"));
        let ended = process.current_dir("/").output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{command}: {said}");
        let expected = format!("{} is missing beside ", key.display());
        assert!(said.contains(&expected), "{command}: {said}");
        assert!(said.contains("restore it from a backup, or delete"), "{command}: {said}");
        assert!(!key.exists(), "{command} made one");
    }
}

#[tokio::test]
async fn state_of_the_working_directory_is_missed_in_words() {
    let (working, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(working.path().join("state")).unwrap();
    fs::write(working.path().join("state/seal.key"), "k".repeat(40)).unwrap();
    fs::write(folder.path().join("pitwall.toml"), QUIET).unwrap();
    let [old, new] = [&working, &folder].map(|parent| parent.path().join("state"));
    let expected = format!("{} holds state that is not used", old.display());
    let check = Command::new(env!("CARGO_BIN_EXE_pitwall"))
        .args(["check", "--config"])
        .arg(folder.path().join("pitwall.toml"))
        .current_dir(&working)
        .output()
        .unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.contains(&expected) && said.contains(&new.display().to_string()), "{said}");
    let shell = format!("cd {}", working.path().display());
    let process = Process::start_in(folder, &shell, "run");
    process.says(&expected).await;
    process.is_up().await;
}
