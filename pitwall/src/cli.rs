//! What can be typed.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::ADDRESS_AND_PORT;
use crate::{bench, commands, control, edge, extract, hangup, run};

/// A self-hosted live-stream edge.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Edge and control plane in one process.
    Run {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        listen: Listen,
    },
    /// An edge alone, on a Redis store: as many as there are viewers for.
    Proxy {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        listen: Listen,
    },
    /// A control plane alone, on a Redis store: one of several leads, the others stand by.
    ControlPlane {
        #[command(flatten)]
        config: ConfigFile,
    },
    /// `run` with an origin of our own and a session that is live now.
    Demo {
        #[command(flatten)]
        listen: Listen,
        /// How long a token of the demo's origin lives, in seconds.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(8..=3600))]
        token_ttl: u64,
    },
    /// The demo's origin alone: live HLS, pages and schedules.
    Origin {
        #[arg(long, default_value = "127.0.0.1:9000", value_parser = address)]
        listen: SocketAddr,
        /// How long a token lives, in seconds.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(8..=3600))]
        token_ttl: u64,
    },
    /// Seal a URL: prints the paths that play it through this edge.
    Sign {
        url: String,
        /// How long the links work, at most a day.
        #[arg(long, value_name = "DURATION")]
        ttl: Option<humantime::Duration>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Run one source's extractor and print what it found.
    Extract {
        source: String,
        #[command(flatten)]
        options: ExtractOptions,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Virtual players against any playlist: what viewers would see.
    Bench {
        /// A live or recorded playlist, of an edge or of anything else.
        #[arg(long, value_name = "URL")]
        against: String,
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        viewers: u32,
        /// How long they watch.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: u64,
    },
    /// The process in which a recipe's scripts run; Pitwall starts it itself.
    #[command(hide = true)]
    ScriptWorker,
    /// Read the configuration and say whether it is fine.
    Check {
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Args)]
pub(crate) struct ConfigFile {
    #[arg(long, default_value = "conf/pitwall.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Args)]
pub(crate) struct ExtractOptions {
    /// Print each step: how long it took, what matched and what it yielded, secrets masked.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Look at what was found as a player would; exit 1 unless all of it plays.
    #[arg(long, conflicts_with = "replay")]
    pub(crate) check: bool,
    /// Keep what was heard, tokens and all, in DIR/SOURCE; a run that failed beside it.
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Run on the last good recording in DIR, without a network.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["record", "diff"])]
    pub(crate) replay: Option<PathBuf>,
    /// Name the first step that drifted since the last good recording in DIR; exit 1 if one did.
    #[arg(long, value_name = "DIR")]
    pub(crate) diff: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Listen {
    /// Instead of the configured address.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| ADDRESS_AND_PORT)
}

impl Cli {
    /// Is this process one that runs a script, and nothing else?
    pub(crate) fn worker(&self) -> Option<ExitCode> {
        let worker = matches!(self.command, Command::ScriptWorker);
        worker.then(pitwall_control_plane::script_worker)
    }

    /// To standard error: `PITWALL_LOG` as in `info` or `pitwall_proxy=debug`.
    pub(crate) fn start_logging(&self) {
        let quiet = matches!(self.command, Command::Demo { .. } | Command::Extract { .. });
        let silent = matches!(self.command, Command::Check { .. });
        // A check says itself what is wrong, and whoever fetches says which certificate is. That a
        // client left during a handshake is no error.
        let default = if silent {
            "off"
        } else if quiet {
            "error,pitwall::hangup=warn,rustls_platform_verifier=off"
        } else {
            "info,pingora_core=warn,pingora_core::apps=off,pingora_proxy=warn,\
             pingora_proxy::proxy_cache=off,rustls_platform_verifier=off"
        };
        let filter =
            EnvFilter::try_from_env("PITWALL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
    }

    pub(crate) fn execute(self) -> anyhow::Result<()> {
        use Command::{ControlPlane, Demo, Origin, Proxy, Run};
        if let Run { .. } | Proxy { .. } | ControlPlane { .. } | Demo { .. } | Origin { .. } =
            self.command
        {
            hangup::survive()?;
        }
        match self.command {
            Command::Run { config, listen } => run::run(&config.config, listen.listen),
            Command::Proxy { config, listen } => edge::proxy(&config.config, listen.listen),
            Command::ControlPlane { config } => control::run(&config.config),
            Command::Demo { listen, token_ttl } => run::demo(listen.listen, token_ttl),
            Command::Origin { listen, token_ttl } => run::origin(listen, token_ttl),
            Command::Sign { url, ttl, config } => {
                commands::sign(&url, ttl.map(Into::into), &config.config)
            }
            Command::Bench { against, viewers, seconds } => {
                bench::run(&against, viewers, Duration::from_secs(seconds))
            }
            Command::Extract { source, options, config } => {
                extract::extract(&source, &options, &config.config)
            }
            // It has ended before this: see `worker`.
            Command::ScriptWorker => Ok(()),
            Command::Check { config } => commands::check(&config.config),
        }
    }
}

/// Says what went wrong, on standard error.
#[expect(clippy::print_stderr, reason = "the executable talks to its terminal")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("pitwall: {error:#}");
}

/// Says something to whoever started this.
#[expect(clippy::print_stdout, reason = "the executable talks to its terminal")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// How far something is, on a terminal: one line, written over; `None` takes it away.
#[expect(clippy::print_stderr, reason = "the executable talks to its terminal")]
pub(crate) fn progress(text: Option<&str>) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{}", text.unwrap_or_default());
    }
}
