//! `pitwall bench`: virtual players against playlists.
//!
//! - [`workers`]: the threads that the players run on, and what they cost.
//! - [`report`]: the figures as they are printed; [`tester`]: whether they are the server's.
//! - [`text`], [`html`]: the report for people; [`chart`]: its charts.

mod chart;
mod html;
mod report;
mod tester;
mod text;
mod workers;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use pitwall_benches::players::{Connector, HttpVersion, VariantChoice, ViewerSimulation};
use pitwall_fetch::parse_url;

use self::report::BenchReport;
use crate::config::ConfigError;
use crate::file_descriptors;
use crate::terminal::{print_progress, print_text};

/// Without `--ramp`, viewers arrive within this fraction of the time, and at most 5 s.
const RAMP_DIVISOR: u32 = 10;

#[derive(Args)]
pub(crate) struct BenchOptions {
    /// A live or recorded playlist, of an edge or of anything else; several are watched by equally
    /// many viewers.
    #[arg(long, value_name = "URL", required = true)]
    against: Vec<String>,
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    viewers: u32,
    /// How long they watch, the ramp included.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Over which time they arrive, such as 2m; without it a tenth of the time, at most 5s.
    #[arg(long, value_name = "DURATION")]
    ramp: Option<humantime::Duration>,
    /// The version of HTTP. `auto`: what the server chooses with TLS, and HTTP/1.1 without.
    #[arg(long, value_enum, default_value_t = HttpOption::Auto)]
    http: HttpOption,
    /// Which variant of a multivariant playlist they play.
    #[arg(long, value_enum, default_value_t = VariantOption::First)]
    variant: VariantOption,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// Write the report as one HTML page with charts.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum HttpOption {
    Auto,
    #[value(name = "1.1")]
    Http1,
    #[value(name = "2")]
    Http2,
}

#[derive(Clone, Copy, ValueEnum)]
enum VariantOption {
    First,
    Lowest,
    Highest,
    /// Each viewer another one in turn.
    Spread,
}

pub(crate) fn run(options: &BenchOptions) -> anyhow::Result<()> {
    let simulation = options.simulation()?;
    // Before the run, so that an hour of figures is not lost to a mistyped path.
    let cannot_write = |file: &Path| format!("cannot write {}", file.display());
    let page = options.html.as_deref().map(|path| -> anyhow::Result<_> {
        Ok((path, File::create(path).with_context(|| cannot_write(path))?))
    });
    let page = page.transpose()?;
    let open_files = file_descriptors::raise_open_file_limit();
    let connector = Connector::new(match options.http {
        HttpOption::Auto => HttpVersion::Negotiated,
        HttpOption::Http1 => HttpVersion::Http1,
        HttpOption::Http2 => HttpVersion::Http2,
    })?;
    if !options.json {
        let ramp = humantime::format_duration(simulation.arrival_period);
        print_text(&format!(
            "{} of {} for {} s, who arrive within {ramp}",
            text::counted(simulation.viewers, "viewer"),
            text::counted(simulation.playlists.len(), "playlist"),
            options.seconds
        ));
    }
    let started = SystemTime::now();
    let measured = workers::run(&simulation, &connector, |elapsed| {
        let seconds = elapsed.map(|elapsed| format!("{elapsed} of {} s", options.seconds));
        print_progress(seconds.as_deref());
    })?;
    let report = BenchReport::new(&simulation, &measured, started, open_files);
    if let Some((path, mut file)) = page {
        file.write_all(html::render(&report).as_bytes()).with_context(|| cannot_write(path))?;
    }
    print_text(&if options.json { report.to_json()? } else { text::render(&report) });
    if report.segments == 0 {
        let is_clear = simulation.playlists.iter().any(|url| url.scheme() == "http");
        if matches!(options.http, HttpOption::Http2) && report.http.is_empty() && is_clear {
            bail!(
                "nobody saw anything: few servers speak HTTP/2 without TLS, as --http 2 asks for"
            );
        }
        bail!("nobody saw anything");
    }
    Ok(())
}

impl BenchOptions {
    fn simulation(&self) -> anyhow::Result<ViewerSimulation> {
        let parse = |url: &String| parse_url(url).map_err(|it| ConfigError::new("--against", it));
        let duration = Duration::from_secs(self.seconds);
        let arrival_period = match self.ramp {
            Some(ramp) if *ramp <= duration => *ramp,
            Some(_) => {
                let message = format!("longer than the {} s of --seconds", self.seconds);
                return Err(ConfigError::new("--ramp", message).into());
            }
            None => (duration / RAMP_DIVISOR).min(Duration::from_secs(5)),
        };
        Ok(ViewerSimulation {
            playlists: self.against.iter().map(parse).collect::<Result<_, _>>()?,
            viewers: usize::try_from(self.viewers)?,
            duration,
            arrival_period,
            variant: match self.variant {
                VariantOption::First => VariantChoice::First,
                VariantOption::Lowest => VariantChoice::Lowest,
                VariantOption::Highest => VariantChoice::Highest,
                VariantOption::Spread => VariantChoice::Spread,
            },
        })
    }
}
