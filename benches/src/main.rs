//! `pitwall-benches`: Pitwall beside its peers, on the same work, on this machine.
//!
//! ```text
//! cli         what can be typed; program: what each command does
//! namespace   a network of our own, loopback with cubic
//! certificate what contenders with TLS show
//! cores       who runs where
//! stage       what every contender is started on; origin: nginx over files in memory
//! process     a process that is started, watched and ended; usage: what it took of the machine
//! peers       who is compared: a new one is a new file and one line there
//! serve       servers of our own: the ceiling and the raw copy loop
//! load        the load generator
//! h2load      the load generator for TLS and HTTP/2, somebody else's
//! measure     a contender under load for a while
//! scenario    what is measured, one to a file
//! record      what was measured, as JSON; compare: ratios, repetition by repetition
//! report      tables, what must be reached, the chart
//! ```

mod certificate;
mod cli;
mod compare;
mod cores;
mod h2load;
mod load;
mod measure;
mod namespace;
mod origin;
mod peers;
mod process;
mod program;
mod record;
mod report;
mod scenario;
mod serve;
mod stage;
mod usage;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads only the first lines has seen enough.
fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
    }
}

#[expect(clippy::print_stderr, reason = "the executable talks to its terminal")]
fn complain(error: &anyhow::Error) {
    eprintln!("pitwall-benches: {error:#}");
}
