//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::peers::Work;
use crate::scenario::Terms;
use crate::scenario::players::Crowd;
use crate::scenario::segments::Size;
use crate::stage::NamedPath;

/// Pitwall beside its peers, on the same work, on this machine.
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
    /// Only these contenders.
    #[arg(long, global = true, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// How long each contender is measured each time [default: 2, virtual players 20].
    #[arg(long, global = true, value_parser = seconds)]
    seconds: Option<f64>,
    /// How often, each time one after the other [default: 5].
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: Option<u16>,
    /// Less of everything: to see that it works.
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// The executable, under a name of its own if there are several [default: beside this one].
    #[arg(long, global = true, value_name = "[NAME=]PATH")]
    pitwall: Vec<String>,
    /// Where the peers from package registries are.
    #[arg(long, global = true, default_value = "target/bench-peers", value_name = "DIRECTORY")]
    pub(crate) peers: PathBuf,
    /// Where the records are kept; a run replaces what it measures anew.
    #[arg(long, global = true, default_value = "target/bench", value_name = "DIRECTORY")]
    pub(crate) output: PathBuf,
    /// Where the chart goes [default: results.svg in the output directory].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Every scenario, then the report.
    All,
    /// Segments, stored and relayed.
    Segments {
        #[arg(long, value_delimiter = ',', default_values = ["500KB", "1MB", "4MB"])]
        sizes: Vec<Size>,
        #[arg(long, value_delimiter = ',', default_values_t = [16, 64])]
        connections: Vec<usize>,
        #[arg(long, value_delimiter = ',', default_values_t = [1])]
        threads: Vec<usize>,
        #[arg(long, value_delimiter = ',', default_values = ["stored", "relayed"])]
        work: Vec<SegmentWork>,
    },
    /// Stored segments over TLS, with HTTP/1.1 and HTTP/2.
    Secure {
        #[arg(long, value_delimiter = ',', default_values = ["500KB", "1MB", "4MB"])]
        sizes: Vec<Size>,
    },
    /// Playlists, rewritten and passed through.
    Playlists {
        /// live, master, long, window [default: all].
        #[arg(long, value_delimiter = ',')]
        items: Vec<String>,
        #[arg(long, value_delimiter = ',', default_values_t = [1])]
        threads: Vec<usize>,
    },
    /// Virtual players of live streams; what they cost per viewer and per stream.
    Players {
        /// VIEWERSxSTREAMSxSIZE, one after the other.
        #[arg(long, value_delimiter = ',', default_values = Crowd::ALL)]
        crowds: Vec<Crowd>,
    },
    /// 64 clients at once on one new segment.
    Herd,
    /// How fast a change of the map reaches edges on one Redis.
    Publish,
    /// What viewers notice of a Redis that is slow.
    SlowStore,
    /// Memory of slow readers and of idle connections.
    Memory,
    /// First byte on one connection, beside a file server's.
    FirstByte,
    /// Tables, what must be reached, and the chart, of what is recorded.
    Report,
    /// A server of the program's own; it starts them itself.
    #[command(hide = true, subcommand)]
    Serve(Serve),
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum SegmentWork {
    Stored,
    Relayed,
}

#[derive(Subcommand)]
pub(crate) enum Serve {
    Ceiling { listen: SocketAddr, directory: PathBuf },
    Copy { listen: SocketAddr, upstream: SocketAddr },
    Origin { listen: SocketAddr },
}

impl Options {
    /// With `seconds` where nothing else was asked for.
    pub(crate) fn terms(&self, seconds: f64) -> Terms {
        let seconds = self.seconds.unwrap_or(if self.quick { seconds / 2.0 } else { seconds });
        let repetitions = self.repetitions.unwrap_or(if self.quick { 2 } else { 5 });
        Terms {
            only: self.only.clone(),
            duration: Duration::from_secs_f64(seconds),
            repetitions: repetitions.into(),
        }
    }

    pub(crate) fn pitwalls(&self) -> anyhow::Result<Vec<NamedPath>> {
        if self.pitwall.is_empty() {
            let this = std::env::current_exe().context("where is this program?")?;
            let path = this.with_file_name("pitwall");
            return Ok(vec![NamedPath { name: "pitwall".to_owned(), path }]);
        }
        let named = self.pitwall.iter().map(|text| match text.split_once('=') {
            Some((name, path)) => NamedPath { name: name.to_owned(), path: path.into() },
            None => NamedPath { name: "pitwall".to_owned(), path: text.into() },
        });
        Ok(named.collect())
    }
}

impl From<SegmentWork> for Work {
    fn from(work: SegmentWork) -> Self {
        match work {
            SegmentWork::Stored => Self::Stored,
            SegmentWork::Relayed => Self::Relayed,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    seconds.ok_or_else(|| "between 0.1 and 600".to_owned())
}
