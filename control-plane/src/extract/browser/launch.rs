//! A Chromium to look through: one of its own for each run, with an empty profile and one way
//! out, or one that the operator runs.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use url::Url;

use super::endpoint;
use crate::extract::config::BrowserConfig;
use crate::extract::outbound::Outbound;
use crate::extract::program::{Group, confine};
use crate::extract::scratch::Scratch;
use crate::extract::{Context, Failure};

pub(super) struct Running {
    /// Where its DevTools listen.
    pub(super) endpoint: Url,
    _process: Option<Process>,
}

/// In the order in which they end: processes, then what they wrote.
struct Process {
    _group: Group,
    _child: Child,
    _profile: Scratch,
}

const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// No window, no chatter with anybody, and no way around the proxy: not for names, not for QUIC
/// and not for WebRTC.
const ARGUMENTS: [&str; 23] = [
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

pub(super) async fn launch(context: &Context<'_>, outbound: &Outbound) -> Result<Running, Failure> {
    match &context.tools.browser {
        BrowserConfig::Off => Err("the browser is off".into()),
        BrowserConfig::Endpoint(configured) => {
            let endpoint = endpoint::find(context.fetcher, configured).await?;
            Ok(Running { endpoint, _process: None })
        }
        BrowserConfig::Executable { path, sandbox } => {
            start(context.tools.command(path), *sandbox, outbound).await
        }
    }
}

async fn start(
    mut command: Command,
    sandbox: bool,
    outbound: &Outbound,
) -> Result<Running, Failure> {
    let broken = |error: std::io::Error| Failure::passing("it does not start").detail(error);
    let profile = Scratch::new().map_err(broken)?;
    confine(&mut command, profile.path(), &outbound.url());
    command
        .args(ARGUMENTS)
        .args((!sandbox).then_some("--no-sandbox"))
        .arg(format!("--proxy-server={}", outbound.server()))
        .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
        .arg("about:blank")
        .stdout(Stdio::null());
    let mut child = command.spawn().map_err(broken)?;
    let group = Group(child.id());
    let complaints = child.stderr.take();
    let process = Process { _group: group, _child: child, _profile: profile };
    let endpoint = tokio::time::timeout(STARTS_WITHIN, announced(complaints)).await;
    let endpoint = endpoint.map_err(|_| Failure::passing("it does not start in time"))??;
    Ok(Running { endpoint, _process: Some(process) })
}

/// It says where it listens, among much else.
async fn announced(
    complaints: Option<impl AsyncRead + Unpin + Send + 'static>,
) -> Result<Url, Failure> {
    let complaints = complaints.ok_or("it says nothing")?;
    let mut lines = BufReader::new(complaints).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, endpoint)) = line.split_once("DevTools listening on ") {
            // Whoever does not listen any more makes it stop.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Url::parse(endpoint.trim()).map_err(|_| "its endpoint is not a URL".into());
        }
        if line.contains("--no-sandbox") {
            let hint = "as root it does not start with its sandbox: run Pitwall as somebody \
                        else, or set `sandbox = false` in [extract.browser]";
            return Err(Failure::lasting(hint));
        }
        last = line;
    }
    Err(Failure::passing("it does not start").detail(last))
}
