//! `pitwall`: one executable that wires the rooms together. Nothing imports it.
//!
//! - [`cli`]: what can be typed.
//! - [`config`]: files and environment, into what each room takes.
//! - [`secret`]: the seal key; [`state`]: the directory that it is in.
//! - [`store`]: the one that is configured.
//! - [`run`]: edge and control plane in one process; `run` and `demo`.
//! - [`edge`], [`control`]: either in a process of its own; `proxy` and `control-plane`.
//! - [`descriptors`], [`hangup`]: what the system gives and sends.
//! - [`bench`]: virtual players against a playlist.
//! - [`commands`]: everything else that ends by itself; [`extract`] most of all.

mod bench;
mod cli;
mod commands;
mod config;
mod control;
mod descriptors;
mod edge;
mod extract;
mod hangup;
mod run;
mod secret;
mod state;
mod store;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    if let Some(code) = cli.worker() {
        return code;
    }
    cli.start_logging();
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&error);
            ExitCode::from(if error.is::<config::Invalid>() || error.is::<config::Flaws>() {
                2
            } else {
                1
            })
        }
    }
}
