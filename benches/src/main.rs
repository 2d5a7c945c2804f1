//! `pitwall-benches`: compares Pitwall with its peers, on the same work, on this machine.
//!
//! - [`cli`]: the command line.
//! - [`commands`]: runs each command.
//! - [`network_namespace`]: a network namespace for the run, with `cubic` on loopback.
//! - [`certificate`]: the certificate of contenders with TLS.
//! - [`cores`]: which processor cores contenders and the rest run on.
//! - [`testbed`]: what every contender is started on.
//! - [`origin`]: nginx over files in memory, and a server for generated playlists.
//! - [`process`]: a child process that is started, watched and ended.
//! - [`nginx_config`]: nginx's configuration file, for contenders and for the origin.
//! - [`resource_usage`]: processor time and memory of a process tree.
//! - [`peers`]: the contenders; a new one is a new file and one line there.
//! - [`serve`]: the program's own servers: the ceiling, the raw copy loop, and the generated
//!   playlists.
//! - [`load`]: the load generator.
//! - [`h2load`]: nghttp2's load generator, for TLS and HTTP/2.
//! - [`measurement`]: one measurement of a contender under load.
//! - [`scenario`]: what is measured, one scenario per file.
//! - [`record`]: results, as JSON files.
//! - [`comparison`]: ratios between contenders, per repetition.
//! - [`table`]: text tables; [`task_table`]: the table of one task.
//! - [`report`]: all tables, requirements, and the chart.

mod certificate;
mod cli;
mod commands;
mod comparison;
mod cores;
mod h2load;
mod load;
mod measurement;
mod network_namespace;
mod nginx_config;
mod origin;
mod peers;
mod process;
mod record;
mod report;
mod resource_usage;
mod scenario;
mod serve;
mod table;
mod task_table;
mod testbed;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::Cli::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard output; an error, such as a pipe closed by `head`, is ignored.
fn print_text(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
    }
}

#[expect(clippy::print_stderr, reason = "the executable talks to its terminal")]
fn print_error(error: &anyhow::Error) {
    eprintln!("pitwall-benches: {error:#}");
}
