//! [`Predecessor`]: the process that started this one to take over from it.

use std::collections::HashMap;
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use rustix::process::getpid;

use super::channel::{Channel, Message};

/// The environment variable of a process whose standard input is the channel to a predecessor. It
/// does not begin with `PITWALL_`, as it is no setting.
pub(super) const SUCCESSOR_VARIABLE: &str = "_PITWALL_SUCCESSOR";
/// Its value in the process that the predecessor starts, which starts another one and ends.
pub(super) const STARTER: &str = "starter";
const DETACHED: &str = "detached";

const OFFER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than the predecessor takes to save its state, on a disk that hangs too.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Predecessor {
    channel: Channel,
}

/// Starts this program again as a process that is no child of the predecessor once this one ends.
fn start_detached(channel: OwnedFd) -> anyhow::Result<()> {
    let mut arguments = std::env::args_os();
    // The predecessor has started this process by an absolute path.
    let program = arguments.next().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).env(SUCCESSOR_VARIABLE, DETACHED).stdin(Stdio::from(channel));
    command.spawn().context("the new process cannot be started")?;
    Ok(())
}

/// What a predecessor hands over.
#[derive(Default)]
pub(super) struct Inheritance {
    /// By configuration key.
    pub(super) listeners: HashMap<String, TcpListener>,
    pub(super) process_file: Option<File>,
}

impl Predecessor {
    /// Finds the process that started this one as its successor, and takes what it hands over.
    /// Standard input is empty afterwards.
    ///
    /// # Errors
    /// The predecessor does not hand anything over.
    pub(super) fn find() -> anyhow::Result<Option<(Self, Inheritance)>> {
        let Ok(role) = std::env::var(SUCCESSOR_VARIABLE) else { return Ok(None) };
        let stdin = std::io::stdin();
        // A program that a successor starts inherits the variable, and no channel.
        if socket_type(&stdin) != Ok(SocketType::SEQPACKET) {
            return Ok(None);
        }
        let channel = stdin.as_fd().try_clone_to_owned()?;
        if role == STARTER {
            start_detached(channel)?;
            std::process::exit(0);
        }
        let channel = Channel::from(channel);
        let pid = getpid().as_raw_nonzero().get();
        channel.send(&Message::Started { pid }, &[]).context("the old process has ended")?;
        nix::unistd::dup2_stdin(File::open("/dev/null").context("/dev/null")?)?;
        let (message, descriptors) =
            channel.receive(OFFER_TIMEOUT).context("the old process offers nothing")?;
        let Message::Offer { listeners, has_process_file } = message else {
            bail!("the old process says {message:?} and offers nothing");
        };
        let mut descriptors = descriptors.into_iter();
        let listeners = listeners.into_iter().zip(&mut descriptors);
        let listeners = listeners.map(|(key, socket)| (key, TcpListener::from(socket))).collect();
        let process_file = descriptors.next().filter(|_| has_process_file).map(File::from);
        Ok(Some((Self { channel }, Inheritance { listeners, process_file })))
    }

    /// Waits until the predecessor has saved its state; gives the version of the map that it serves.
    ///
    /// # Errors
    /// The predecessor has ended, or keeps its state.
    pub(super) fn claim_state(&self) -> anyhow::Result<u64> {
        let gone = "the old process does not release its state";
        self.channel.send(&Message::Prepared, &[]).context(gone)?;
        match self.channel.receive(RELEASE_TIMEOUT).context(gone)?.0 {
            Message::StateReleased { map_version } => Ok(map_version),
            message => bail!("the old process says {message:?} and releases no state"),
        }
    }

    /// Tells the predecessor that this process accepts connections. One that has ended needs not to
    /// know.
    pub(super) fn tell_listening(&self) {
        if let Err(error) = self.channel.send(&Message::Listening, &[]) {
            tracing::warn!(%error, "the old process has ended before this one took over");
        }
    }
}
