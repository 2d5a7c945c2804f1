//! Runs the program in its own network namespace, so that no other traffic or network setting
//! affects the measurements.
//!
//! Loopback's routes get the congestion control `cubic`. A machine whose default is `bbr` paces
//! even its loopback traffic, which doubles the cost of large bodies and says nothing about a
//! proxy.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::print_text;
use crate::testbed::TMPFS_PATH;

/// Environment variable that is set in the process inside the namespace.
const NAMESPACE_MARKER_VARIABLE: &str = "PITWALL_BENCHES_NAMESPACE";

/// Flags of unshare(1). The process namespace ends every process still running when the program
/// ends.
const UNSHARE_FLAGS: [&str; 5] = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Runs this program again inside a namespace; where none can be made, prints why and continues in
/// the machine's own.
///
/// # Errors
/// When the namespace exists but cannot be set up.
pub(crate) fn rerun_in_namespace() -> anyhow::Result<()> {
    if std::env::var_os(NAMESPACE_MARKER_VARIABLE).is_some() {
        return prepare_namespace();
    }
    if let Err(reason) = probe_namespace() {
        print_text(&format!(
            "no network namespace ({reason}): the machine's own network and settings are used"
        ));
        return Ok(());
    }
    let program = std::env::current_exe().context("where is this program?")?;
    let error = unshare_command()
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(NAMESPACE_MARKER_VARIABLE, "1")
        .exec();
    bail!("unshare: {error}")
}

fn unshare_command() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(UNSHARE_FLAGS).arg("--");
    command
}

fn probe_namespace() -> anyhow::Result<()> {
    let output = unshare_command().args(["ip", "link", "set", "lo", "up"]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn prepare_namespace() -> anyhow::Result<()> {
    // A tmpfs that is gone with the namespace, however the program ends.
    run_command(&format!("mount -t tmpfs tmpfs {TMPFS_PATH}"))?;
    run_command("ip link set lo up")?;
    for destination in ["127.0.0.0/8", "127.0.0.1"] {
        let route = format!(
            "ip route change local {destination} dev lo table local proto kernel scope host \
             src 127.0.0.1 congctl cubic"
        );
        if let Err(error) = run_command(&route) {
            print_text(&format!(
                "cannot set the congestion control cubic, the machine's default is used: {error:#}"
            ));
        }
    }
    Ok(())
}

fn run_command(command: &str) -> anyhow::Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
