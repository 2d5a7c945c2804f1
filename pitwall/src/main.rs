//! `pitwall`: the executable that wires the libraries together. Nothing imports it.
//!
//! - [`cli`]: the subcommands and their options.
//! - [`config`]: files and environment variables, parsed into each library's configuration.
//! - [`secret`]: seal key, access key and admin token; [`state`]: the state directory.
//! - [`store`]: the configured store and its background tasks.
//! - [`single_process`]: edge and control plane in one process; `run`, `demo` and `origin`.
//! - [`edge`], [`control_plane`]: either in a process of its own; `proxy` and `control-plane`.
//! - [`file_descriptors`], [`sighup`]: the open-file limit, and the handling of SIGHUP.
//! - [`mod@bench`]: virtual players against a playlist.
//! - [`extract`]: one run of one source's extractor.
//! - [`commands`]: the other subcommands that end by themselves; `check` and `sign`.

mod bench;
mod cli;
mod commands;
mod config;
mod control_plane;
mod edge;
mod extract;
mod file_descriptors;
mod secret;
mod sighup;
mod single_process;
mod state;
mod store;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if let Some(code) = cli.run_script_worker() {
        return code;
    }
    cli.start_logging();
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::print_error(&error);
            ExitCode::from(
                if error.is::<config::ConfigError>() || error.is::<config::NonFatalConfigErrors>() {
                    2
                } else {
                    1
                },
            )
        }
    }
}
