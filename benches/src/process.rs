//! A process that the program starts, watches and ends.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::cores::pin;

/// How long a process may take to listen: an interpreter with many modules needs seconds.
const STARTING: Duration = Duration::from_secs(30);

const FILES: u64 = 65_536;

const ENDING: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it on `cores`, its output in `log`, and goes on itself on `ours`.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        cores: &[usize],
        ours: &[usize],
    ) -> anyhow::Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        pin(cores)?;
        let child = command.spawn();
        pin(ours)?;
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Self { child: child.with_context(|| format!("cannot start {program}"))? })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something listens on `address`.
    pub(crate) fn wait_for(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + STARTING;
        while Instant::now() < deadline {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended by itself: {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("it does not listen on {address} after {} s", STARTING.as_secs())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Thousands of connections need as many files, here and in what is started.
pub(crate) fn raise_file_limit() {
    let wanted = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        let most = getrlimit(Resource::Nofile).maximum;
        // As far as it goes; who runs out of files says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    }
}

/// Ends on SIGINT and SIGTERM. In a namespace of its own this is the first process, which
/// signals do not end unless they are handled; whatever it started ends with it.
pub(crate) fn end_on_signals() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
            let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(130);
        });
    })?;
    Ok(())
}

/// A port that nothing listens on.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?)
}
