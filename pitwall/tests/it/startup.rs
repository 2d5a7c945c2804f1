//! The start of a process: its log, its checks, and what must not end it.
//!
//! - [`config_checks`]: `pitwall check`.
//! - [`error_reasons`]: messages about targets that cannot be fetched.
//! - [`idle_connections`]: the header deadline.
//! - [`refused_keys`]: the log line of a wrong key.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::{client, eventually, fetch, free_address};

mod config_checks;
mod error_reasons;
mod idle_connections;
mod refused_keys;

const NO_SCHEDULE_CONFIG: &str = "[schedule]\nproviders = []\n";
/// A Redis at whose address nothing listens; a process starts nevertheless.
const REDIS_CONFIG: &str = "[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:1\"\n\
                      [access]\nseal_key_file = \"keys\"\n";

/// A `pitwall` process that serves, killed when it is dropped.
struct Process {
    child: Child,
    folder: tempfile::TempDir,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    fn start(command: &str, config: &str) -> Self {
        Self::start_after_shell_line("", command, config, |_| {})
    }

    /// Starts the command after a line of shell; `prepare` may write more files into the directory
    /// of the configuration.
    fn start_after_shell_line(
        shell: &str,
        command: &str,
        config: &str,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("pitwall.toml"), config).unwrap();
        prepare(directory.path());
        Self::start_in(directory, shell, command)
    }

    fn start_in(directory: tempfile::TempDir, shell: &str, command: &str) -> Self {
        let (listen, admin) = (free_address(), free_address());
        let section = if command == "control-plane" { "CONTROL" } else { "EDGE" };
        let child = Command::new("sh")
            .args(["-c", &format!("{shell}\nexec \"$0\" {command} --config \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_pitwall"))
            .arg(directory.path().join("pitwall.toml"))
            .env(format!("PITWALL_{section}__LISTEN"), listen.to_string())
            .env(format!("PITWALL_{section}__ADMIN"), admin.to_string())
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder: directory, listen, admin }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn wait_for_log_line(&self, text: &str) {
        let is_logged = || async { self.log().contains(text).then_some(()) };
        eventually(&format!("it logs {text:?}"), is_logged).await;
    }

    async fn wait_until_up(&self) {
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

    /// Kills the process; its directory, so that another process can start in it.
    fn kill(mut self) -> tempfile::TempDir {
        let directory = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        drop(self);
        directory
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the seal key file of [`REDIS_CONFIG`].
fn keys(directory: &Path) {
    fs::write(directory.join("keys"), "k".repeat(40)).unwrap();
}

#[tokio::test]
async fn sighup_reads_the_configuration_again() {
    for (command, config) in
        [("run", NO_SCHEDULE_CONFIG), ("proxy", REDIS_CONFIG), ("control-plane", REDIS_CONFIG)]
    {
        let mut process = Process::start_after_shell_line("", command, config, keys);
        process.wait_until_up().await;
        for _ in 0..2 {
            process.signal("-HUP");
        }
        process.wait_for_log_line("the configuration was read again").await;
        fs::write(process.folder.path().join("pitwall.toml"), "[edge]\nlisten = 1\n").unwrap();
        process.signal("-HUP");
        process.wait_for_log_line("pitwall.toml:2: edge.listen: ").await;
        process.wait_until_up().await;
        assert!(process.child.try_wait().unwrap().is_none(), "{command}");
    }
}

#[tokio::test]
async fn the_open_file_limit_is_the_hard_one() {
    let process =
        Process::start_after_shell_line("ulimit -Sn 128", "run", NO_SCHEDULE_CONFIG, |_| {});
    process.wait_until_up().await;
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

/// The status of a request to an admin listener, which must respond within 3 s.
async fn probe(admin: SocketAddr, path: &str) -> u16 {
    let request = client().get(format!("http://{admin}{path}")).timeout(Duration::from_secs(3));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn with_few_open_files_connections_are_bounded_and_probes_are_answered() {
    let config = format!("{NO_SCHEDULE_CONFIG}[edge.limits]\nheader = \"1m\"\n");
    let process = Process::start_after_shell_line("ulimit -n 128", "run", &config, |_| {});
    process.wait_until_up().await;
    process
        .wait_for_log_line(
            "at most 48 connections at once, not the 50000 of [edge.limits] connections",
        )
        .await;
    process.wait_for_log_line("this process may have 128 open files and would need 51088").await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        // A connection that is refused may fail before `connect` returns.
        idle.extend(TcpStream::connect(process.listen).await);
    }
    for path in ["/readyz", "/metrics", "/healthz"] {
        for _ in 0..5 {
            assert_eq!(probe(process.admin, path).await, 200, "{path}");
        }
    }
    // Connections beyond the limit are closed at once; the others stay open.
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
    // State files are private even when the umask would allow others to read them.
    let process = Process::start_after_shell_line("umask 000", "run", NO_SCHEDULE_CONFIG, |_| {});
    let state = process.folder.path().join("state");
    let key = state.join("seal.key");
    process
        .wait_for_log_line(&format!(
            "a new seal key was made: keep a backup of it path={}",
            key.display()
        ))
        .await;
    process.wait_until_up().await;
    process.signal("-TERM");
    let process_file = state.join("process");
    eventually("there is state that links depend on", || async {
        files(&state).into_iter().find(|path| ![&key, &process_file].contains(&path))
    })
    .await;
    for path in files(&state) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let directory = process.kill();
    // A restart uses the existing key.
    let process = Process::start_in(directory, "", "run");
    process.wait_until_up().await;
    assert!(!process.log().contains("a new seal key"), "{}", process.log());
    let directory = process.kill();

    fs::remove_file(&key).unwrap();
    for command in ["check", "run"] {
        let mut process = Command::new(env!("CARGO_BIN_EXE_pitwall"));
        process.args([command, "--config"]).arg(directory.path().join("pitwall.toml"));
        let output = process.current_dir("/").output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {errors}");
        let expected = format!("{} is missing beside ", key.display());
        assert!(errors.contains(&expected), "{command}: {errors}");
        assert!(errors.contains("restore it from a backup, or delete"), "{command}: {errors}");
        assert!(!key.exists(), "{command} made one");
    }
}

#[tokio::test]
async fn unused_state_in_the_working_directory_is_reported() {
    let (working, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(working.path().join("state")).unwrap();
    fs::write(working.path().join("state/seal.key"), "k".repeat(40)).unwrap();
    fs::write(directory.path().join("pitwall.toml"), NO_SCHEDULE_CONFIG).unwrap();
    let [old, new] = [&working, &directory].map(|parent| parent.path().join("state"));
    let expected = format!("{} holds state that is not used", old.display());
    let check = Command::new(env!("CARGO_BIN_EXE_pitwall"))
        .args(["check", "--config"])
        .arg(directory.path().join("pitwall.toml"))
        .current_dir(&working)
        .output()
        .unwrap();
    let output = String::from_utf8(check.stdout).unwrap();
    assert!(output.contains(&expected) && output.contains(&new.display().to_string()), "{output}");
    let shell = format!("cd {}", working.path().display());
    let process = Process::start_in(directory, &shell, "run");
    process.wait_for_log_line(&expected).await;
    process.wait_until_up().await;
}
