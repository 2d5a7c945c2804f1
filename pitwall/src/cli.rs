//! [`Cli`]: the command line, its [`Command`]s, and the logging that each of them needs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::BenchOptions;
use crate::config::ADDRESS_SYNTAX_HINT;
use crate::logging::{self, Verbosity};
use crate::version::VERSION;

/// A self-hosted live-stream edge.
#[derive(Parser)]
#[command(version = VERSION, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Edge and control plane in one process.
    Run {
        #[command(flatten)]
        config: ConfigOption,
        #[command(flatten)]
        listen: ListenOption,
    },
    /// An edge alone, on a Redis store: any number of them share one control plane.
    Proxy {
        #[command(flatten)]
        config: ConfigOption,
        #[command(flatten)]
        listen: ListenOption,
    },
    /// A control plane alone, on a Redis store: one of several leads, the others stand by.
    ControlPlane {
        #[command(flatten)]
        config: ConfigOption,
    },
    /// `run` with an origin of our own and a session that is live now.
    Demo {
        #[command(flatten)]
        listen: ListenOption,
        /// How long a token of the demo's origin lives, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(8..=3600))]
        token_ttl: u64,
    },
    /// The demo's origin alone: live HLS, pages and schedules.
    Origin {
        /// Listen on this address.
        #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS:PORT", value_parser = parse_address)]
        listen: SocketAddr,
        /// How long a token lives, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(8..=3600))]
        token_ttl: u64,
    },
    /// Seal a URL: prints the links that play it through this edge.
    Sign {
        /// A playlist, or a segment: the first link is for the one, the second for the other.
        url: String,
        /// How long the links work, at most a day.
        #[arg(long, value_name = "DURATION")]
        ttl: Option<humantime::Duration>,
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Write a first configuration, from options or by asking. Nothing is overwritten.
    Init {
        #[command(flatten)]
        options: InitOptions,
    },
    /// Print the links, with the key, of a person whom the key file names.
    Link {
        /// As a line NAME: KEY of `[access] key_file` has it.
        name: String,
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Send a test to each webhook and print what it answers.
    Notify {
        /// Required, as nothing else can be sent.
        #[arg(long, required = true)]
        test: bool,
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Run one source's extractor and print what it found.
    Extract {
        /// The name of a configured source.
        source: String,
        #[command(flatten)]
        options: ExtractOptions,
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Virtual players against any playlists: what viewers would see.
    Bench(BenchOptions),
    /// Write man pages and shell completions into a folder.
    #[cfg(feature = "manual")]
    #[command(hide = true)]
    Manual { directory: PathBuf },
    /// The process in which a recipe's scripts run; Pitwall starts it itself.
    #[command(hide = true)]
    ScriptWorker,
    /// Have the process that runs with this configuration replaced by this executable, without a
    /// viewer noticing.
    Upgrade {
        /// Where this executable is the one that runs already, have only the configuration read
        /// again.
        #[arg(long)]
        or_reload: bool,
        #[command(flatten)]
        config: ConfigOption,
    },
    /// Read the configuration and say whether it is fine.
    Check {
        /// Also try what it names: run each source and play what it finds, reach schedule
        /// providers and webhooks, and look when the certificate ends.
        #[arg(long)]
        deep: bool,
        #[command(flatten)]
        config: ConfigOption,
    },
}

impl Command {
    /// Whether the command serves many viewers, for as long as it is not stopped.
    pub(crate) fn is_server(&self) -> bool {
        matches!(
            self,
            Self::Run { .. } | Self::Proxy { .. } | Self::ControlPlane { .. } | Self::Demo { .. }
        )
    }
}

#[derive(Args)]
pub(crate) struct ConfigOption {
    /// The configuration; files in `sources/` beside it are sources.
    #[arg(long, default_value = "conf/pitwall.toml", value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Args)]
pub(crate) struct InitOptions {
    /// A playlist (.m3u8) to play. Without it, and in a terminal, `init` asks.
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,
    /// What the playlist shows: the name of the stream.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<String>,
    /// Where viewers reach it; 0.0.0.0 is every address of this machine.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Who may watch: everybody, or who has a key, of which one is made.
    #[arg(long)]
    pub(crate) access: Option<AccessChoice>,
    /// The folder to write to.
    #[arg(long, default_value = "conf")]
    pub(crate) dir: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessChoice {
    Open,
    Key,
}

#[derive(Args)]
pub(crate) struct ExtractOptions {
    /// Print each step: how long it took, what matched and what it yielded, secrets masked.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Check each candidate as a player would; exit 1 unless all of them play.
    #[arg(long, conflicts_with = "replay")]
    pub(crate) check: bool,
    /// Save the recorded responses, tokens included, in DIR/SOURCE; a failed run is saved beside
    /// it.
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
pub(crate) struct ListenOption {
    /// Listen on this address instead of the configured one.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) listen: Option<SocketAddr>,
}

fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| ADDRESS_SYNTAX_HINT)
}

impl Cli {
    /// Runs a recipe's script if this process was started for that; `None` for any other
    /// subcommand.
    pub(crate) fn run_if_script_worker(&self) -> Option<ExitCode> {
        let worker = matches!(self.command, Command::ScriptWorker);
        worker.then(pitwall_control_plane::run_script_worker)
    }

    /// Starts logging to standard error.
    pub(crate) fn start_logging(&self) {
        logging::start(match self.command {
            Command::Demo { .. } | Command::Extract { .. } => Verbosity::Quiet,
            // A check prints errors itself, and a failed fetch names the bad certificate.
            Command::Check { .. } | Command::Upgrade { .. } | Command::Init { .. } => {
                Verbosity::Silent
            }
            _ => Verbosity::Server,
        });
    }
}
