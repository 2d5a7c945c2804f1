//! `pitwall upgrade`: has the process that runs with a configuration replaced by this executable.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::commands;
use crate::config::{Config, NonFatalConfigErrors};
use crate::handover::{ProcessStatus, executable_identity};
use crate::terminal::{print_error, print_text};

const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longer than both steps of a hand-over may take.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Checks the configuration, tells the process to hand over, and waits until it has.
///
/// `or_reload`: where this executable is the one that runs, only the configuration is read again.
///
/// # Errors
/// The configuration is wrong, no process runs with it, or the new one could not take over; the
/// old one then goes on.
pub(crate) fn upgrade(path: &Path, or_reload: bool) -> anyhow::Result<()> {
    match commands::check_config(path) {
        Err(error) if error.is::<NonFatalConfigErrors>() => print_error(&error),
        checked => checked?,
    }
    let directory = Config::load(path)?.state.dir;
    let old = ProcessStatus::of_owner(&directory).ok_or_else(|| {
        anyhow!(
            "no process runs with the state directory {}: is it started, and is this the \
             configuration, with the environment variables, of the one that is?",
            directory.display()
        )
    })?;
    let pid = i32::try_from(old.pid).ok().and_then(Pid::from_raw).context("no process id")?;
    let signal = |signal| {
        kill_process(pid, signal).with_context(|| format!("process {} cannot be told", old.pid))
    };
    if or_reload && !old.executable.is_empty() && old.executable == executable_identity() {
        signal(Signal::HUP)?;
        print_text(&format!("process {} reads its configuration again", old.pid));
        return Ok(());
    }
    signal(Signal::USR2)?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        std::thread::sleep(POLL_INTERVAL);
        // `None` while it is written.
        let Some(now) = ProcessStatus::read(&directory) else { continue };
        if now.pid != old.pid {
            print_text(&format!(
                "process {} ({}) has taken over from process {} ({})",
                now.pid, now.version, old.pid, old.version
            ));
            return Ok(());
        }
        if now.failed_upgrades > old.failed_upgrades {
            bail!("process {} goes on: {}", old.pid, now.last_failure);
        }
        if !ProcessStatus::is_owned(&directory) {
            bail!("process {} has ended", old.pid);
        }
    }
    bail!("process {} has not handed over in {TIMEOUT:?}; its log says more", old.pid)
}
