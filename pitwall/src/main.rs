//! `pitwall`: the executable that wires the libraries together. Nothing imports it.
//!
//! - [`cli`]: the subcommands and their options; [`execute`] runs them. [`terminal`]: their output.
//! - [`config`]: files and environment variables, parsed into each library's configuration.
//! - [`secret`]: seal key, access key and admin token; [`state`]: the state directory.
//! - [`settings`]: what the libraries get of a configuration.
//! - [`store`]: the configured store and its background tasks.
//! - [`single_process`]: edge and control plane in one process; `run`, `demo` and `origin`.
//! - [`edge`], [`control_plane`]: either in a process of its own; `proxy` and `control-plane`.
//! - [`file_descriptors`], [`signals`]: the open-file limit, and the handling of SIGHUP and SIGUSR2.
//! - [`handover`]: listeners and state, handed over to a new process; [`upgrade`] asks for it.
//! - [`reload`]: the configuration, read again while a process runs.
//! - [`allocator`]: memory, and how soon it is given back.
//! - [`logging`]: what is logged and how; [`log_repeats`]: log lines that repeat.
//! - [`process_metrics`]: memory, CPU and open files; and the build.
//! - [`mod@bench`]: virtual players against a playlist.
//! - [`init`]: a first configuration. `manual`: man pages and completions, in release builds.
//! - [`extract`]: one run of one source's extractor.
//! - [`deep_check`]: whether what a configuration names can be reached.
//! - [`commands`]: the other subcommands that end by themselves; `check` and `sign`.

mod allocator;
mod bench;
mod cli;
mod commands;
mod config;
mod control_plane;
mod deep_check;
mod edge;
mod extract;
mod file_descriptors;
mod handover;
mod init;
mod log_repeats;
mod logging;
#[cfg(feature = "manual")]
mod manual;
#[cfg(feature = "otlp")]
mod otlp;
mod process_metrics;
mod reload;
mod secret;
mod settings;
mod signals;
mod single_process;
mod state;
mod store;
mod terminal;
mod upgrade;
mod version;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::config::Config;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(code) = cli.run_if_script_worker() {
        return code;
    }
    if cli.command.is_server() {
        allocator::restart_with_options();
    }
    cli.start_logging();
    let outcome = execute(cli.command);
    #[cfg(feature = "otlp")]
    otlp::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::print_error(&error);
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

/// Runs a subcommand until it ends.
fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { config, listen } => {
            single_process::run(&config.config, listen.listen, signals::watch()?)
        }
        Command::Proxy { config, listen } => {
            edge::run(&config.config, listen.listen, signals::watch()?)
        }
        Command::ControlPlane { config } => control_plane::run(&config.config, signals::watch()?),
        Command::Demo { listen, token_ttl } => {
            single_process::run_demo(listen.listen, token_ttl, signals::watch()?.hangups)
        }
        Command::Origin { listen, token_ttl } => {
            // An origin has no configuration.
            drop(signals::watch()?);
            single_process::run_origin(listen, token_ttl)
        }
        Command::Sign { url, ttl, config } => {
            commands::print_sealed_links(&url, ttl.map(Into::into), &config.config)
        }
        Command::Init { options } => init::write_first_config(&options),
        Command::Link { name, config } => commands::print_access_links(&name, &config.config),
        Command::Notify { test: _, config } => commands::send_test_alerts(&config.config),
        Command::Bench(options) => bench::run(&options),
        Command::Extract { source, options, config } => {
            extract::run_extract_command(&source, &options, &config.config)
        }
        #[cfg(feature = "manual")]
        Command::Manual { directory } => manual::write(&directory),
        // The process has ended before this, in `run_if_script_worker`.
        Command::ScriptWorker => Ok(()),
        Command::Upgrade { or_reload, config } => upgrade::upgrade(&config.config, or_reload),
        Command::Check { deep, config } => {
            commands::check_config(&config.config)?;
            if deep {
                deep_check::run_all_checks(&Config::load(&config.config)?)?
            }
            Ok(())
        }
    }
}
