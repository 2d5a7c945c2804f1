//! Somebody else's program as a step: with a home of its own that is gone afterwards, no
//! configuration but ours, one way out, and an end.

pub(super) mod page;

use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

use bytes::Bytes;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::outbound::Outbound;
use super::scratch::Scratch;
use super::tape::{Answer, Ask};
use super::{Context, Failure, Tool, Track};

/// How it is told what to do. By a file: what stands in arguments, every user of this machine
/// can read.
struct Instructions<'a> {
    tool: Tool,
    name: &'static str,
    /// What it looks at, for the tape.
    target: &'a str,
    /// Arguments before the path of the file.
    arguments: &'a [&'a str],
    /// The file, given the URL of the proxy.
    file: &'a (dyn Fn(&str) -> String + Sync),
}

/// More than any of them says.
const MAX_OUTPUT: u64 = 16 << 20;
const MAX_COMPLAINT: usize = 8 << 10;
/// Shorter lines are brackets, or `null`.
const MIN_COMPLAINT: usize = 4;

/// From our own environment: where programs and certificates are.
const PASSED_ON: [&str; 4] = ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"];
const PROXIES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
const HOMES: [&str; 5] = ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"];

/// What it printed, if it ended well; why not, if it can be told.
async fn run(context: &Context<'_>, instructions: &Instructions<'_>) -> Result<Bytes, Failure> {
    let ask = Ask::new(format!("RUN {}", instructions.name), instructions.target);
    let live = launch(context, instructions);
    let answer = context.tape.exchange(&Track::default(), ask, live).await?;
    Ok(answer.body)
}

async fn launch(context: &Context<'_>, instructions: &Instructions<'_>) -> Result<Answer, Failure> {
    let broken =
        |error: &dyn std::fmt::Display| Failure::passing("it could not be run").detail(error);
    let program = context.tools.program(instructions.tool)?;
    let outbound = Outbound::open(context.fetcher.clone(), context.policy.clone()).await?;
    let home = Scratch::new().map_err(|error| broken(&error))?;
    let file = home.path().join("instructions");
    let text = (instructions.file)(&outbound.url());
    // The folder is for its owner alone.
    std::fs::write(&file, text).map_err(|error| broken(&error))?;
    let mut command = context.tools.command(&program);
    command.args(instructions.arguments).arg(&file);
    confine(&mut command, home.path(), &outbound.url());
    let mut child = command.spawn().map_err(|error| broken(&error))?;
    let _group = Group(child.id());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let heard = tokio::join!(first(out), last(err), child.wait());
    let (Some(body), complaint, Ok(status)) = heard else {
        return Err(Failure::lasting("it said more than it should"));
    };
    if !status.success() {
        // Some complain on one pipe, some on the other.
        let said = [&String::from_utf8_lossy(&body), complaint.as_str()].join("\n");
        return Err(reason(&said, outbound.refusal(context.source)));
    }
    let (url, headers) = (instructions.target.to_owned(), Vec::new());
    Ok(Answer { url, status: 200, headers, cookies: Vec::new(), body })
}

/// Nothing of ours but what it needs, and one way out for whatever it starts.
pub(super) fn confine(command: &mut Command, home: &Path, proxy: &str) {
    command
        .env_clear()
        .envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(HOMES.iter().map(|name| (name, home)))
        .envs(PROXIES.iter().map(|name| (name, proxy)))
        .env("LANG", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
}

/// A process and everything that it started, which ends with the run.
pub(super) struct Group(pub(super) Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // Most often nobody is left.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// All of it, if it is not too much.
async fn first(pipe: Option<impl AsyncRead + Unpin>) -> Option<Bytes> {
    let mut text = Vec::new();
    pipe?.take(MAX_OUTPUT + 1).read_to_end(&mut text).await.ok()?;
    (text.len() as u64 <= MAX_OUTPUT).then(|| text.into())
}

/// The end of it, however much it is.
async fn last(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut tail, mut buffer) = (Vec::new(), vec![0; MAX_COMPLAINT]);
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        tail.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let excess = tail.len().saturating_sub(MAX_COMPLAINT);
        tail.drain(..excess);
    }
    String::from_utf8_lossy(&tail).into_owned()
}

/// What programs complain about, in words fit for the public.
const COMPLAINTS: [(&str, &str); 7] = [
    ("Unsupported URL", "it does not know this kind of page"),
    ("No plugin can handle", "it does not know this kind of page"),
    ("No playable streams", "the page has no stream now"),
    ("No video formats found", "the page has no stream now"),
    ("This live event will begin", "the page has no stream yet"),
    ("DRM", "the stream is under DRM"),
    ("timed out", "the upstream did not answer in time"),
];

fn reason(complaint: &str, refusal: Option<Failure>) -> Failure {
    if let Some(refusal) = refusal {
        return refusal;
    }
    #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
    static STATUS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"HTTP Error (\d{3})|(\d{3}) (?:Client|Server) Error").expect("a pattern")
    });
    let captures = STATUS.captures(complaint);
    let status = captures.and_then(|it| it.get(1).or(it.get(2))?.as_str().parse().ok());
    let known = COMPLAINTS.iter().find(|(said, _)| complaint.contains(said));
    let failure = match (status, known) {
        (Some(status), _) => Failure::status(status),
        (None, Some((_, message))) => Failure::lasting(*message),
        (None, None) => Failure::passing("it failed"),
    };
    let line = complaint.lines().map(str::trim).rfind(|line| line.len() > MIN_COMPLAINT);
    match line {
        Some(line) => failure.detail(line),
        None => failure,
    }
}

#[cfg(test)]
mod tests;
