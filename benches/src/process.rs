//! [`Process`]: a child process that the program starts, watches and ends.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::cores::pin_thread;

/// Timeout until a process listens: an interpreter with many modules needs seconds.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Open files per process: a server needs one per connection of up to 10 000.
const OPEN_FILE_LIMIT: u64 = 65_536;

/// Time between SIGTERM and SIGKILL.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(5);

/// A child process, which is terminated when the value is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` on `cores`, its output in the file `log`; the calling thread then runs on
    /// `own_cores`.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        cores: &[usize],
        own_cores: &[usize],
    ) -> anyhow::Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        pin_thread(cores)?;
        let child = command.spawn();
        pin_thread(own_cores)?;
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Self { child: child.with_context(|| format!("cannot start {program}"))? })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something listens on `address`.
    ///
    /// # Errors
    /// When the process exits, or nothing listens after [`LISTEN_TIMEOUT`].
    pub(crate) fn wait_until_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + LISTEN_TIMEOUT;
        while Instant::now() < deadline {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the process exited: {status}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the process does not listen on {address} after {} s", LISTEN_TIMEOUT.as_secs())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + TERMINATE_TIMEOUT;
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

/// Raises the limit of open files for this process and its children, to [`OPEN_FILE_LIMIT`] or the
/// hard limit.
pub(crate) fn raise_open_file_limit() {
    let wanted = Rlimit { current: Some(OPEN_FILE_LIMIT), maximum: Some(OPEN_FILE_LIMIT) };
    if setrlimit(Resource::Nofile, wanted).is_err() {
        let hard_limit = getrlimit(Resource::Nofile).maximum;
        // A process that exceeds the hard limit reports that itself.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: hard_limit, maximum: hard_limit });
    }
}

/// Makes the program exit on SIGINT and SIGTERM. Inside its process namespace the program is
/// process 1, which unhandled signals do not end; its children end with it.
pub(crate) fn exit_on_signals() -> anyhow::Result<()> {
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

/// A loopback address with a port on which nothing listens.
pub(crate) fn find_free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?)
}

/// A command that runs this program.
pub(crate) fn own_program_command() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("where is this program?")?))
}
