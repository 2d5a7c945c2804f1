//! [`Handover`]: starts the new process and makes way for it.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use pitwall_upstream_map::{StateDirectory, Store};
use prometheus::{IntCounter, Registry};
use rustix::process::{Pid, Signal, kill_process};
use sd_notify::NotifyState;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::channel::{Channel, Message};
use super::predecessor::{STARTER, SUCCESSOR_VARIABLE};
use super::process_file::ProcessFile;
use super::startup::{Startup, notify_service_manager};

/// How long a new process may take until it needs the state, and then until it listens.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a new process that has closed its channel may take to end.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// What a process hands over, beside what it had at its start.
pub(crate) struct HandoverParts {
    /// SIGUSR2.
    pub(crate) upgrades: mpsc::Receiver<()>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) state: StateDirectory,
    /// Closes the sockets, once the new process listens.
    pub(crate) make_way: Box<dyn Fn() + Send + Sync>,
}

/// Hands this process's work over when it is told to.
pub(crate) struct Handover {
    parts: HandoverParts,
    listeners: Vec<(String, TcpListener)>,
    process_file: Option<ProcessFile>,
    command: SuccessorCommand,
    failures: IntCounter,
}

impl Handover {
    /// # Errors
    /// The metric is already registered, or the executable of this process cannot be found.
    pub(crate) fn new(
        startup: Startup,
        parts: HandoverParts,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let failures = IntCounter::new(
            "pitwall_upgrade_failures_total",
            "Upgrades after which this process went on, as the new one could not take over.",
        )?;
        registry.register(Box::new(failures.clone()))?;
        let Startup { listeners, process_file, .. } = startup;
        let command = SuccessorCommand::of_this_process()?;
        Ok(Self { parts, listeners, process_file, command, failures })
    }

    /// Hands over on each SIGUSR2, until that succeeds or `stop` completes.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                Some(()) = self.parts.upgrades.recv() => {}
                () = &mut stop => return,
            }
            match self.hand_over(stop.as_mut()).await {
                Ok(successor) => {
                    let successor = successor.as_raw_nonzero().get().unsigned_abs();
                    notify_service_manager(&[NotifyState::MainPid(successor)]);
                    tracing::info!(successor, "the new process listens: this one makes way");
                    (self.parts.make_way)();
                    return;
                }
                Err(error) => {
                    self.failures.inc();
                    let why = format!("{error:#}");
                    tracing::error!(why, "the upgrade has failed: this process goes on");
                    if let Some(process_file) = &self.process_file {
                        process_file.write(self.failures.get(), &why);
                    }
                }
            }
        }
    }

    /// Gives the new process, which listens.
    async fn hand_over(
        &self,
        stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> anyhow::Result<Pid> {
        ensure!(
            std::process::id() != 1,
            "this is the first process of a container, which ends with it: replace the container"
        );
        let (channel, stdin) = Channel::pair()?;
        let mut starter = self.command.spawn(stdin)?;
        tracing::info!(program = %self.command.program.display(), "upgrade: a new process starts");
        let channel = Arc::new(channel);
        let mut successor = None;
        let outcome = tokio::select! {
            outcome = self.negotiate(&channel, &mut successor) => outcome,
            () = stop => Err(anyhow!("this process stops")),
        };
        let Err(error) = outcome else {
            // It has ended long since, and only has to be noticed.
            let _ = timeout(EXIT_TIMEOUT, starter.wait()).await;
            return successor.context("the new process has not said which it is");
        };
        let status = end(&mut starter, successor, &channel, is_closed(&error)).await;
        self.take_back().await;
        if !is_closed(&error) {
            return Err(error);
        }
        let status = status.map_or(String::new(), |status| format!(" ({status})"));
        Err(anyhow!(
            "the new process has ended{status} before it could take over; its own lines say why"
        ))
    }

    /// `successor`: set to the new process once it is known.
    async fn negotiate(
        &self,
        channel: &Arc<Channel>,
        successor: &mut Option<Pid>,
    ) -> anyhow::Result<()> {
        let listeners = self.listeners.iter();
        let offer = Message::Offer {
            listeners: listeners.clone().map(|(key, _)| key.clone()).collect(),
            has_process_file: self.process_file.is_some(),
        };
        let sockets = listeners.map(|(_, listener)| listener.as_fd());
        let file = self.process_file.as_ref().map(|file| file.descriptor().as_fd());
        channel.send(&offer, &sockets.chain(file).collect::<Vec<_>>())?;
        match receive(channel).await.context("starting")? {
            Message::Started { pid } => *successor = Pid::from_raw(pid),
            message => bail!("the new process says {message:?}, not which it is"),
        }
        expect(channel, Message::Prepared).await.context("preparing")?;
        timeout(RELEASE_TIMEOUT, self.release())
            .await
            .context("the state cannot be saved: check the disk of [state] dir")?;
        let map_version = self.parts.store.map().version;
        channel.send(&Message::StateReleased { map_version }, &[])?;
        expect(channel, Message::Listening).await.context("taking over")
    }

    /// Saves the state. From then on nothing is written, and this process leads no more.
    async fn release(&self) {
        let HandoverParts { store, state, .. } = &self.parts;
        store.yield_leadership().await;
        store.save_state().await;
        let state = state.clone();
        // Fails only if it panics.
        let _ = tokio::task::spawn_blocking(move || state.release()).await;
    }

    /// Goes on as before [`release`](Self::release).
    async fn take_back(&self) {
        let HandoverParts { store, state, .. } = &self.parts;
        state.reclaim();
        store.save_state().await;
        store.resume_leadership();
    }
}

/// Ends a new process that cannot take over, and the one that started it, and waits until it has
/// ended; gives the status of the latter if that has failed by itself.
async fn end(
    starter: &mut Child,
    successor: Option<Pid>,
    channel: &Arc<Channel>,
    has_closed: bool,
) -> Option<std::process::ExitStatus> {
    let patience = if has_closed { EXIT_TIMEOUT } else { Duration::ZERO };
    let status = timeout(patience, starter.wait()).await.ok().and_then(Result::ok);
    if status.is_none() {
        // Killing fails when it has ended meanwhile.
        let _ = starter.kill().await;
    }
    if let Some(successor) = successor.filter(|_| !has_closed) {
        let _ = kill_process(successor, Signal::KILL);
        let channel = channel.clone();
        let wait = move || while channel.receive(EXIT_TIMEOUT).is_ok() {};
        // Fails only if it panics.
        let _ = tokio::task::spawn_blocking(wait).await;
    }
    status.filter(|status| !status.success())
}

/// Whether the new process has closed the channel, as it does when it ends.
fn is_closed(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    matches!(
        kind,
        Some(
            std::io::ErrorKind::UnexpectedEof
                | std::io::ErrorKind::BrokenPipe
                | std::io::ErrorKind::ConnectionReset
        )
    )
}

async fn receive(channel: &Arc<Channel>) -> anyhow::Result<Message> {
    let channel = channel.clone();
    let received = tokio::task::spawn_blocking(move || channel.receive(STEP_TIMEOUT)).await?;
    match received {
        Ok((message, _)) => Ok(message),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            bail!("the new process has not got so far in {STEP_TIMEOUT:?}")
        }
        Err(error) => Err(error.into()),
    }
}

async fn expect(channel: &Arc<Channel>, expected: Message) -> anyhow::Result<()> {
    let message = receive(channel).await?;
    ensure!(message == expected, "the new process says {message:?}, not {expected:?}");
    Ok(())
}

/// The command that started this process.
struct SuccessorCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl SuccessorCommand {
    /// The program is the path by which this one was started: another executable may be there by
    /// now, or a symbolic link may lead elsewhere.
    fn of_this_process() -> anyhow::Result<Self> {
        let mut arguments = std::env::args_os();
        let name = PathBuf::from(arguments.next().unwrap_or_default());
        let program = if name.components().count() > 1 {
            std::path::absolute(&name)?
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&path).map(|folder| folder.join(&name));
            match found.into_iter().find(|program| program.is_file()) {
                Some(program) => program,
                None => std::env::current_exe().context("the executable of this process")?,
            }
        };
        Ok(Self { program, arguments: arguments.collect() })
    }

    fn spawn(&self, stdin: OwnedFd) -> anyhow::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .env(SUCCESSOR_VARIABLE, STARTER)
            .stdin(Stdio::from(stdin))
            .spawn()
            .with_context(|| format!("{} cannot be started", self.program.display()))
    }
}
