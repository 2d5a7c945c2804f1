//! The command line: [`Cli`], its [`Command`]s and [`Options`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::peers::Workload;
use crate::scenario::ScenarioOptions;
use crate::scenario::players::Crowd;
use crate::scenario::segments::SegmentSize;
use crate::scenario::store::control_plane::ControlPlaneWork;
use crate::testbed::NamedExecutable;

/// Compares Pitwall with its peers: the same work, on this machine.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) options: Options,
}

#[derive(Args)]
pub(crate) struct Options {
    /// Measure only the contenders of these names.
    #[arg(long, global = true, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// Seconds that each contender is measured per repetition [default: 2; virtual players: 20; control
    /// plane: 60].
    #[arg(long, global = true, value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Repetitions; in each, the contenders are measured one after the other [default: 5].
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: Option<u16>,
    /// Fewer and shorter measurements, to check that the benchmarks work.
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// A Pitwall executable, named if there are several [default: the one beside this program].
    #[arg(long, global = true, value_name = "[NAME=]PATH")]
    pitwall: Vec<String>,
    /// The directory into which benches/install-peers installed the peers.
    #[arg(long, global = true, default_value = "target/bench-peers", value_name = "DIRECTORY")]
    pub(crate) peers: PathBuf,
    /// The directory of the records; a run replaces the results of the tasks that it measures.
    #[arg(long, global = true, default_value = "target/bench", value_name = "DIRECTORY")]
    pub(crate) output: PathBuf,
    /// The file of the chart [default: results.svg in the output directory].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run every scenario, then print the report.
    All,
    /// Segments: cache hits (stored) and cache misses (relayed).
    Segments {
        #[arg(long, value_delimiter = ',', default_values = ["500KB", "1MB", "4MB"])]
        sizes: Vec<SegmentSize>,
        #[arg(long, value_delimiter = ',', default_values_t = [16, 64])]
        connections: Vec<usize>,
        #[arg(long, value_delimiter = ',', default_values_t = [1])]
        threads: Vec<usize>,
        #[arg(long, value_delimiter = ',', default_values = ["stored", "relayed"])]
        work: Vec<SegmentWork>,
    },
    /// Stored segments over TLS, by HTTP/1.1 and HTTP/2.
    Secure {
        #[arg(long, value_delimiter = ',', default_values = ["500KB", "1MB", "4MB"])]
        sizes: Vec<SegmentSize>,
    },
    /// Playlists, rewritten or passed through.
    Playlists {
        /// Playlists to measure: live, master, long, window [default: all].
        #[arg(long, value_delimiter = ',')]
        items: Vec<String>,
        #[arg(long, value_delimiter = ',', default_values_t = [1])]
        threads: Vec<usize>,
    },
    /// Virtual players of live streams: playback, and the cost per viewer and per stream.
    Players {
        /// Crowds, VIEWERSxSTREAMSxSIZE, measured one after the other.
        #[arg(long, value_delimiter = ',', default_values = Crowd::ALL)]
        crowds: Vec<Crowd>,
    },
    /// 64 clients that request one new segment at once.
    Herd,
    /// The time until a change of the upstream map reaches the edges on one Redis.
    Publish,
    /// A control plane with many streams: its cost, what it publishes while nothing changes, and
    /// the delay of a change.
    ControlPlane {
        /// Numbers of streams, of two sources each.
        #[arg(long, value_delimiter = ',', default_values_t = [20, 1_000, 10_000])]
        streams: Vec<usize>,
        #[arg(long, value_delimiter = ',', default_values = ["steady", "quiet", "change"])]
        work: Vec<ControlPlaneWork>,
    },
    /// The latency of an edge whose Redis is slow, beside that of one whose Redis is not.
    SlowStore,
    /// Memory of slow readers and of idle connections.
    Memory,
    /// Time to first byte on one connection, beside a file server's.
    FirstByte,
    /// Print tables and requirements from the records, and draw the chart.
    Report,
    /// A server of the benchmarks; the program starts these servers itself.
    #[command(hide = true, subcommand)]
    Serve(ServeCommand),
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum SegmentWork {
    Stored,
    Relayed,
}

#[derive(Subcommand)]
pub(crate) enum ServeCommand {
    Ceiling { listen: SocketAddr, directory: PathBuf },
    Copy { listen: SocketAddr, upstream: SocketAddr },
    Origin { listen: SocketAddr },
}

impl Options {
    /// The options of a scenario; `seconds` is the default duration of one measurement.
    pub(crate) fn scenario_options(&self, seconds: f64) -> ScenarioOptions {
        let seconds = self.seconds.unwrap_or(if self.quick { seconds / 2.0 } else { seconds });
        let repetitions = self.repetitions.unwrap_or(if self.quick { 2 } else { 5 });
        ScenarioOptions {
            contender_names: self.only.clone(),
            duration: Duration::from_secs_f64(seconds),
            repetitions: repetitions.into(),
        }
    }

    /// The Pitwall executables to measure, by default the one beside this program.
    ///
    /// # Errors
    /// When this program's own path cannot be read.
    pub(crate) fn pitwall_executables(&self) -> anyhow::Result<Vec<NamedExecutable>> {
        if self.pitwall.is_empty() {
            let program = std::env::current_exe().context("where is this program?")?;
            let path = program.with_file_name("pitwall");
            return Ok(vec![NamedExecutable { name: "pitwall".to_owned(), path }]);
        }
        let named = self.pitwall.iter().map(|text| match text.split_once('=') {
            Some((name, path)) => NamedExecutable { name: name.to_owned(), path: path.into() },
            None => NamedExecutable { name: "pitwall".to_owned(), path: text.into() },
        });
        Ok(named.collect())
    }
}

impl From<SegmentWork> for Workload {
    fn from(work: SegmentWork) -> Self {
        match work {
            SegmentWork::Stored => Self::Stored,
            SegmentWork::Relayed => Self::Relayed,
        }
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    seconds.ok_or_else(|| "between 0.1 and 600".to_owned())
}
