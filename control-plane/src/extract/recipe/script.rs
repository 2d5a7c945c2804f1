//! The JavaScript step: what a page computes, computed without the page. The script runs in a
//! process of its own, which has no way out and limits on time, memory and depth; the engine
//! alone could not be stopped inside a regular expression or a huge string.

mod worker;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

pub use self::worker::script_worker;
use crate::extract::Failure;
use crate::settings::from_text;

#[derive(Clone)]
pub(super) struct Script(String);

from_text!(Script, |text| worker::check(text).map(|()| Self(text.to_owned())));

/// What a script sees, beside the language.
#[derive(Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) code: String,
    /// As `vars`.
    pub(super) variables: BTreeMap<String, String>,
    /// As `page` and `url`: the current page, or empty.
    pub(super) page: String,
    pub(super) url: String,
    /// The time, in unix milliseconds, and where chance begins.
    pub(super) now: i64,
    pub(super) seed: u64,
}

/// The value of the last expression: as text, or for `foreach` the items of an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Output {
    Text(String),
    Items(Vec<String>),
    Failed(String),
    /// It ran into a limit, which says which.
    Limited(String),
}

/// Its processor time is limited, so that this is for a machine that has little of it to give.
const DEADLINE: Duration = Duration::from_secs(15);

impl Script {
    pub(super) fn code(&self) -> String {
        self.0.clone()
    }
}

impl Input {
    /// Runs it in a worker, which is this executable with these arguments.
    pub(super) async fn run(&self, worker: &[String]) -> Result<Output, Failure> {
        let broken = |error: &dyn std::fmt::Display| {
            Failure::passing("the script could not be run").detail(error)
        };
        let input = serde_json::to_vec(self).map_err(|error| broken(&error))?;
        let mut child = Command::new("/proc/self/exe")
            .args(worker)
            .env_clear()
            .env(worker::MARK, "1")
            // An allocator that reserves ahead would be reserving what is limited.
            .env("MIMALLOC_ARENA_RESERVE", "0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| broken(&error))?;
        let mut stdin = child.stdin.take();
        let talk = async move {
            if let Some(stdin) = &mut stdin {
                // One that ended early says why by how it ended.
                let _ = stdin.write_all(&input).await;
            }
            drop(stdin);
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(DEADLINE, talk).await;
        let output = output.map_err(|_| Failure::lasting("the script took too long"))?;
        let output = output.map_err(|error| broken(&error))?;
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&output.status) {
            return Err(Failure::lasting(killed_by(signal)));
        }
        // Whatever was printed before is not the answer.
        let text = String::from_utf8_lossy(&output.stdout);
        let answer = text.lines().last().unwrap_or_default();
        match serde_json::from_str(answer).map_err(|error| broken(&error))? {
            Output::Failed(why) => Err(Failure::lasting("the script failed").detail(why)),
            Output::Limited(why) => Err(Failure::lasting(why)),
            output => Ok(output),
        }
    }
}

fn killed_by(signal: i32) -> &'static str {
    match signal {
        24 | 9 => "the script took too long",
        6 => "the script used too much memory",
        11 => "the script nested too deeply",
        _ => "the script's process died",
    }
}

#[cfg(test)]
pub(crate) use self::tests::arguments as worker_of_the_tests;
#[cfg(test)]
mod tests;
