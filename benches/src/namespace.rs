//! A network of our own, so that nobody else's traffic or settings are measured.
//!
//! Loopback's routes get `cubic`: machines whose default is `bbr` pace what never leaves them,
//! which doubles the cost of large bodies and tells nothing about a proxy.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::say;
use crate::stage::TMPFS;

/// Set in the process that runs inside.
const INSIDE: &str = "PITWALL_BENCHES_NAMESPACE";

/// With processes of its own too: whatever is left running ends with the program.
const FLAGS: [&str; 5] = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Runs this program again in the namespace, or goes on in the machine's, saying so.
pub(crate) fn enter() -> anyhow::Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return prepare();
    }
    if let Err(reason) = probe() {
        say(&format!("no network namespace ({reason}): the machine's own is used, as it is"));
        return Ok(());
    }
    let program = std::env::current_exe().context("where is this program?")?;
    let error = unshare().arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1").exec();
    bail!("unshare: {error}")
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(FLAGS).arg("--");
    command
}

fn probe() -> anyhow::Result<()> {
    let output = unshare().args(["ip", "link", "set", "lo", "up"]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn prepare() -> anyhow::Result<()> {
    // Files in memory that are gone with the namespace, however the program ends.
    run(&format!("mount -t tmpfs tmpfs {TMPFS}"))?;
    run("ip link set lo up")?;
    for destination in ["127.0.0.0/8", "127.0.0.1"] {
        let route = format!(
            "ip route change local {destination} dev lo table local proto kernel scope host \
             src 127.0.0.1 congctl cubic"
        );
        if let Err(error) = run(&route) {
            say(&format!("cubic cannot be had, the machine's default is used: {error:#}"));
        }
    }
    Ok(())
}

fn run(command: &str) -> anyhow::Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
