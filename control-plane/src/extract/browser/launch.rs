//! [`RunningBrowser`]: a Chromium that is started for one run, with an empty profile and the egress
//! proxy as its only network path, or the browser that the operator runs.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use super::endpoint;
use crate::extract::config::BrowserConfig;
use crate::extract::egress::LoopbackProxy;
use crate::extract::program::{ProcessGroup, confine_command};
use crate::extract::run_directory::RunDirectory;
use crate::extract::{ExtractContext, StepFailure};

pub(super) struct RunningBrowser {
    /// The WebSocket URL of the browser's DevTools.
    pub(super) endpoint: Url,
    _process: Option<BrowserProcess>,
}

/// The fields are dropped in this order: the processes are killed, then their files removed.
struct BrowserProcess {
    _group: ProcessGroup,
    _child: Child,
    _profile: RunDirectory,
}

const BROWSER_START_TIMEOUT: Duration = Duration::from_secs(15);

/// No window, no background requests, and no way around the proxy: neither name resolution nor QUIC
/// nor WebRTC.
const CHROMIUM_ARGUMENTS: [&str; 23] = [
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-features=MediaRouter,OptimizationHints,Translate",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--metrics-recording-only",
    "--mute-audio",
    "--password-store=basic",
    "--autoplay-policy=no-user-gesture-required",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
];

pub(super) async fn launch_or_reach_browser(
    context: &ExtractContext<'_>,
    egress: &LoopbackProxy,
) -> Result<RunningBrowser, StepFailure> {
    match &context.tools.browser {
        BrowserConfig::Off => Err("the browser is off".into()),
        BrowserConfig::Endpoint(configured) => {
            let endpoint = endpoint::resolve_endpoint(context.fetcher, configured).await?;
            Ok(RunningBrowser { endpoint, _process: None })
        }
        BrowserConfig::Executable { path, sandbox } => {
            start_chromium(context.tools.build_command(path), *sandbox, egress).await
        }
    }
}

async fn start_chromium(
    mut command: Command,
    sandbox: bool,
    egress: &LoopbackProxy,
) -> Result<RunningBrowser, StepFailure> {
    let broken =
        |error: std::io::Error| StepFailure::transient("it does not start").with_detail(error);
    let profile = RunDirectory::new().map_err(broken)?;
    confine_command(&mut command, profile.path(), &egress.url_with_credentials());
    command
        .args(CHROMIUM_ARGUMENTS)
        .args((!sandbox).then_some("--no-sandbox"))
        .arg(format!("--proxy-server={}", egress.url_without_credentials()))
        .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
        .arg("about:blank")
        .stdout(Stdio::null());
    let mut child = command.spawn().map_err(broken)?;
    let group = ProcessGroup(child.id());
    let stderr = child.stderr.take();
    let process = BrowserProcess { _group: group, _child: child, _profile: profile };
    let endpoint = tokio::time::timeout(BROWSER_START_TIMEOUT, read_devtools_url(stderr)).await;
    let endpoint = endpoint.map_err(|_| StepFailure::transient("it does not start in time"))??;
    Ok(RunningBrowser { endpoint, _process: Some(process) })
}

/// Reads the DevTools URL from the browser's standard error.
async fn read_devtools_url(
    stderr: Option<impl AsyncRead + Unpin + Send + 'static>,
) -> Result<Url, StepFailure> {
    let stderr = stderr.ok_or("it says nothing")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, endpoint)) = line.split_once("DevTools listening on ") {
            // The rest of the pipe is read and discarded: a closed or full pipe would stop the
            // browser.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Url::parse(endpoint.trim()).map_err(|_| "its endpoint is not a URL".into());
        }
        if line.contains("--no-sandbox") {
            let hint = "as root it does not start with its sandbox: run Pitwall as somebody \
                        else, or set `sandbox = false` in [extract.browser]";
            return Err(StepFailure::permanent(hint));
        }
        last = line;
    }
    Err(StepFailure::transient("it does not start").with_detail(last))
}
