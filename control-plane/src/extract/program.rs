//! Runs an external program as a step of a run: in a home directory that is removed afterwards,
//! with the configuration that Pitwall writes and no other, with an
//! [`LoopbackProxy`] as its only network path, and killed with the run.
//!
//! - [`extractor`]: sources whose page such a program reads.

pub(super) mod extractor;

use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;

use bytes::Bytes;
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::egress::LoopbackProxy;
use super::recorder::{RecordedRequest, RecordedResponse};
use super::run_directory::RunDirectory;
use super::{ExternalTool, ExtractContext, RunBranch, StepFailure};

/// What to run and with which configuration. The configuration is passed in a file, as every user
/// of this machine can read a process's arguments.
struct ProgramInvocation<'a> {
    tool: ExternalTool,
    name: &'static str,
    /// The URL that the program reads, for the recorder.
    target: &'a str,
    /// Arguments before the path of the configuration file.
    arguments: &'a [&'a str],
    /// The content of the configuration file, given the URL of the proxy.
    render_config: &'a (dyn Fn(&str) -> String + Sync),
}

/// More than any of the programs prints.
const STDOUT_MAX_BYTES: u64 = 16 << 20;
const STDERR_TAIL_MAX_BYTES: usize = 8 << 10;
/// Shorter lines of output, such as brackets or `null`, explain no error.
const ERROR_LINE_MIN_BYTES: usize = 4;

/// Inherited from Pitwall's environment: where programs and certificates are.
const INHERITED_VARIABLES: [&str; 4] =
    ["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"];
const PROXY_VARIABLES: [&str; 6] =
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
const HOME_VARIABLES: [&str; 5] =
    ["HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"];

/// The program's standard output if it succeeded.
///
/// # Errors
/// Why the program could not be run, or why it failed, as far as its output says so.
async fn run_program(
    context: &ExtractContext<'_>,
    invocation: &ProgramInvocation<'_>,
) -> Result<Bytes, StepFailure> {
    let request = RecordedRequest::new(format!("RUN {}", invocation.name), invocation.target);
    let live = run_program_live(context, invocation);
    let response = context.recorder.run_exchange(&RunBranch::default(), request, live).await?;
    Ok(response.body)
}

async fn run_program_live(
    context: &ExtractContext<'_>,
    invocation: &ProgramInvocation<'_>,
) -> Result<RecordedResponse, StepFailure> {
    let broken = |error: &dyn std::fmt::Display| {
        StepFailure::transient("it could not be run").with_detail(error)
    };
    let program = context.tools.find_program(invocation.tool)?;
    let egress = LoopbackProxy::start(context.fetcher.clone(), context.policy.clone()).await?;
    let home = RunDirectory::new().map_err(|error| broken(&error))?;
    let file = home.path().join("instructions");
    let text = (invocation.render_config)(&egress.url_with_credentials());
    // The directory has mode 0700, so that no other user can read the file.
    std::fs::write(&file, text).map_err(|error| broken(&error))?;
    let mut command = context.tools.build_command(&program);
    command.args(invocation.arguments).arg(&file);
    confine_command(&mut command, home.path(), &egress.url_with_credentials());
    let mut child = command.spawn().map_err(|error| broken(&error))?;
    let _group = ProcessGroup(child.id());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let output = tokio::join!(read_limited(stdout), read_tail(stderr), child.wait());
    let (Some(body), stderr_tail, Ok(status)) = output else {
        return Err(StepFailure::permanent("it said more than it should"));
    };
    if !status.success() {
        // Some programs print errors to standard output, some to standard error.
        let output = [&String::from_utf8_lossy(&body), stderr_tail.as_str()].join("\n");
        return Err(explain_failure(&output, egress.denial_failure(context.source)));
    }
    let (url, headers) = (invocation.target.to_owned(), Vec::new());
    Ok(RecordedResponse { url, status: 200, headers, cookies: Vec::new(), body })
}

/// Confines a program and its children: of Pitwall's environment only `INHERITED_VARIABLES`, a home
/// of its own, and the egress proxy in every variable that programs read a proxy from.
pub(super) fn confine_command(command: &mut Command, home: &Path, proxy: &str) {
    command
        .env_clear()
        .envs(INHERITED_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(HOME_VARIABLES.iter().map(|name| (name, home)))
        .envs(PROXY_VARIABLES.iter().map(|name| (name, proxy)))
        .env("LANG", "C.UTF-8")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
}

/// The process group of a program, by the id of its leader; killed on drop, so that no child of the
/// program outlives the run.
pub(super) struct ProcessGroup(pub(super) Option<u32>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let pid = self.0.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            // An error means that the group has no process left, which is the usual case.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The whole output, or `None` if it is longer than `STDOUT_MAX_BYTES`.
async fn read_limited(pipe: Option<impl AsyncRead + Unpin>) -> Option<Bytes> {
    let mut text = Vec::new();
    pipe?.take(STDOUT_MAX_BYTES + 1).read_to_end(&mut text).await.ok()?;
    (text.len() as u64 <= STDOUT_MAX_BYTES).then(|| text.into())
}

/// The last `STDERR_TAIL_MAX_BYTES` of the output; the pipe is read to its end, so that the program
/// never blocks on it.
async fn read_tail(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let (mut tail, mut buffer) = (Vec::new(), vec![0; STDERR_TAIL_MAX_BYTES]);
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        tail.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let excess = tail.len().saturating_sub(STDERR_TAIL_MAX_BYTES);
        tail.drain(..excess);
    }
    String::from_utf8_lossy(&tail).into_owned()
}

/// What the programs' error output contains, and the message for it that names no upstream.
const KNOWN_ERRORS: [(&str, &str); 7] = [
    ("Unsupported URL", "it does not know this kind of page"),
    ("No plugin can handle", "it does not know this kind of page"),
    ("No playable streams", "the page has no stream now"),
    ("No video formats found", "the page has no stream now"),
    ("This live event will begin", "the page has no stream yet"),
    ("DRM", "the stream is under DRM"),
    ("timed out", "the upstream did not answer in time"),
];

/// Why a program failed: a connection that the address policy denied, else what `output` says.
fn explain_failure(output: &str, denial: Option<StepFailure>) -> StepFailure {
    if let Some(denial) = denial {
        return denial;
    }
    #[expect(clippy::expect_used, reason = "a constant, covered by a test")]
    static HTTP_STATUS_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"HTTP Error (\d{3})|(\d{3}) (?:Client|Server) Error").expect("a pattern")
    });
    let captures = HTTP_STATUS_PATTERN.captures(output);
    let status = captures.and_then(|it| it.get(1).or(it.get(2))?.as_str().parse().ok());
    let known = KNOWN_ERRORS.iter().find(|(text, _)| output.contains(text));
    let failure = match (status, known) {
        (Some(status), _) => StepFailure::from_status(status),
        (None, Some((_, message))) => StepFailure::permanent(*message),
        (None, None) => StepFailure::transient("it failed"),
    };
    let line = output.lines().map(str::trim).rfind(|line| line.len() > ERROR_LINE_MIN_BYTES);
    match line {
        Some(line) => failure.with_detail(line),
        None => failure,
    }
}

#[cfg(test)]
mod tests;
