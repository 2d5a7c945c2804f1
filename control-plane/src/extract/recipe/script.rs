//! The `script` action: evaluates JavaScript without a page. The script runs in a worker process
//! without network access and with limits on CPU time, memory and nesting: within this process, the
//! engine could not be stopped inside a regular expression or a huge string.
//!
//! - [`worker`]: the worker's side; [`globals`]: what scripts find there; [`confinement`]: what the
//!   kernel keeps the worker from.

mod confinement;
mod globals;
mod worker;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

pub use self::worker::run_script_worker;
use crate::extract::StepFailure;
use crate::settings::from_text;

#[derive(Clone)]
pub(super) struct Script(String);

from_text!(Script, |text| worker::check_syntax(text).map(|()| Self(text.to_owned())));

/// A script and the globals that it sees.
#[derive(Serialize, Deserialize)]
pub(super) struct ScriptInput {
    pub(super) code: String,
    /// The global `vars`.
    pub(super) variables: BTreeMap<String, String>,
    /// The global `page`: the text of the current page, or empty.
    pub(super) page: String,
    /// The global `url`: the URL of the current page, or empty.
    pub(super) url: String,
    /// The time that `Date` returns, in unix milliseconds.
    pub(super) now: i64,
    /// The seed of `Math.random`.
    pub(super) seed: u64,
}

/// The value of the last expression: the items of an array, or any other value as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScriptOutput {
    Text(String),
    Items(Vec<String>),
    Failed(String),
    /// The script hit a limit; the text is public and names the limit.
    Limited(String),
}

/// What the worker writes.
#[derive(Serialize, Deserialize)]
struct WorkerReply {
    output: ScriptOutput,
    /// The kernel keeps the worker from files and network.
    is_confined: bool,
}

/// Wall-clock limit of a script. The worker's CPU time is limited to less, so that this limit is
/// reached only on an overloaded machine.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(15);

impl Script {
    pub(super) fn code(&self) -> String {
        self.0.clone()
    }
}

impl ScriptInput {
    /// Runs the script in a worker process, which is this executable with the arguments `worker`.
    pub(super) async fn run_in_worker(
        &self,
        worker: &[String],
    ) -> Result<ScriptOutput, StepFailure> {
        let broken = |error: &dyn std::fmt::Display| {
            StepFailure::transient("the script could not be run").with_detail(error)
        };
        let input = serde_json::to_vec(self).map_err(|error| broken(&error))?;
        let mut child = Command::new("/proc/self/exe")
            .args(worker)
            .env_clear()
            .env(worker::WORKER_ENV_VARIABLE, "1")
            // The allocator would reserve more address space than `RLIMIT_AS` allows.
            .env("MIMALLOC_ARENA_RESERVE", "0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| broken(&error))?;
        let mut stdin = child.stdin.take();
        let exchange = async move {
            if let Some(stdin) = &mut stdin {
                // The write fails if the worker ended early; its exit status explains why.
                let _ = stdin.write_all(&input).await;
            }
            drop(stdin);
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(SCRIPT_TIMEOUT, exchange).await;
        let output = output.map_err(|_| StepFailure::permanent("the script took too long"))?;
        let output = output.map_err(|error| broken(&error))?;
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&output.status) {
            return Err(StepFailure::permanent(describe_signal(signal)));
        }
        // The worker's reply is its last line: earlier lines are output of the executable's start.
        let text = String::from_utf8_lossy(&output.stdout);
        let reply = text.lines().last().unwrap_or_default();
        let reply: WorkerReply = serde_json::from_str(reply).map_err(|error| broken(&error))?;
        if !reply.is_confined {
            warn_unconfined();
        }
        match reply.output {
            ScriptOutput::Failed(why) => {
                Err(StepFailure::permanent("the script failed").with_detail(why))
            }
            ScriptOutput::Limited(why) => Err(StepFailure::permanent(why)),
            output => Ok(output),
        }
    }
}

fn warn_unconfined() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "this kernel has no Landlock: a script that breaks out of its engine could read files; use Linux 5.13 or later with Landlock for recipes with scripts of pages"
        );
    });
}

/// The message for the signal that killed the worker (Linux numbers): SIGXCPU (24), SIGKILL (9),
/// SIGABRT (6), SIGSEGV (11).
fn describe_signal(signal: i32) -> &'static str {
    match signal {
        24 | 9 => "the script took too long",
        6 => "the script used too much memory",
        11 => "the script nested too deeply",
        _ => "the script's process died",
    }
}

#[cfg(test)]
pub(crate) use self::tests::worker_arguments as worker_of_the_tests;
#[cfg(test)]
mod tests;
